"""The content of DATA: one end, wherever the network cuts it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.intake.dotted import DotDecoder

#: Pieces whose every combination is an edge.
PIECES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"a", b"\r\n.", b"\r\n.\r", b"\n.\n"]), max_size=30
)


def plainly(data: bytes) -> tuple[bytes, bool, bytes]:
    """Decode as RFC 5321 section 4.5.2 says it, line by line."""
    content = b""
    while True:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            return content + line.removeprefix(b"."), False, b""
        if line == b".":
            return content, True, rest
        content += line.removeprefix(b".") + end
        data = rest


@given(PIECES, st.lists(st.integers(0, 60), max_size=8))
def test_chunks_do_not_matter(pieces: list[bytes], cuts: list[int]) -> None:
    """Lost otherwise: a dot is lost or doubled where a packet happened to end, once in a thousand mails."""
    data = b"".join(pieces) + b"\r\n.\r\nQUIT\r\n"
    content, _, rest = plainly(data)
    decoder = DotDecoder()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    out = b""
    for start, end in itertools.pairwise(places):
        if decoder.ended:
            decoder.rest += data[start:end]
        else:
            out += decoder.feed(data[start:end])
    assert (out, decoder.ended, decoder.rest) == (content, True, rest)


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"])
def test_no_other_end_ends(end: bytes) -> None:
    """Lost otherwise: a second mail is smuggled inside the first, past every check of its sender."""
    decoder = DotDecoder()
    decoder.feed(b"Subject: a\r\n\r\nbody" + end + b"MAIL FROM:<ceo@example.com>\r\n")
    assert not decoder.ended


def test_an_empty_message_ends_at_once() -> None:
    """Lost otherwise: a client that sends nothing waits until its time is up."""
    decoder = DotDecoder()
    assert decoder.feed(b".\r\n") == b""
    assert decoder.ended
