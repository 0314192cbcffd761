"""The smarthost carrier against a real SMTP server that answers as told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from relay.errors import SettingsError
from relay.mailer.letter import MAIL, MAIL_UTF8, Letter
from relay.mailer.smarthost import Smarthost
from relay.outbox import Deferred, Delivered, Outcome, Refused
from relay.settings import Smarthost as Server

Answer = Callable[[SMTP, Envelope], Awaitable[str]]


class Handler:
    """Keeps what comes; answers each step as told."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.kept: list[Envelope] = []

    async def handle_MAIL(  # noqa: N802  aiosmtpd's name and signature
        self,
        _server: SMTP,
        _session: Any,
        envelope: Envelope,
        address: str | None,
        options: list[str],
    ) -> str:
        """Answer MAIL FROM."""
        envelope.mail_from, envelope.mail_options = address, options
        return self.answers.get("mail", "250 2.1.0 OK")

    async def handle_RCPT(  # noqa: N802
        self,
        _server: SMTP,
        _session: Any,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Answer RCPT TO."""
        envelope.rcpt_tos.append(address)
        return self.answers.get("rcpt", "250 2.1.5 OK")

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        """Answer the message; ``drop`` and ``hang`` answer nothing."""
        self.kept.append(envelope)
        answer = self.answers.get("data", "250 2.0.0 queued as 4711")
        if answer == "drop":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        if answer in {"drop", "hang"}:
            await asyncio.sleep(5)
        return answer


@contextlib.asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[int]:
    """Run a server on a port that the system picks."""
    tls = options.pop("tls", None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="mx.example.com", enable_SMTPUTF8=options.pop("utf8", True), **options),
        "127.0.0.1", 0, ssl=tls,
    )  # fmt: skip
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def carrier(port: int, **more: Any) -> Smarthost:
    """Return a carrier to that port, without TLS unless told."""
    trust = more.pop("trust", None)
    values = {"host": "127.0.0.1", "port": port, "tls": "none", "timeout_seconds": 1.0} | more
    return Smarthost(Server.model_validate(values), "relay.example.com", trust)


def letter(recipient: str = "user@example.com", sender: str = "") -> Letter:
    """Return a small letter with the null return path."""
    message = EmailMessage(MAIL if recipient.isascii() else MAIL_UTF8)
    message["From"], message["To"], message["Subject"] = "fax@fax.example.com", "elsewhere@example.com", "Hello"
    message.set_content("Line\n.dot\n")
    return Letter("1", sender, recipient, message)


async def outcome(handler: Handler, post: Letter | None = None, **more: Any) -> Outcome:
    """Send a letter to a server with this handler."""
    async with serving(handler) as port:
        return await carrier(port, **more).send(post or letter())


async def test_a_letter_goes_to_its_envelope_with_the_null_return_path() -> None:
    """Lost otherwise: bounces of receipts come back as mail, and headers decide where mail goes."""
    handler = Handler()
    assert await outcome(handler) == Delivered("2.0.0 queued as 4711")
    (kept,) = handler.kept
    assert kept.mail_from == "<>"
    assert kept.rcpt_tos == ["user@example.com"]
    assert isinstance(kept.content, bytes)
    assert b"To: elsewhere@example.com\r\n" in kept.content
    assert kept.content.endswith(b"\r\n\r\nLine\r\n.dot\r\n")


@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
async def test_a_temporary_answer_waits_and_a_permanent_one_is_final_in_the_servers_words(step: str) -> None:
    """Lost otherwise: mail that was only greylisted is thrown away, or mail to nobody is tried for days."""
    assert await outcome(Handler(**{step: "451 4.7.1 Greylisted"})) == Deferred("451 4.7.1 Greylisted")
    assert await outcome(Handler(**{step: "550 5.1.1 No such user here"})) == Refused("550 5.1.1 No such user here")


async def test_a_server_that_is_closing_blocks_the_lane_and_not_the_letter() -> None:
    """Lost otherwise: a restart of the mail server delays each mail on its own."""
    assert await outcome(Handler(rcpt="421 4.3.2 Shutting down")) == Deferred("421 4.3.2 Shutting down", blocked=True)


async def test_a_connection_that_drops_or_hangs_leaves_the_letter_for_later() -> None:
    """Lost otherwise: a mail is taken for delivered, or for refused, although nobody said so."""
    for answer in ("drop", "hang"):
        async with serving(Handler(data=answer)) as port:
            came = await carrier(port, timeout_seconds=0.5).send(letter())
        assert isinstance(came, Deferred)
        assert not came.blocked
        assert came.reason.startswith(f"127.0.0.1:{port} broke off: ")


async def test_a_server_that_cannot_be_reached_blocks_the_lane() -> None:
    """Lost otherwise: every mail waits longer and longer for an outage that it has nothing to do with."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    came = await carrier(port).send(letter())
    assert isinstance(came, Deferred)
    assert came.blocked
    assert f"127.0.0.1:{port} takes no mail now" in came.reason


async def test_a_server_that_says_nothing_is_left_in_time() -> None:
    """Lost otherwise: a dead server holds the lane for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        came = await carrier(silent.getsockname()[1], timeout_seconds=0.3).send(letter())
    assert isinstance(came, Deferred)
    assert came.blocked


async def test_mail_is_never_sent_in_the_clear_where_tls_is_asked_for() -> None:
    """Lost otherwise: somebody on the way strips STARTTLS and reads every fax."""
    handler = Handler()
    came = await outcome(handler, tls="starttls")
    assert isinstance(came, Deferred)
    assert came.blocked
    assert handler.kept == []


async def test_an_international_address_is_only_sent_where_it_is_understood() -> None:
    """Lost otherwise: a mail to a non-ASCII mailbox fails with a fault of ours, or goes to another mailbox."""
    handler = Handler()
    post = letter("дмитрий@example.com")
    assert isinstance(await outcome(handler, post), Delivered)
    assert handler.kept[0].rcpt_tos == ["дмитрий@example.com"]
    async with serving(Handler(), utf8=False) as port:
        came = await carrier(port).send(post)
    assert came == Refused(f"127.0.0.1:{port} cannot take mail for дмитрий@example.com: it does not know SMTPUTF8")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for 127.0.0.1, and a client that trusts it."""
    key, signed = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=mx.example.com", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", signed],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(signed, key)
    return server, ssl.create_default_context(cafile=str(signed))


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_both_kinds_of_tls_work_and_a_strange_certificate_does_not(
    mode: str, certificate: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """Lost otherwise: anybody in between can pose as the mail server."""
    theirs, ours = certificate
    handler = Handler()
    options: dict[str, Any] = {"tls": theirs} if mode == "tls" else {"tls_context": theirs}
    async with serving(handler, **options) as port:
        assert isinstance(await carrier(port, tls=mode, trust=ours).send(letter()), Delivered)
        came = await carrier(port, tls=mode).send(letter())
    assert isinstance(came, Deferred)
    assert came.blocked
    assert "certificate" in came.reason.lower()
    assert len(handler.kept) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_refused_login_loses_no_mail(tmp_path: Path) -> None:
    """Lost otherwise: a changed password turns every mail of the day into a failure."""
    (tmp_path / "password").write_text("right")

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    login = {"username": "relay", "password": f"file:{tmp_path / 'password'}"}
    handler = Handler()
    async with serving(handler, authenticator=check, auth_require_tls=False, auth_required=True) as port:
        assert isinstance(await carrier(port, **login).send(letter()), Delivered)
        (tmp_path / "password").write_text("wrong")
        came = await carrier(port, **login).send(letter())
    assert isinstance(came, Deferred)
    assert came.blocked
    assert "535" in came.reason


def test_a_password_that_cannot_be_found_stops_the_start() -> None:
    """Lost otherwise: a typing mistake in the settings shows up as undelivered mail days later."""
    with pytest.raises(SettingsError, match="env:FAXRELAY_NO_SUCH"):
        carrier(25, username="relay", password="env:FAXRELAY_NO_SUCH")
