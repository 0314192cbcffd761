"""RTP for modems: what is late, lost, doubled or odd, and what the engine hears of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport import telephone_events
from transport.rtp import BLOCK, DEPTH, FREEZE, HEADER, PROOF, RtpReceiver, RtpSender
from transport.telephone_events import CED, CNG, PCMA, PCMU

if TYPE_CHECKING:
    from collections.abc import Iterable

DEEP, PROVES = DEPTH // BLOCK, PROOF // BLOCK
EVENTS = 101


def sender(payload_type: int = PCMA, first: int = 0) -> RtpSender:
    """Return a sender whose numbers begin at ``first``."""
    return RtpSender(payload_type, lambda bits: first % (1 << bits))


def block(number: int) -> bytes:
    """Return 160 octets that tell their number."""
    return (number % 251).to_bytes(1, "big") * BLOCK


def packets(count: int, source: RtpSender | None = None) -> list[bytes]:
    """Return packets of numbered blocks."""
    source = source or sender()
    found = []
    for number in range(count):
        source.packet[HEADER:] = block(number)
        found.append(source.wrap())
    return found


def raw(sequence: int, timestamp: int, payload: bytes, *, kind: int = PCMA, ssrc: int = 7, first: int = 0x80) -> bytes:
    """Return a packet of any form."""
    return bytes((first, kind)) + (sequence % 65536).to_bytes(2, "big") + timestamp.to_bytes(4, "big") + ssrc.to_bytes(
        4, "big"
    ) + payload  # fmt: skip


def play(receiver: RtpReceiver, arriving: Iterable[list[bytes]]) -> list[bytes | None]:
    """Put what arrives in each tick, and take a block in each."""
    taken = []
    for datagrams in arriving:
        for datagram in datagrams:
            receiver.put(datagram)
        taken.append(receiver.take())
    return taken


def heard(taken: list[bytes | None]) -> list[bytes]:
    """Return the blocks that the engine hears, without standing still and silence."""
    return [octets for octets in taken if octets]


def steady(datagrams: list[bytes]) -> list[list[bytes]]:
    """Let one packet arrive in each tick, and none for a while at the end."""
    return [[datagram] for datagram in datagrams] + [[] for _ in range(DEEP + FREEZE + 2)]


@given(first=st.integers(0, 2**32 - 1), count=st.integers(1, 80))
def test_what_is_sent_is_heard_in_order_through_every_turn_of_the_numbers(first: int, count: int) -> None:
    """Lost otherwise: a call breaks after 65,536 packets, or where a random first number is near the end."""
    receiver = RtpReceiver()
    assert heard(play(receiver, steady(packets(count, sender(first=first))))) == [
        block(number) for number in range(count)
    ]
    assert (receiver.lost, receiver.late, receiver.broken) == (0, 0, 0)


@given(seed=st.integers(0, 10**6), jitter=st.floats(0, 6), reordered=st.floats(0, 0.2))
def test_a_late_packet_is_not_lost_and_nothing_is_put_in_its_place(seed: int, jitter: float, reordered: float) -> None:
    """Lost otherwise: 20 ms are put into a modem's signal and the page breaks, though every packet came."""
    rng = random.Random(seed)
    arriving: list[list[bytes]] = [[] for _ in range(160)]
    for number, datagram in enumerate(packets(100)):
        delay = rng.random() * min(jitter, PROVES - 2) + (1.5 if rng.random() < reordered else 0)
        arriving[int(number + delay)].append(datagram)
    receiver = RtpReceiver()
    assert heard(play(receiver, arriving)) == [block(number) for number in range(100)]
    assert receiver.lost == 0


def test_a_hole_that_is_proved_is_filled_with_the_block_before_it() -> None:
    """Lost otherwise: one packet lost in a thousand ends calls with error correction."""
    arriving = steady(packets(40))
    arriving[20] = []
    receiver = RtpReceiver()
    numbers = [number if number != 20 else 19 for number in range(40)]
    assert heard(play(receiver, arriving)) == [block(number) for number in numbers]
    assert receiver.lost == 1


def test_time_stands_still_for_half_a_second_and_then_the_far_end_is_silent() -> None:
    """Lost otherwise: T.30's timers never run when a far end stops sending, and the call lasts for ever."""
    receiver = RtpReceiver()
    taken = play(receiver, [*([datagram] for datagram in packets(30)), *([] for _ in range(60))])
    rest = taken[max(index for index, octets in enumerate(taken) if octets) + 1 :]
    assert rest[:FREEZE] == [b""] * FREEZE
    assert set(rest[FREEZE:]) == {None}


def test_before_the_first_packet_time_passes() -> None:
    """Lost otherwise: a far end that waits for our tone and our engine wait for each other."""
    assert play(RtpReceiver(), [[] for _ in range(10)]) == [None] * 10


def test_a_talkspurt_after_silence_is_heard_whole() -> None:
    """Lost otherwise: the first frame after a gateway's silence suppression is lost, and every page with it."""
    source = sender()
    first = packets(20, source)
    receiver = RtpReceiver()
    play(receiver, [*([datagram] for datagram in first), *([] for _ in range(100))])
    again = play(receiver, steady(packets(20, source)))
    assert heard(again) == [block(number) for number in range(20)]
    assert receiver.lost == 0


def test_a_jam_that_dissolves_is_worked_off() -> None:
    """Lost otherwise: each stall of the network makes the call slower for good, until T.30's timers end it."""
    source = packets(120)
    receiver = RtpReceiver()
    play(receiver, ([datagram] for datagram in source[:20]))
    play(receiver, ([] for _ in range(15)))
    play(receiver, [source[20:60]])
    assert receiver.jammed
    for _ in range(40):
        receiver.take()
    assert not receiver.jammed


@pytest.mark.parametrize("octets", [80, 160, 240, 320, 480])
def test_packets_of_10_to_60_ms_are_understood(octets: int) -> None:
    """Lost otherwise: a trunk that packs 30 ms at a time cannot send us a fax."""
    signal = bytes(random.Random(1).randbytes(octets * 40))
    datagrams = [raw(at // octets, at, signal[at : at + octets]) for at in range(0, len(signal), octets)]
    arriving: list[list[bytes]] = []
    sent = 0.0
    while sent < len(datagrams) or len(arriving) < 300:
        sent += BLOCK / octets
        arriving.append(datagrams[round(sent - BLOCK / octets) : round(sent)])
    assert b"".join(heard(play(RtpReceiver(), arriving))) == signal


def test_padding_extensions_and_sources_are_left_out_of_the_signal() -> None:
    """Lost otherwise: behind some session border controllers every block has noise at its end."""
    forms = [
        raw(0, 0, block(0)),
        raw(1, 160, block(1) + b"\0\0\0\4", first=0xA0),
        raw(2, 320, b"\xbe\xde\0\1abcd" + block(2), first=0x90),
        raw(3, 480, b"csrccsrc" + block(3), first=0x82),
        raw(4, 640, b"csrc" + b"\0\0\0\0" + block(4) + b"\1", first=0xB1),
    ]
    assert heard(play(RtpReceiver(), steady(forms))) == [block(number) for number in range(5)]


def test_the_law_is_that_of_each_packet_that_comes() -> None:
    """Lost otherwise: a far end that sends u-law where A-law was agreed sends us noise."""
    receiver = RtpReceiver()
    laws = []
    for datagrams in steady([raw(number, 160 * number, block(number), kind=number // 10 * 8) for number in range(20)]):
        for datagram in datagrams:
            receiver.put(datagram)
        if receiver.take():
            laws.append(receiver.payload_type)
    assert laws == [PCMU] * 10 + [PCMA] * 10


def test_a_new_source_and_a_source_that_starts_again_are_followed() -> None:
    """Lost otherwise: a call that is transferred, or bridged anew after the ring tone, is silent from then on."""
    receiver = RtpReceiver()
    play(receiver, ([datagram] for datagram in packets(30)))
    assert block(7) in heard(play(receiver, steady([raw(9000 + n, 5, block(n), ssrc=9) for n in range(20)])))
    assert block(7) in heard(play(receiver, steady([raw(40_000 + n, 5, block(n), ssrc=9) for n in range(20)])))


def test_packets_that_come_twice_or_long_after_are_heard_once() -> None:
    """Lost otherwise: a network that doubles packets doubles parts of the signal."""
    source = packets(60)
    arriving = [[datagram, datagram] for datagram in source]
    arriving[50].append(source[10])
    receiver = RtpReceiver()
    assert heard(play(receiver, [*arriving, *([] for _ in range(40))])) == [block(number) for number in range(60)]
    assert receiver.late > 0


@given(st.lists(st.lists(st.binary(max_size=600), max_size=4), max_size=40))
def test_garbage_is_counted_and_never_raises(arriving: list[list[bytes]]) -> None:
    """Lost otherwise: one crafted datagram ends a call, or all calls of a worker."""
    play(RtpReceiver(EVENTS), arriving)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535), st.integers(0, 2**32 - 1), st.sampled_from([0, 8, 13, 101, 128 + 8, 128 + 101]),
            st.integers(1, 500), st.integers(1, 2), st.sampled_from([0x80, 0x90, 0xA0, 0x8F]),
        ),
        max_size=120,
    )
)  # fmt: skip
def test_any_packets_in_any_order_keep_the_invariants(shapes: list[tuple[int, int, int, int, int, int]]) -> None:
    """Lost otherwise: a hostile source makes a worker's memory grow, or hands the engine a block of another size."""
    receiver = RtpReceiver(EVENTS)
    for sequence, timestamp, kind, size, ssrc, first in shapes:
        receiver.put(raw(sequence, timestamp, bytes(size), kind=kind, ssrc=ssrc, first=first))
        taken = receiver.take()
        assert taken is None or len(taken) in (0, BLOCK)
        assert len(receiver._kept) <= 256
        assert len(receiver._rest) < 8000


def test_rtcp_and_other_payload_types_are_no_media() -> None:
    """Lost otherwise: a control packet of the far end, or a stranger's, is played into the modem."""
    receiver = RtpReceiver()
    for kind in (72, 73, 76, 96, 101, 18):
        assert not receiver.put(raw(1, 1, block(1), kind=kind))
    assert not receiver.put(b"\x00" * 200), "version 0: STUN"
    assert receiver.broken == 7


def event(sequence: int, began: int, duration: int, *, ended: bool = False, which: int = CNG) -> bytes:
    """Return a packet of a telephone event."""
    return raw(sequence, began, telephone_events.write(which, duration, ended=ended), kind=EVENTS)


def test_a_tone_that_comes_as_events_is_heard_as_long_as_it_lasts() -> None:
    """Lost otherwise: a gateway that sends the calling tone as an event alone shortens the call's beginning."""
    datagrams = [raw(n, 160 * n, block(n)) for n in range(10)]
    datagrams += [event(10 + n, 1600, 160 * (n + 1)) for n in range(25)]
    datagrams += [event(35 + n, 1600, 4000, ended=True) for n in range(3)]
    datagrams += [raw(38 + n, 5600 + 160 * n, block(n)) for n in range(10)]
    receiver = RtpReceiver(EVENTS)
    said = heard(play(receiver, steady(datagrams)))
    assert said[:10] == said[-10:] == [block(number) for number in range(10)]
    assert b"".join(said[10:-10]) == telephone_events.sound(CNG, 1600, 4000, PCMA)
    assert receiver.tones == 28


def test_events_beside_the_sound_take_no_time_of_their_own() -> None:
    """Lost otherwise: a tone that is sent both ways lasts twice as long, and what follows it comes too late."""
    datagrams = []
    for number in range(30):
        datagrams.append(raw(2 * number, 160 * number, block(number)))
        datagrams.append(event(2 * number + 1, 0, 160 * (number + 1), which=CED))
    arriving = [datagrams[at : at + 2] for at in range(0, 60, 2)] + [[] for _ in range(40)]
    assert heard(play(RtpReceiver(EVENTS), arriving)) == [block(number) for number in range(30)]


def test_our_events_have_the_tones_time_and_end_three_times() -> None:
    """Lost otherwise: a gateway that goes by events alone never passes our calling tone on."""
    source = sender(first=1000)
    said = []
    for _ in range(3):
        source.wrap()
        said.append(source.sound(EVENTS, CNG))
    source.wrap()
    said += source.hush(EVENTS)
    assert source.hush(EVENTS) == []
    marks = [packet[1] >> 7 for packet in said]
    assert marks == [1, 0, 0, 0, 0, 0]
    assert {packet[4:8] for packet in said} == {(1000).to_bytes(4, "big")}
    assert [telephone_events.read(packet[HEADER:]) for packet in said] == [(CNG, 160), (CNG, 320), *[(CNG, 480)] * 4]
    assert [packet[HEADER + 1] >> 7 for packet in said] == [0, 0, 0, 1, 1, 1]
    receiver = RtpReceiver(EVENTS)
    for packet in said:
        assert receiver.put(packet)


def test_comfort_noise_is_silence() -> None:
    """Lost otherwise: T.30's timers stand still while a gateway says that it is silent."""
    receiver = RtpReceiver()
    datagrams = [raw(n, 160 * n, block(n)) for n in range(10)] + [raw(10, 1600, b"\x40", kind=13)]
    taken = play(receiver, steady(datagrams))
    last = max(index for index, octets in enumerate(taken) if octets)
    assert taken[last + 1 : last + 3] == [None, None]


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_tones_are_those_that_the_modems_know(law: int) -> None:
    """Lost otherwise: an event is rendered as noise."""
    import cmath

    from transport.spandsp import library

    found = library()
    state = found.lib.g711_init(found.ffi.NULL, int(law == PCMU))
    for which, frequency in ((CNG, 1100), (CED, 2100)):
        octets = telephone_events.sound(which, 37, 800, law)
        samples = found.ffi.new("int16_t[800]")
        found.lib.g711_decode(state, samples, octets, 800)
        power = sum(value * value for value in samples)
        at = sum(value * cmath.exp(-2j * cmath.pi * frequency * n / 8000) for n, value in enumerate(samples))
        assert 2 * abs(at) ** 2 / 800 > 0.99 * power
    assert telephone_events.sound(5, 0, 3, PCMA) == b"\xd5\xd5\xd5", "a digit keeps time and is silent"
    found.lib.g711_free(state)
