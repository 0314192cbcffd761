"""Messages out of a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.sip.framing import BadStream, Framer

ONE = b"OPTIONS sip:x SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 4\r\n\r\nbody"
TWO = b"BYE sip:x SIP/2.0\r\nl : 0\r\n\r\n"


@given(st.lists(st.integers(1, len(ONE + TWO) - 1), max_size=20))
def test_messages_come_whole_however_they_were_cut(cuts: list[int]) -> None:
    """Lost otherwise: a trunk on TCP is deaf as soon as the network cuts a message in two."""
    stream, framer, found, at = ONE + b"\r\n\r\n" + TWO, Framer(), [], 0
    for cut in sorted({*cuts, len(stream)}):
        found += framer.feed(stream[at:cut])
        at = max(at, cut)
    found += framer.feed(stream[at:])
    assert found == [ONE, TWO]
    assert not framer.waiting


def test_a_keep_alive_is_counted() -> None:
    """Lost otherwise: a far side that pings us takes the connection for dead (RFC 5626 3.5.1)."""
    framer = Framer()
    assert framer.feed(b"\r\n\r\n") == []
    assert framer.pings == 1


@pytest.mark.parametrize(
    "stream",
    [
        b"x" * 40_000, b"BYE sip:x SIP/2.0\r\n\r\n", b"BYE sip:x SIP/2.0\r\nContent-Length: 99999999\r\n\r\n",
        b"BYE sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_a_stream_that_cannot_be_followed_is_given_up(stream: bytes) -> None:
    """Lost otherwise: one connection fills the memory, or messages are read from the middle."""
    with pytest.raises(BadStream):
        Framer().feed(stream)
