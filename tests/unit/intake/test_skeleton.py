"""A message is read the same with its bulk set aside."""

from email import policy
from email.message import Message
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.intake import skeleton

LONG = b"".join(b"%064d\r\n" % number for number in range(40))

LINES = st.sampled_from(
    [
        *(b"--a", b"--a--", b"--b", b"--b--", b"--", b"-- ", b"", b"", b"text", b"\tfolded", b"From here", b"."),
        *(b'Content-Type: multipart/mixed; boundary="a"', b"Content-Type: multipart/mixed; boundary=b"),
        *(b"Content-Type: text/plain", b"Content-Transfer-Encoding: base64", b"--x: y", b"\xc3\xa9\xff"),
        *(b"Content-Transfer-Encoding: quoted-printable", b"a=20=", b"no header line", b"Subject: x", LONG[:-2]),
    ]
)


def described(message: Message) -> list[tuple[object, ...]]:
    """Return all of a message that is read later."""
    return [
        (one.items(), one.is_multipart(), [type(defect) for defect in one.defects], one.get_payload(decode=True))
        for one in message.walk()
    ]


@given(st.lists(LINES, max_size=30))
def test_the_parts_are_those_of_the_standard_library(lines: list[bytes]) -> None:
    """A part that only one of the two readings shows would be faxed, or lost, by the program in between."""
    data = b"\r\n".join(lines) + b"\r\n"
    usual = BytesParser(policy=policy.compat32).parsebytes(data)
    assert described(skeleton.parse(data, policy.compat32, lambda: None)) == described(usual)


@pytest.mark.parametrize("encoding", [b"base64", b"7bit", b"8bit", b"quoted-printable", b"x-uuencode"])
def test_a_long_part_keeps_every_byte(encoding: bytes) -> None:
    """A document whose bulk was put back wrongly would be damaged on the fax."""
    part = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + LONG * 3
    data = b'Content-Type: multipart/mixed; boundary="a"\r\n\r\n--a\r\n' + part + b"\r\n--a\r\n\r\nx\r\n--a--\r\n"
    usual = BytesParser(policy=policy.compat32).parsebytes(data)
    assert described(skeleton.parse(data, policy.compat32, lambda: None)) == described(usual)
    assert described(usual)[1][3]
