"""Listeners beyond the plain one: TLS in each way, logins, client certificates, LMTP, a Unix socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import smtplib
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from relay.errors import SettingsError
from relay.intake.tls import Certificate
from relay.mail_settings import Smtp
from relay.passwords import Passwords
from relay.store.tables import user
from relay.users import UserOperations

from .conftest import POLICY, Client, Relay, listening
from .test_accepting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSWORD = "correct horse battery"
NUMBER = "+12025550123@fax.example.com"
BY_LOGIN = POLICY.replace("        proof: none\n", "        proof: auth\n", 1)
BY_CERTIFICATE = POLICY.replace("        proof: none\n", "        proof: client-cert\n", 1)


def certify(folder: Path, name: str, *, issuer: str = "", names: str = "DNS:localhost", days: int = 90) -> Path:
    """Make a certificate with its key in one PEM file, signed by that of ``issuer`` or by itself."""
    pem, key, request = folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}.csr"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    if issuer:
        subprocess.run([*new, *subject, "-out", str(request)], check=True, capture_output=True)
        signing = ["-CA", str(folder / f"{issuer}.pem"), "-CAkey", str(folder / f"{issuer}.key"), "-CAcreateserial"]
        subprocess.run(
            ["openssl", "x509", "-req", "-in", str(request), *signing, "-copy_extensions", "copy", "-days", str(days),
             "-out", str(pem)], check=True, capture_output=True,
        )  # fmt: skip
    else:
        subprocess.run([*new, "-x509", *subject, "-days", str(days), "-out", str(pem)], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    return pem


def settings(**listener: Any) -> Smtp:
    """Return the settings of one listener."""
    return Smtp.model_validate({"listeners": [{"port": 0, **listener}], "disk_reserve_bytes": 0})


def client_context(certificate: Path, own: Path | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts the server's certificate."""
    context = ssl.create_default_context(cafile=str(certificate))
    if own is not None:
        context.load_cert_chain(own)
    return context


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run a blocking client beside the server."""
    return await asyncio.wait_for(asyncio.to_thread(work, *arguments), 30)


async def with_user(relay: Relay, *addresses: str) -> UserOperations:
    """Make the user alice."""
    users = UserOperations(relay.store, time.time, lambda: relay.policy.current.users)
    await users.user_add("alice", PASSWORD, list(addresses))
    return users


async def test_mail_by_starttls_and_a_login_is_taken(tmp_path: Path, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: nobody outside the office can send a fax with an ordinary mail program."""
    certificate = certify(tmp_path, "localhost")

    def send(port: int) -> list[str]:
        with smtplib.SMTP("localhost", port, timeout=20) as smtp:
            smtp.ehlo()
            offered = [str(smtp.has_extn("starttls")), str(smtp.has_extn("auth"))]
            smtp.starttls(context=client_context(certificate))
            smtp.ehlo()
            offered += [str(smtp.has_extn("starttls")), smtp.esmtp_features["auth"].strip()]
            smtp.login("alice", PASSWORD)
            smtp.sendmail("alice@example.com", [NUMBER], letter())
        return offered

    async with listening(tmp_path, settings(tls="required", certificate=certificate, auth=True), BY_LOGIN) as relay:
        await with_user(relay, "alice@example.com")
        assert await in_thread(send, relay.server.ports[0]) == ["True", "False", "False", "PLAIN LOGIN"]
        assert [(row.sender, row.proof) for row in relay.submissions] == [("alice@example.com", "auth")]


async def test_a_login_proves_its_own_addresses_alone(tmp_path: Path, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: every employee faxes in the name of the chief."""
    async with listening(tmp_path, settings(auth=True), BY_LOGIN) as relay:
        await with_user(relay, "bob@example.com")
        client = await relay.client()
        assert (await client.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}")).startswith("235 2.7.0")
        assert (await client.send(letter(), NUMBER)).startswith("550 5.7.1")
        assert (await client.send(letter(sender="bob@example.com"), NUMBER, sender="bob@example.com")).startswith("250")
        assert len(relay.submissions) == 1


async def test_a_declared_user_logs_in_like_one_of_the_database(tmp_path: Path, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the users of the policy files exist on paper, or one who was disabled there goes on sending."""
    passwords = Passwords()
    known = await passwords.made(PASSWORD)
    passwords.close()
    users = f"users:\n  - {{name: alice, password_hash: '{known}', addresses: ['@example.com']}}\n"
    async with listening(tmp_path, settings(auth=True), BY_LOGIN + users) as relay:
        client = await relay.client()
        assert (await client.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}")).startswith("235 2.7.0")
        assert (await client.send(letter(), NUMBER)).startswith("250")
        (tmp_path / "policies" / "test.yaml").write_text(BY_LOGIN + users.replace("{name", "{disabled: true, name"))
        await relay.policy.reload()
        other = await relay.client()
        assert (await other.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}")).startswith("535")
        assert (await other.say(f"AUTH PLAIN {_plain('alice', PASSWORD + '!')}")).startswith("535")


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (lambda: f"AUTH PLAIN {_plain('alice', 'wrong password')}", "535 5.7.8"),
        (lambda: f"AUTH PLAIN {_plain('nobody', PASSWORD)}", "535 5.7.8"),
        (lambda: "AUTH PLAIN !!!", "501 5.5.2"),
        (lambda: "AUTH PLAIN " + base64.b64encode(b"\0alice").decode(), "501 5.5.2"),
        (lambda: "AUTH PLAIN " + base64.b64encode(b"chief\0alice\0" + PASSWORD.encode()).decode(), "501 5.5.2"),
        (lambda: "AUTH CRAM-MD5", "504 5.5.4"),
        (lambda: "AUTH", "501 5.5.4"),
        (lambda: f"auth plain {_plain('alice', PASSWORD)}", "235 2.7.0"),
    ],
)
async def test_what_a_login_is_answered(tmp_path: Path, line: Callable[[], str], reply: str) -> None:
    """Lost otherwise: a guesser learns which names there are, or an honest client is turned away."""
    async with listening(tmp_path, settings(auth=True), BY_LOGIN) as relay:
        await with_user(relay, "alice@example.com")
        client = await relay.client()
        assert (await client.say(line())).startswith(reply)


async def test_the_two_steps_of_login_and_giving_up(tmp_path: Path) -> None:
    """Lost otherwise: old mail programs, which know LOGIN only, cannot send."""
    async with listening(tmp_path, settings(auth=True), BY_LOGIN) as relay:
        await with_user(relay, "alice@example.com")
        client = await relay.client()
        assert (await client.say("AUTH LOGIN")).startswith("334 ")
        assert (await client.say("*")).startswith("501 ")
        assert (await client.say("AUTH LOGIN")).startswith("334 ")
        assert (await client.say(base64.b64encode(b"alice"))).startswith("334 ")
        assert (await client.say(base64.b64encode(PASSWORD.encode()))).startswith("235 ")
        assert (await client.say("AUTH LOGIN")).startswith("503 ")


async def test_a_disabled_user_and_a_changed_password(tmp_path: Path) -> None:
    """Lost otherwise: who has left the company still sends faxes."""
    async with listening(tmp_path, settings(auth=True), BY_LOGIN) as relay:
        users = await with_user(relay, "alice@example.com")
        await users.user_password("alice", "another password")
        await users.user_disable("alice")
        client = await relay.client()
        assert (await client.say(f"AUTH PLAIN {_plain('alice', 'another password')}")).startswith("535")
        await users.user_enable("alice")
        assert (await client.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}")).startswith("535")
        assert (await client.say(f"AUTH PLAIN {_plain('alice', 'another password')}")).startswith("235")
        hashes = relay.store.read_now(lambda c: c.execute(sa.select(user.c.password_hash)).scalars().all())
        assert all(one.startswith("$argon2id$") for one in hashes)


async def test_who_guesses_is_not_asked_any_more(tmp_path: Path) -> None:
    """Lost otherwise: passwords are guessed at leisure."""
    async with listening(tmp_path, settings(auth=True), BY_LOGIN) as relay:
        await with_user(relay, "alice@example.com")
        client = await relay.client()
        replies = [await client.say(f"AUTH PLAIN {_plain('alice', f'guess {n}')}") for n in range(12)]
        assert replies[0].startswith("535 5.7.8")
        assert replies[-1].startswith("454 4.7.0")
        assert (await client.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}")).startswith("454")


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were checked, all of them wrong."""
    found: list[str] = []

    def check(_: Passwords, password: str, _known: str | None) -> bool:
        found.append(password)
        time.sleep(0.05)
        return False

    monkeypatch.setattr(Passwords, "_check", check)
    return found


async def test_guesses_on_many_connections_at_once_count_each(tmp_path: Path, checked: list[str]) -> None:
    """Lost otherwise: fifty passwords are guessed where ten are allowed, and honest logins wait for all of them."""
    async with listening(tmp_path, settings(auth=True), BY_LOGIN) as relay:
        clients = [await relay.client() for _ in range(30)]
        await asyncio.gather(*(one.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}") for one in clients))
        assert len(checked) <= 11


async def test_a_guess_counts_though_its_client_hangs_up(tmp_path: Path, checked: list[str]) -> None:
    """Lost otherwise: a client that never waits for an answer keeps two processors busy, and nobody can log in."""
    async with listening(tmp_path, settings(auth=True), BY_LOGIN) as relay:
        for _ in range(10):
            client = await relay.client()
            client.write(f"AUTH PLAIN {_plain('alice', PASSWORD)}")
            await until(lambda: len(checked) == len(relay.clients))
            client.writer.close()
            await until(lambda: not relay.server._sessions)
        client = await relay.client()
        assert (await client.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}")).startswith("454 4.7.0")


async def test_no_password_goes_in_the_clear(tmp_path: Path) -> None:
    """Lost otherwise: who listens on the way reads passwords."""
    certificate = certify(tmp_path, "localhost")
    async with listening(tmp_path, settings(tls="starttls", certificate=certificate, auth=True), BY_LOGIN) as relay:
        client = await relay.client()
        assert (await client.say(f"AUTH PLAIN {_plain('alice', PASSWORD)}")).startswith("538 5.7.11")


async def test_commands_before_tls_do_not_reach_behind_it(tmp_path: Path) -> None:
    """Lost otherwise: who stands on the way puts a mail of his own into the victim's session (STARTTLS injection)."""
    certificate = certify(tmp_path, "localhost")

    def inject(port: int) -> list[str]:
        with smtplib.SMTP("localhost", port, timeout=20) as smtp:
            smtp.ehlo()
            assert smtp.sock is not None
            smtp.sock.sendall(b"STARTTLS\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<" + NUMBER.encode() + b">\r\n")
            assert smtp.getreply()[0] == 220
            smtp.sock = client_context(certificate).wrap_socket(smtp.sock, server_hostname="localhost")
            smtp.file = None
            first = smtp.docmd("NOOP")
            return [str(first[0]), str(smtp.docmd("RCPT", f"TO:<{NUMBER}>")[0])]

    async with listening(tmp_path, settings(tls="starttls", certificate=certificate)) as relay:
        assert await in_thread(inject, relay.server.ports[0]) == ["250", "503"]


async def test_nothing_goes_before_tls_where_it_is_required(tmp_path: Path) -> None:
    """Lost otherwise: documents travel readable although the admin forbade it."""
    certificate = certify(tmp_path, "localhost")
    async with listening(tmp_path, settings(tls="required", certificate=certificate)) as relay:
        client = await relay.client()
        assert (await client.say("MAIL FROM:<alice@example.com>")).startswith("530 5.7.0")


async def test_a_handshake_that_never_ends_is_counted_out(tmp_path: Path) -> None:
    """Lost otherwise: clients that say STARTTLS and nothing more use up the connections of all for ever."""
    impatient = settings(tls="starttls", certificate=certify(tmp_path, "localhost"))
    async with listening(tmp_path, impatient.model_copy(update={"idle_seconds": 0.3})) as relay:
        client = await relay.client()
        assert (await client.say("STARTTLS")).startswith("220 ")
        assert await client.reply() == ""
        assert not relay.server._sessions


async def test_tls_from_the_first_octet(tmp_path: Path, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: mail programs that know port 465 only cannot send."""
    certificate = certify(tmp_path, "localhost")

    def send(port: int) -> Any:
        with smtplib.SMTP_SSL("localhost", port, timeout=20, context=client_context(certificate)) as smtp:
            return smtp.sendmail("alice@example.com", [NUMBER], letter())

    async with listening(tmp_path, settings(tls="implicit", certificate=certificate)) as relay:
        assert await in_thread(send, relay.server.ports[0]) == {}
        assert len(relay.submissions) == 1


async def test_a_client_is_counted_before_its_handshake(tmp_path: Path) -> None:
    """Lost otherwise: clients that never shake hands are any number, each with a quarter of a megabyte of ours."""
    certificate = certify(tmp_path, "localhost")
    few = settings(tls="implicit", certificate=certificate).model_copy(update={"connections": 3})
    async with listening(tmp_path, few) as relay:
        port, tls = relay.server.ports[0], client_context(certificate)
        silent = [Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(2)]
        third = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost"))
        assert (await third.reply()).startswith("220 "), "counted once, before its handshake and behind it"
        fourth = Client(*await asyncio.open_connection("127.0.0.1", port))
        with contextlib.suppress(ConnectionResetError):
            assert await fourth.reply() == ""
        for client in silent:
            client.writer.close()
        await until(lambda: len(relay.server._sessions) == 1)
        await third.say("QUIT")
        third.writer.close()
        await until(lambda: not relay.server._sessions)


async def test_a_client_certificate_proves_the_addresses_that_it_names(
    tmp_path: Path, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: a company's mail server cannot prove itself, or anybody's certificate is good enough."""
    certificate = certify(tmp_path, "localhost")
    certify(tmp_path, "ca", names="DNS:ca.example")
    certify(tmp_path, "other", names="DNS:other.example")
    good = certify(tmp_path, "mail", issuer="ca", names="DNS:example.com")
    narrow = certify(tmp_path, "bob", issuer="ca", names="email:bob@example.com")
    for_tls = {"tls": "starttls", "certificate": certificate, "client_ca": tmp_path / "ca.pem"}

    def send(port: int, own: Path | None) -> str:
        with smtplib.SMTP("localhost", port, timeout=20) as smtp:
            smtp.starttls(context=client_context(certificate, own))
            try:
                smtp.sendmail("alice@example.com", [NUMBER], letter())
            except smtplib.SMTPDataError as refused:
                return str(refused.smtp_code)
            return "250"

    async with listening(tmp_path, settings(**for_tls), BY_CERTIFICATE) as relay:
        port = relay.server.ports[0]
        assert [await in_thread(send, port, own) for own in (None, narrow, good)] == ["550", "550", "250"]
        assert [row.proof for row in relay.submissions] == ["client-cert"]
        with pytest.raises((ssl.SSLError, smtplib.SMTPException, ConnectionError)):
            await in_thread(send, port, certify(tmp_path, "stranger", issuer="other", names="DNS:example.com"))


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """Lost otherwise: every renewal means a restart, or a night with an expired certificate."""
    now = [1000.0]
    chain = certify(tmp_path, "localhost", days=30)
    certificate = Certificate(chain, None, None, lambda: now[0] + time.time())
    first = certificate.ends_at
    assert certificate.complaint() is None
    certify(tmp_path, "localhost", days=60)
    now[0] += 10
    certificate.context()
    assert certificate.ends_at > first + 29 * 86400
    chain.write_text("this is no certificate")
    now[0] += 10
    assert "the one before is served on" in str(certificate.complaint())
    certify(tmp_path, "localhost", days=5)
    now[0] += 10
    assert "expires in 5 days" in str(certificate.complaint())


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """Lost otherwise: the service is up, and no client can connect."""
    (tmp_path / "empty.pem").write_text("")
    for file in ("empty.pem", "missing.pem"):
        with pytest.raises(SettingsError, match="PEM file with the chain"):
            Certificate(tmp_path / file, None, None, time.time)


async def test_lmtp_answers_for_each_recipient(tmp_path: Path, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the mail server in front believes that all went well, or bounces what was taken."""
    path = tmp_path / "lmtp.sock"
    listener = settings(protocol="lmtp", path=path, trusted=True)
    async with listening(tmp_path, listener) as relay:
        client = Client(*await asyncio.open_unix_connection(path))
        assert (await client.reply()).startswith("220 ")
        assert (await client.say("EHLO mail.example")).startswith("500 ")
        assert "PIPELINING" in await client.say("LHLO mail.example")
        await client.begin(NUMBER, "+442079460123@fax.example.com")
        client.put(letter())
        replies = [await client.reply() for _ in range(2)]
        assert all(reply.startswith("250 ") for reply in replies), replies
        assert len(relay.faxes) == 2
        await client.begin(NUMBER)
        client.put(letter(sender="eve@stranger.example"))
        assert (await client.reply()).startswith("550 5.7.1")
        assert [row.source for row in relay.submissions] == ["lmtp"]
        client.writer.close()
        assert oct(path.stat().st_mode & 0o777) == "0o660"


async def test_lmtp_refuses_one_recipient_and_takes_the_other(tmp_path: Path, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: one forbidden number stops the fax to all, or is silently dropped."""
    async with listening(tmp_path, settings(protocol="lmtp", trusted=True)) as relay:
        client = await relay.client("LHLO mail.example")
        await client.say("MAIL FROM:<alice@example.com>")
        for number in ("+12025550124", "+12025550123"):
            assert (await client.say(f"RCPT TO:<{number}@fax.example.com>")).startswith("250 2.1.5")
        path = relay.folder / "policies" / "test.yaml"  # changes between the dialogue and the message
        path.write_text(path.read_text().replace('"+1900"', '"+12025550124"'))
        await relay.policy.reload()
        await client.say("DATA")
        client.put(letter())
        assert [(await client.reply())[:9] for _ in range(2)] == ["550 5.7.1", "250 2.0.0"]
        assert [(row.peer, row.state) for row in relay.faxes] == [("+12025550123", "accepted")]


async def test_lmtp_answers_for_each_recipient_of_a_message_that_is_too_large(
    tmp_path: Path, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: the mail server in front waits for the second answer and takes that of its next command."""
    small = settings(protocol="lmtp", trusted=True).model_copy(update={"message_bytes": 2000})
    async with listening(tmp_path, small) as relay:
        client = await relay.client("LHLO mail.example")
        await client.begin(NUMBER, "+442079460123@fax.example.com")
        client.put(letter())
        client.write("NOOP")
        assert [(await client.reply())[:3] for _ in range(3)] == ["552", "552", "250"]


def _plain(name: str, password: str) -> str:
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()
