"""UDPTL: what loss it repairs, and what a hostile far end can send."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transport.udptl import MAX_DATAGRAM, Receiver, Sender

PACKETS = st.lists(st.binary(min_size=1, max_size=59), min_size=1, max_size=60)


@given(packets=PACKETS, redundancy=st.integers(0, 3), data=st.data())
def test_losses_no_longer_than_the_redundancy_are_repaired(
    packets: list[bytes], redundancy: int, data: st.DataObject
) -> None:
    """Lost otherwise: a page is broken by a network that loses a packet now and then."""
    sender, receiver = Sender(redundancy), Receiver()
    got: list[bytes] = []
    lost_in_a_row = 0
    for number, packet in enumerate(packets):
        datagram = sender.wrap(packet)
        first_or_last = number in (0, len(packets) - 1)
        if not first_or_last and lost_in_a_row < redundancy and data.draw(st.booleans()):
            lost_in_a_row += 1
            continue
        lost_in_a_row = 0
        got += [found for _, found in receiver.receive(datagram)]
    assert got == packets
    assert receiver.lost == 0


@given(packets=PACKETS, data=st.data())
def test_what_is_lost_for_good_is_counted_and_the_rest_comes_once_in_order(
    packets: list[bytes], data: st.DataObject
) -> None:
    """Lost otherwise: lines of a page come twice or in the wrong order, or losses stay unseen."""
    sender, receiver = Sender(1), Receiver()
    datagrams = [sender.wrap(packet) for packet in packets]
    arriving = data.draw(st.lists(st.sampled_from(range(len(datagrams))), max_size=80))
    numbers = [number for index in arriving for number, _ in receiver.receive(datagrams[index])]
    assert numbers == sorted(set(numbers))
    if numbers:
        assert receiver.lost == numbers[-1] - max(arriving[0], 0) + 1 - len(numbers)


def test_numbers_go_round_after_65535() -> None:
    """Lost otherwise: a call of more than 65,536 packets breaks in the middle of a page."""
    sender, receiver = Sender(), Receiver()
    got = 0
    for number in range(0x10000 + 10):
        datagram = sender.wrap(number.to_bytes(3, "big"))
        if number % 4:
            got += len(receiver.receive(datagram))
    assert got >= 0x10000 + 6
    assert receiver.lost == 0


@given(
    packets=PACKETS,
    at=st.integers(0, 10**6),
    bit=st.integers(0, 7),
    cut=st.integers(0, 400),
    junk=st.binary(max_size=80),
)
def test_broken_datagrams_never_raise(packets: list[bytes], at: int, bit: int, cut: int, junk: bytes) -> None:
    """Lost otherwise: one crafted datagram ends a call, or the worker."""
    sender, receiver = Sender(), Receiver()
    for packet in packets:
        datagram = bytearray(sender.wrap(packet))
        datagram[at % len(datagram)] ^= 1 << bit
        for mutant in (bytes(datagram), bytes(datagram[:cut]), junk):
            for number, found in receiver.receive(mutant):
                assert 0 <= number < 0x10000
                assert isinstance(found, bytes)


def test_a_datagram_keeps_to_the_size_that_the_far_end_takes() -> None:
    """Lost otherwise: a gateway drops our datagrams for their size, and no page gets through."""
    sender = Sender(redundancy=3, max_datagram=MAX_DATAGRAM)
    for _ in range(5):
        assert len(sender.wrap(bytes(190))) <= MAX_DATAGRAM
    receiver = Receiver()
    assert receiver.receive(Sender().wrap(bytes(200))) == [(0, bytes(200))]


def test_a_parity_field_does_not_hide_the_packet() -> None:
    """Lost otherwise: a gateway that sends FEC unasked cannot send us a fax."""
    assert Receiver().receive(b"\x00\x07\x02\xaa\xbb\x80\x01\x03\x01\x02\xcc\xdd") == [(7, b"\xaa\xbb")]
