"""What is kept of messages."""

from __future__ import annotations

import pytest

from transport.sip.record import Captures, call_id, line, redacted

INVITE = (
    "INVITE sip:+1@h SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nCall-ID: abc\r\nCSeq: 1 INVITE\r\n"
    'Proxy-Authorization: Digest username="u",\r\n response="0123456789abcdef"\r\nMax-Forwards: 70\r\n\r\n'
    "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8 0\r\n"
)


class Way:
    """A flow."""

    transport, remote, local, reliable = "udp", ("192.0.2.2", 5060), ("192.0.2.1", 5060), False

    def send_to(self, data: str | bytes, address: object) -> None:
        """Send nothing."""

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:  # noqa: N802  the library's name
        """Return our address."""
        return self.local, self.transport


def test_credentials_are_in_no_record() -> None:
    """Lost otherwise: a capture sent to the carrier's support holds what a password can be guessed from."""
    captures = Captures()
    captures.begin("abc", "call-1")
    captures.add("abc", 1.5, INVITE, Way(), outgoing=True)
    (kept,) = captures.of("call-1")
    assert "0123456789abcdef" not in kept["text"]
    assert "Max-Forwards: 70" in kept["text"]
    assert "0123456789abcdef" not in line(INVITE)
    assert redacted(INVITE).count("\r\n") == INVITE.count("\r\n") - 1
    assert captures.of("abc") == [kept]


def test_a_message_is_one_line() -> None:
    """Lost otherwise: the trace of a call cannot be read, or a peer forges lines of it."""
    assert line(INVITE) == "INVITE sip:+1@h (SDP audio 8 0 192.0.2.1:4000)"
    assert line("SIP/2.0 486 Busy Here\r\nCSeq: 1 INVITE\r\nReason: Q.850;cause=17\r\n\r\n") == (
        "486 Busy Here (reason Q.850;cause=17)"
    )
    assert line("SIP/2.0 200 OK\r\nCSeq: 2 BYE\r\n\r\n") == "200 OK to BYE"
    hostile = line("SIP/2.0 200 \x1b[31m" + "x" * 500 + "\r\n\r\n")
    assert hostile.isprintable()
    assert len(hostile) <= 200


@pytest.mark.parametrize(("text", "found"), [(INVITE, "abc"), ("BYE x SIP/2.0\r\ni: short\r\n\r\n", "short"), ("", "")])
def test_a_message_is_told_by_its_call_id(text: str, found: str) -> None:
    """Lost otherwise: messages stand in no trace, or in another call's."""
    assert call_id(text) == found


def test_the_last_calls_only_are_kept() -> None:
    """Lost otherwise: the memory fills with old calls."""
    captures = Captures()
    for number in range(100):
        captures.begin(f"id-{number}", f"call-{number}")
        for _ in range(500):
            captures.add(f"id-{number}", 1.0, INVITE, Way(), outgoing=True)
    assert captures.of("call-0") == []
    assert len(captures.of("call-99")) == 200
