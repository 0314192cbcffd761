"""The T.30 engines: libspandsp 0.0.6 by cffi. The only importer of the C library.

An engine is one fax machine. :class:`AudioEngine` takes and gives 160 linear samples per 20 ms; :class:`T38Engine`
takes and gives IFP packets (ITU-T T.38). Nothing here does I/O or reads a clock: samples are time, for every T.30
timer.

Invariants: make engines after the fork (their callbacks are memory of one process); a listener's exception does not
unwind into C but is raised by the call that led to it, so that a page that could not be stored is never confirmed on
the wire; a closed engine is never handed to C again.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cffi import FFI

from transport.spandsp_abi import DECLARATIONS
from transport.t30 import Modem, Resolution, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SAMPLES = 160  # 20 ms at 8 kHz
BLOCK = 2 * SAMPLES  # bytes of such a block
SILENCE = bytes(BLOCK)

_LIBRARY = "libspandsp.so.2"
_REMEDY = "install Debian's library: apt-get install libspandsp2"
#: The last completion code of 0.0.6; 3.0 counts differently.
_LAST_CODE, _LAST_TEXT = 61, "Called subscriber internet address not accepted"

#: T30_SUPPORT_IDENTIFICATION, T30_SUPPORT_SUB_ADDRESSING.
_FEATURES = 0x11
_COMPRESSIONS = 0x2 | 0x4 | 0x8  # T.4 one- and two-dimensional, T.6
_STORE_T6 = 3
_SIZES = 0x1 | 0x10000 | 0x20000 | 0x40000 | 0x80000 | 0x100000  # 215 mm wide; any length, A4, B4, letter, legal
_CODINGS = {1: "MH", 2: "MR", 3: "MMR"}
_PATH = 255  # longer ones are cut without a word
_ALL_PAGES = -1


class LibraryMissing(Exception):
    """libspandsp cannot be used on this machine; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How a fax machine is set up. ``document``: path of a TIFF to send; ``store``: path for what it receives.

    ``first_page``: of the document, where those before it need not be sent (0 is the first).
    """

    calling: bool
    ident: str = ""
    document: str | None = None
    first_page: int = 0
    store: str | None = None
    ecm: bool = True
    modems: Modem = Modem.ALL
    resolutions: Resolution = Resolution.ALL


@dataclass(frozen=True, slots=True)
class Statistics:
    """The engine's counters. Receive statistics are empty at phase E: take them at phase D."""

    bit_rate: int
    ecm: bool
    pages_sent: int
    pages_received: int
    rows: int
    bad_rows: int
    retries: int
    coding: str


class Listener(Protocol):
    """Who hears of a machine's progress, while C waits: sync what must be on disk before the answer leaves."""

    def frame(self, message: bytes, *, sent: bool) -> None:
        """Hear of a control frame: it is about to leave (``sent``), or came."""

    def contact(self) -> None:
        """Hear of phase B: both machines have spoken."""

    def page(self) -> None:
        """Hear of phase D: a page's fate is known. When receiving, MCF has not left yet."""


class Engine:
    """What both engines share."""

    def __init__(self, machine: Machine, listener: Listener) -> None:
        self._library = library()
        self._listener = listener
        self._fault: BaseException | None = None
        self._keep: list[Any] = []  # cffi frees a callback with its Python object
        self._t30: Any = None
        self._machine = machine
        self.code: int | None = None
        self.framed = False  #: whether it has sent a frame

    def statistics(self) -> Statistics:
        """Return the counters as they stand."""
        ffi, lib = self._library.ffi, self._library.lib
        found = ffi.new("t30_stats_t *")
        lib.t30_get_transfer_statistics(self._t30, found)
        return Statistics(
            bit_rate=found.bit_rate,
            ecm=bool(found.error_correcting_mode),
            pages_sent=found.pages_tx,
            pages_received=found.pages_rx,
            rows=found.length,
            bad_rows=found.bad_rows,
            retries=found.error_correcting_mode_retries,
            coding=_CODINGS.get(found.encoding, ""),
        )

    def remote_ident(self) -> str:
        """Return the far machine's ident, printable ASCII."""
        ident = self._library.lib.t30_get_rx_ident(self._t30)
        return printable(self._library.ffi.string(ident, 64)) if ident else ""

    def subaddress(self) -> str:
        """Return the sub-address that the far machine asked for, printable ASCII."""
        asked = self._library.lib.t30_get_rx_sub_address(self._t30)
        return printable(self._library.ffi.string(asked, 64)) if asked else ""

    def terminate(self) -> None:
        """Tell T.30 that the call is gone; :attr:`code` is set if it was not."""
        self._library.lib.t30_terminate(self._t30)
        self._raise()

    def _set_up(self, t30: Any) -> None:
        """Configure the T.30 machine; a value that the library refuses is a fault of ours."""
        lib, machine = self._library.lib, self._machine
        self._t30 = t30
        for path in (machine.document, machine.store):
            if path is not None and len(path.encode()) > _PATH:
                raise ValueError(f"libspandsp cuts paths over {_PATH} bytes: {path}")
        if machine.document is not None:
            lib.t30_set_tx_file(t30, machine.document.encode(), machine.first_page or _ALL_PAGES, _ALL_PAGES)
        if machine.store is not None:
            lib.t30_set_rx_file(t30, machine.store.encode(), _ALL_PAGES)
            lib.t30_set_rx_encoding(t30, _STORE_T6)
        if lib.t30_set_tx_ident(t30, machine.ident.encode("ascii")) != 0:
            raise ValueError(f"libspandsp refuses the ident {machine.ident!r}")
        lib.t30_set_supported_t30_features(t30, _FEATURES)
        lib.t30_set_ecm_capability(t30, int(machine.ecm))
        lib.t30_set_supported_modems(t30, int(machine.modems))
        lib.t30_set_supported_compressions(t30, _COMPRESSIONS)
        lib.t30_set_supported_resolutions(t30, int(machine.resolutions))
        lib.t30_set_supported_image_sizes(t30, _SIZES)
        null = self._library.ffi.NULL
        lib.t30_set_phase_b_handler(t30, self._callback("t30_phase_b_handler_t", self._on_contact, 0), null)
        lib.t30_set_phase_d_handler(t30, self._callback("t30_phase_d_handler_t", self._on_page, 0), null)
        lib.t30_set_phase_e_handler(t30, self._callback("t30_phase_e_handler_t", self._on_end, None), null)
        frames = self._callback("t30_real_time_frame_handler_t", self._on_frame, None)
        lib.t30_set_real_time_frame_handler(t30, frames, null)

    def _callback(self, kind: str, function: Callable[..., object], otherwise: int | None) -> Any:
        made = self._library.ffi.callback(kind, function, error=otherwise, onerror=self._keep_fault)
        self._keep.append(made)
        return made

    def _keep_fault(self, _kind: type[BaseException], fault: BaseException, _trace: TracebackType) -> None:
        self._fault = self._fault or fault

    def _raise(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _on_contact(self, _t30: object, _user: object, _result: int) -> int:
        self._listener.contact()
        return 0

    def _on_page(self, _t30: object, _user: object, _result: int) -> int:
        if self._fault is None:
            self._listener.page()
        return 0

    def _on_end(self, _t30: object, _user: object, code: int) -> None:
        self.code = code

    def _on_frame(self, _t30: object, _user: object, received: int, message: Any, length: int) -> None:
        self.framed = self.framed or not received
        if self._fault is None:
            self._listener.frame(bytes(self._library.ffi.buffer(message, length)), sent=not received)


class AudioEngine(Engine):
    """A fax machine on a telephone line."""

    def __init__(self, machine: Machine, listener: Listener) -> None:
        super().__init__(machine, listener)
        lib = self._library.lib
        self._state = lib.fax_init(self._library.ffi.NULL, int(machine.calling))
        lib.fax_set_transmit_on_idle(self._state, 1)
        self._heard = self._library.ffi.new(f"int16_t[{SAMPLES}]")
        self._said = self._library.ffi.new(f"int16_t[{SAMPLES}]")
        self._octets: Any = None
        self._packet: Any = None
        self._g711: dict[int, Any] = {}
        self._rx, self._tx, self._decode, self._encode = lib.fax_rx, lib.fax_tx, lib.g711_decode, lib.g711_encode
        self._set_up(lib.fax_get_t30_state(self._state))

    def joins(self, packet: bytearray, at: int) -> None:
        """Let :meth:`say` put its octets into ``packet`` from ``at`` on; it must not change its size."""
        self._packet = self._library.ffi.from_buffer(packet)  # what is pointed into must stay
        self._octets = self._packet + at

    def hear(self, octets: bytes, law: int) -> None:
        """Take one block of 160 octets of G.711. ``law``: payload type 0 (u-law) or 8 (A-law)."""
        if len(octets) != SAMPLES:
            raise ValueError(f"20 ms of G.711 are {SAMPLES} octets, not {len(octets)}")
        samples = self._heard
        self._decode(self._g711.get(law) or self._coder(law), samples, octets, SAMPLES)
        self._rx(self._state, samples, SAMPLES)
        if self._fault is not None:
            raise self._fault

    def hear_silence(self) -> None:
        """Let 20 ms pass in which the far end is silent."""
        self.receive(SILENCE)

    def say(self, law: int) -> None:
        """Put the next block of 160 octets where :meth:`joins` said."""
        samples = self._said
        made = self._tx(self._state, samples, SAMPLES)
        if made < SAMPLES:
            self._library.ffi.memmove(samples + made, SILENCE, 2 * (SAMPLES - made))
        self._encode(self._g711.get(law) or self._coder(law), self._octets, samples, SAMPLES)
        if self._fault is not None:
            raise self._fault

    @property
    def sounds(self) -> bool:
        """Whether the block that was said last is not silence."""
        return any(bytes(self._library.ffi.buffer(self._said)))

    def _coder(self, law: int) -> Any:
        ffi, lib = self._library.ffi, self._library.lib
        made = ffi.gc(lib.g711_init(ffi.NULL, int(law == 0)), lib.g711_free)  # mode 0 is A-law
        self._g711[law] = made
        return made

    def receive(self, block: bytes) -> None:
        """Take one block of 160 samples, 16 bit, native order. No call, no time."""
        if len(block) != BLOCK:
            raise ValueError(f"a block is {BLOCK} bytes, not {len(block)}")
        self._library.ffi.memmove(self._heard, block, BLOCK)  # fax_rx writes into what it is given
        self._library.lib.fax_rx(self._state, self._heard, SAMPLES)
        self._raise()

    def send(self) -> bytes:
        """Return the next block of 160 samples."""
        made = self._library.lib.fax_tx(self._state, self._said, SAMPLES)
        self._raise()
        block = bytes(self._library.ffi.buffer(self._said, 2 * made))
        return block if made == SAMPLES else block.ljust(BLOCK, b"\0")

    def close(self) -> None:
        """Free the machine, and with it flush and close its files."""
        if self._state is not None:
            self._library.lib.fax_release(self._state)
            self._library.lib.fax_free(self._state)
            self._state = self._t30 = None


class T38Engine(Engine):
    """A fax machine on an IP network (T.38 version 0, paced as a modem would be)."""

    def __init__(self, machine: Machine, listener: Listener, send: Callable[[bytes, int], None]) -> None:
        """``send`` takes an IFP packet and how often its datagram shall leave (1 or 3)."""
        super().__init__(machine, listener)
        ffi, lib = self._library.ffi, self._library.lib

        def on_packet(_core: object, _user: object, packet: Any, length: int, count: int) -> int:
            send(bytes(ffi.buffer(packet, length)), count)
            return 0

        handler = self._callback("t38_tx_packet_handler_t", on_packet, -1)
        self._state = lib.t38_terminal_init(ffi.NULL, int(machine.calling), handler, ffi.NULL)
        self._core = lib.t38_terminal_get_t38_core_state(self._state)
        lib.t38_set_t38_version(self._core, 0)
        self._set_up(lib.t38_terminal_get_t30_state(self._state))

    def receive(self, sequence: int, packet: bytes) -> None:
        """Take an IFP packet with the number of its datagram; order matters, duplicates do not."""
        self._library.lib.t38_core_rx_ifp_packet(self._core, packet, len(packet), sequence & 0xFFFF)
        self._raise()

    def tick(self) -> None:
        """Let 20 ms pass; packets leave through ``send``."""
        self._library.lib.t38_terminal_send_timeout(self._state, SAMPLES)
        self._raise()

    def close(self) -> None:
        """Free the machine, and with it flush and close its files."""
        if self._state is not None:
            self._library.lib.t38_terminal_release(self._state)
            self._library.lib.t38_terminal_free(self._state)
            self._state = self._core = self._t30 = None


class Law:
    """G.711 A-law: 160 linear samples to 160 octets and back (ITU-T G.711)."""

    def __init__(self) -> None:
        self._library = library()
        ffi, lib = self._library.ffi, self._library.lib
        self._state = ffi.gc(lib.g711_init(ffi.NULL, 0), lib.g711_free)  # mode 0 is A-law
        self._octets = ffi.new(f"uint8_t[{SAMPLES}]")
        self._linear = ffi.new(f"int16_t[{SAMPLES}]")

    def encode(self, block: bytes) -> bytes:
        """Return the octets of a block of samples."""
        samples = self._library.ffi.from_buffer("int16_t[]", block)
        self._library.lib.g711_encode(self._state, self._octets, samples, SAMPLES)
        return bytes(self._library.ffi.buffer(self._octets))

    def decode(self, octets: bytes) -> bytes:
        """Return the samples of 160 octets."""
        if len(octets) != SAMPLES:
            raise ValueError(f"20 ms of G.711 are {SAMPLES} octets, not {len(octets)}")
        self._library.lib.g711_decode(self._state, self._linear, octets, SAMPLES)
        return bytes(self._library.ffi.buffer(self._linear))


def completion(code: int) -> str:
    """Return the sentence of a completion code."""
    found = library()
    return _text(found.ffi, found.lib.t30_completion_code_to_str(code))


@dataclass(frozen=True, slots=True)
class _Library:
    ffi: Any
    lib: Any


def _load() -> _Library:
    ffi: Any = FFI()
    ffi.cdef(DECLARATIONS)
    try:
        lib = ffi.dlopen(_LIBRARY)
    except OSError as fault:
        raise LibraryMissing(f"{_LIBRARY} cannot be loaded ({fault}); {_REMEDY}") from fault
    last = _text(ffi, lib.t30_completion_code_to_str(_LAST_CODE))
    beyond = _text(ffi, lib.t30_completion_code_to_str(_LAST_CODE + 1))
    if last != _LAST_TEXT or beyond != "???":
        raise LibraryMissing(
            f"{_LIBRARY} is not version 0.0.6 ({last!r} is its completion code {_LAST_CODE}); {_REMEDY}"
        )
    return _Library(ffi, lib)


def _text(ffi: Any, string: Any) -> str:
    return str(ffi.string(string), "ascii", "replace")


@functools.cache
def library() -> _Library:
    """Return the library, loaded and checked once; raises :class:`LibraryMissing`."""
    return _load()
