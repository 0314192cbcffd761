"""UDPTL: what loss it repairs, and what a hostile far end can send."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transport.order import ErrorCorrection
from transport.udptl import MAX_DATAGRAM, PATIENCE, Receiver, Sender, is_udptl

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


def indicator(number: int) -> bytes:
    """Return an IFP packet of one octet."""
    return bytes((number % 16 << 1,))


def image(number: int, size: int) -> bytes:
    """Return an IFP packet of so many octets of a page."""
    return b"\xc0\x01\x80" + (size - 1).to_bytes(2, "big") + bytes((number % 256,)) * size


@given(
    sizes=st.lists(st.integers(0, 60), min_size=12, max_size=60),
    losses=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3)), max_size=3),
)
def test_parities_repair_up_to_three_losses_in_a_row(sizes: list[int], losses: list[tuple[int, int]]) -> None:
    """Lost otherwise: a gateway that was promised FEC gets a page with holes, and so do we from it."""
    packets = [image(number, size) if size else indicator(number) for number, size in enumerate(sizes)]
    sender, receiver = Sender(max_datagram=1400, correction=ErrorCorrection.FEC), Receiver()
    gone = set()
    at = 12  # by then the groups have grown, and the packets in them are known
    for distance, length in losses:
        at += distance
        gone |= set(range(at, at + length))
        at += length + 12
    gone &= set(range(len(packets) - 3))
    got = []
    for number, packet in enumerate(packets):
        datagram = sender.wrap(packet)
        if number not in gone:
            got += [found for _, found in receiver.receive(datagram)]
    for _ in range(PATIENCE):
        got += [found for _, found in receiver.pass_tick()]
    assert got == packets
    assert receiver.lost == 0


def test_parities_stand_as_other_stacks_write_them() -> None:
    """Lost otherwise: our parities repair nothing at anybody else's end."""
    sender = Sender(correction=ErrorCorrection.FEC)
    datagrams = [sender.wrap(bytes((number,))) for number in (1, 2, 4, 8, 16, 32, 64)]
    assert datagrams[2] == b"\x00\x02\x01\x04\x00\x00", "no group is full yet"
    assert datagrams[3] == b"\x00\x03\x01\x08\x80\x01\x01\x03\x01\x01\x01\x02\x01\x04"
    # span 2: packet 6 with parities of 0 and 3, of 1 and 4, of 2 and 5
    assert datagrams[6] == b"\x00\x06\x01\x40\x80\x01\x02\x03" + bytes((1, 1 ^ 8, 1, 2 ^ 16, 1, 4 ^ 32))


def test_a_far_end_that_wants_no_repair_gets_none() -> None:
    """Lost otherwise: an old gateway that cannot read copies drops all our datagrams."""
    sender = Sender(correction=ErrorCorrection.NONE)
    assert [sender.wrap(bytes((number,)))[4:] for number in range(3)] == [b"\x00\x00"] * 3


def test_an_overtaken_datagram_loses_nothing_and_a_lost_one_is_waited_for_a_moment() -> None:
    """Lost otherwise: a far end without redundancy loses lines of the page to each datagram that comes a bit later."""
    sender, receiver = Sender(0), Receiver()
    datagrams = [sender.wrap(indicator(number)) for number in range(8)]
    numbers = [[number for number, _ in receiver.receive(datagrams[index])] for index in (0, 2, 3, 1)]
    assert numbers == [[0], [], [], [1, 2, 3]]
    assert receiver.receive(datagrams[5]) == []
    waited = [receiver.pass_tick() for _ in range(PATIENCE)]
    assert waited == [*([[]] * (PATIENCE - 1)), [(5, indicator(5))]]
    assert receiver.lost == 1
    assert receiver.receive(datagrams[4]) == [], "the engine cannot go back"


def test_what_is_no_udptl_is_known() -> None:
    """Lost otherwise: a stranger's datagram makes a port stay with the stranger."""
    assert is_udptl(Sender().wrap(b"\x06"))
    assert not any(is_udptl(datagram) for datagram in (b"", b"\0\0", b"\0\0\0\0\0", b"\0\1\x7fabc"))
