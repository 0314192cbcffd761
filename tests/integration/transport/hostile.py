"""Fax machines that mean harm, over T.38 and over audio.

Each is an honest calling machine whose pages are replaced on their way out. In T.38 a frame has no checksum of its own,
so what is put in place of a page's data is believed; for audio the packets go through libspandsp's own gateway, which
makes a modem's signal of them.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cffi import FFI

from transport.rtp import BLOCK, HEADER, RtpReceiver, RtpSender
from transport.spandsp import SAMPLES, Law, Machine, T38Engine
from transport.t30 import Frame, frame_of
from transport.udptl import Receiver, Sender

if TYPE_CHECKING:
    import random

DOCUMENT = Path(__file__).resolve().parents[2] / "data" / "faxes" / "three-pages.tif"

_DATA, _V21 = 0x80, 0x00
_HDLC_DATA, _NON_ECM = 0, (6, 7)  # T.38 table 4
_IMAGE_HEADER = 4  # address, control, FCD, frame number
_BITS = 8


class Attack(enum.Enum):
    """What stands where the pages should be."""

    ZERO_RUNS = "a row of runs that are all of length zero"
    BLANK_ROWS = "rows that are coded in one bit each"
    SHORT_FRAME = "frames of a page that end before their number"
    NOISE = "random octets"

    @property
    def ecm(self) -> bool:
        """Whether it is in frames of error correction."""
        return self in (Attack.BLANK_ROWS, Attack.SHORT_FRAME)


class HostileT38:
    """A sender over UDPTL."""

    def __init__(self, attack: Attack, rng: random.Random) -> None:
        self._attack = attack
        self._rng = rng
        self._taken = 0
        self._image = False
        self._ready: list[bytes] = []
        self._sender, self._receiver = Sender(), Receiver()
        machine = Machine(calling=True, ident="+666", document=str(DOCUMENT), ecm=attack.ecm)
        self.engine = T38Engine(machine, self, self._say)

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Exchange 20 ms of datagrams."""
        return [self._sender.wrap(packet) for packet in self.exchange(
            [found for datagram in heard for found in self._receiver.receive(datagram)]
        )]  # fmt: skip

    def exchange(self, heard: list[tuple[int, bytes]]) -> list[bytes]:
        """Exchange 20 ms of IFP packets."""
        for sequence, packet in heard:
            self.engine.receive(sequence, packet)
        self.engine.tick()
        said, self._ready = self._ready, []
        return said

    def close(self) -> None:
        """Free the machine."""
        self.engine.close()

    def frame(self, message: bytes, *, sent: bool) -> None:
        """Know when a page begins."""
        if not sent:
            self._image = frame_of(message) in (Frame.CFR, Frame.MCF, Frame.PPR)
        elif frame_of(message) in (Frame.DCS, Frame.PPS, Frame.EOP, Frame.MPS, Frame.DCN):
            self._image = False

    def contact(self) -> None:
        """Phase B is of no interest."""

    def page(self) -> None:
        """Phase D is of no interest."""

    def _say(self, packet: bytes, count: int) -> None:
        harmful = self._image and packet[0] & _DATA and packet[0] >> 1 & 0x1F != _V21
        self._ready += [self._harmful(packet)] if harmful else [packet] * min(count, 1)

    def _harmful(self, packet: bytes) -> bytes:
        """Replace the data of an IFP packet of a page."""
        changed = bytearray(packet[:2])
        at = 2
        for _ in range(packet[1]):
            head = packet[at]
            kind, at = head >> 4 & 0x07, at + 1
            if not head & _DATA:
                changed.append(head)
                continue
            size = int.from_bytes(packet[at : at + 2], "big") + 1
            data = packet[at + 2 : at + 2 + size]
            at += 2 + size
            if kind == _HDLC_DATA:
                data = self._frame(data)
            elif kind in _NON_ECM:
                data = self._bits(len(data))
            changed += bytes((head,)) + (len(data) - 1).to_bytes(2, "big") + data
        return bytes(changed)

    def _frame(self, data: bytes) -> bytes:
        first = data[:3] == b"\xff\xc0\x60"  # in the order of the wire
        if self._attack is Attack.SHORT_FRAME:
            return data[:3] if first else data[:1]
        kept = _IMAGE_HEADER if first else 0
        return data[:kept] + b"\xff" * (len(data) - kept)

    def _bits(self, octets: int) -> bytes:
        """Return the next octets of a row that never ends (T.4 4.1): an EOL, then runs of no pixels."""
        if self._attack is Attack.NOISE:
            return self._rng.randbytes(octets)
        endless = "0000000000011" + "001101010000110111" * (octets * _BITS // 18 + 200)
        start = self._taken if self._taken < 13 else 13 + (self._taken - 13) % 18
        bits = endless[start : start + octets * _BITS]
        self._taken += octets * _BITS
        return int(bits, 2).to_bytes(octets, "big")


_GATEWAY = """
typedef struct t38_gateway_state_s t38_gateway_state_t;
typedef struct t38_core_state_s t38_core_state_t;
typedef int (t38_tx_packet_handler_t)(t38_core_state_t *s, void *user_data, const uint8_t *buf, int len, int count);
t38_gateway_state_t *t38_gateway_init
    (t38_gateway_state_t *s, t38_tx_packet_handler_t *tx_packet_handler, void *user_data);
int t38_gateway_rx(t38_gateway_state_t *s, int16_t *amp, int len);
int t38_gateway_tx(t38_gateway_state_t *s, int16_t *amp, int max_len);
void t38_gateway_set_ecm_capability(t38_gateway_state_t *s, int ecm_allowed);
void t38_gateway_set_transmit_on_idle(t38_gateway_state_t *s, int transmit_on_idle);
void t38_gateway_set_supported_modems(t38_gateway_state_t *s, int modems);
t38_core_state_t *t38_gateway_get_t38_core_state(t38_gateway_state_t *s);
int t38_core_rx_ifp_packet(t38_core_state_t *s, const uint8_t *buf, int len, uint16_t seq_no);
int t38_gateway_free(t38_gateway_state_t *s);
"""


class HostileAudio:
    """A sender over RTP: the same one behind a gateway."""

    def __init__(self, attack: Attack, rng: random.Random) -> None:
        self._t38 = HostileT38(attack, rng)
        self.engine = self._t38.engine
        self._ffi: Any = FFI()
        self._ffi.cdef(_GATEWAY)
        library: Any = self._ffi.dlopen("libspandsp.so.2")
        self._lib = library
        self._to_engine: list[tuple[int, bytes]] = []
        self._sequence = 0

        def on_packet(_core: object, _user: object, packet: Any, length: int, _count: int) -> int:
            self._to_engine.append((len(self._to_engine), bytes(self._ffi.buffer(packet, length))))
            return 0

        self._keep = self._ffi.callback("t38_tx_packet_handler_t", on_packet)
        self._gateway = self._lib.t38_gateway_init(self._ffi.NULL, self._keep, self._ffi.NULL)
        self._lib.t38_gateway_set_ecm_capability(self._gateway, 1)
        self._lib.t38_gateway_set_transmit_on_idle(self._gateway, 1)
        self._lib.t38_gateway_set_supported_modems(self._gateway, 7)
        self._core = self._lib.t38_gateway_get_t38_core_state(self._gateway)
        self._samples = self._ffi.new(f"int16_t[{SAMPLES}]")
        self._law = Law()
        self._sender = RtpSender(8, rng.getrandbits)
        self._receiver = RtpReceiver()
        self._heard = 0

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Exchange 20 ms of audio."""
        for datagram in heard:
            self._receiver.put(datagram)
        octets = self._receiver.take()
        if octets != b"":
            block = self._law.decode(octets) if octets is not None else bytes(2 * BLOCK)
            self._ffi.memmove(self._samples, block, len(block))
            self._lib.t38_gateway_rx(self._gateway, self._samples, SAMPLES)
        told = [(self._heard + number, packet) for number, packet in self._to_engine]
        self._heard += len(told)
        self._to_engine.clear()
        for packet in self._t38.exchange(told):
            self._lib.t38_core_rx_ifp_packet(self._core, packet, len(packet), self._sequence & 0xFFFF)
            self._sequence += 1
        made = self._lib.t38_gateway_tx(self._gateway, self._samples, SAMPLES)
        block = bytes(self._ffi.buffer(self._samples, 2 * made)).ljust(2 * BLOCK, b"\0")
        self._sender.packet[HEADER:] = self._law.encode(block)
        return [self._sender.wrap()]

    def close(self) -> None:
        """Free the machine."""
        self._t38.close()
        self._lib.t38_gateway_free(self._gateway)
