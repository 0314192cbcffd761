"""The SMTP listeners: who may connect, what is answered when, and how a message reaches the desk.

Source: RFC 5321; the codes of refusals are RFC 3463's. Invariants:

* 250 after DATA is sent when :meth:`relay.intake.desk.Desk.accept` has returned, that is: synced and committed;
* a client that goes away does not stop a message that is complete: it is taken or refused as if the client still
  listened;
* what goes wrong here is answered 451 with a sentence of ours; the fault itself goes to the log alone;
* nothing is accepted that the machine has no room to keep.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import socket
import time
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

import structlog
from aiosmtpd.proxy_protocol import V2_CMD

from policies import Proof
from relay.auth import verdict as examined
from relay.errors import Refusal, SettingsError
from relay.intake.address import ReportAddress
from relay.intake.desk import Desk, Envelope
from relay.intake.handshake import Handshake
from relay.intake.logins import MECHANISMS, BadResponse, decoded, plain
from relay.intake.replies import OUR_FAULT, of_refusal
from relay.intake.session import NULL_PATH, LmtpSession, MailEnvelope, MailSession, library_names
from relay.intake.spool import Spool
from relay.intake.taking import TakingIn
from relay.intake.tls import Certificate
from relay.mail_settings import Protocol, Tls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from aiosmtpd.proxy_protocol import ProxyData
    from aiosmtpd.smtp import Session

    from relay.intake.handshake import Client
    from relay.intake.logins import Logins
    from relay.intake.proving import Prover
    from relay.intake.reports import Reports
    from relay.mail_settings import Listener, Smtp
    from relay.store.blobs import LocalBlobs

log = structlog.get_logger()

#: IPv6 clients are counted by network: one customer has so many addresses (RFC 6177).
_IPV6_CUSTOMER: Final = 64
#: Seconds that closing waits for messages which are being taken.
_GRACE: Final = 30.0


class SmtpServer:
    """All SMTP listeners of the settings, before one desk. ``blobs`` gives room for messages on their way in."""

    def __init__(
        self,
        settings: Smtp,
        desk: Desk,
        blobs: LocalBlobs,
        logins: Logins | None = None,
        prover: Prover | None = None,
        reports: Reports | None = None,
    ) -> None:
        """``logins``: who may log in; needed where a listener has ``auth``; ``prover`` where it has ``dmarc``.

        ``reports``: who takes what comes back, if anybody.
        """
        self._taking_in = TakingIn(desk, reports)
        self._reports = reports
        self._settings = settings
        self._desk = desk
        self._blobs = blobs
        self._logins = logins
        self.prover = prover
        self._servers: list[asyncio.Server] = []
        self._taking: dict[Client, asyncio.Task[list[str]]] = {}
        self._sessions: dict[Client, object] = {}
        self._by_client: collections.Counter[object] = collections.Counter()

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on, in the order of the settings; 0 for a Unix socket."""
        found = [server.sockets[0] for server in self._servers]
        return [0 if one.family == socket.AF_UNIX else one.getsockname()[1] for one in found]

    async def start(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen; raises :class:`OSError` where an address is taken, :class:`relay.errors.SettingsError`.

        ``sockets``: those of the listeners, where another process has opened them.
        """
        given: Sequence[socket.socket | None] = sockets or [None] * len(self._settings.listeners)
        try:
            for listener, found in zip(self._settings.listeners, given, strict=True):
                self._servers.append(await self._listen(listener, found))
        except (OSError, SettingsError):
            await self.close()
            raise

    async def _listen(self, listener: Listener, found: socket.socket | None) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        certificate = Certificate.of_listener(listener, time.time)
        factory = self._session_factory(listener, certificate)
        if found is not None and listener.path is None:
            return await loop.create_server(factory, sock=found, backlog=512)
        if listener.path is None:
            return await loop.create_server(factory, listener.address, listener.port, backlog=512)
        own = found or open_unix(listener.path, int(listener.socket_mode, 8))
        return await loop.create_unix_server(factory, sock=own, backlog=512)

    async def close(self) -> None:
        """Stop listening, end the sessions, and wait for the messages that are being taken."""
        for server in self._servers:
            server.close()
        for session in list(self._sessions):
            session.close("421 4.3.2 The server is going down; try again later.")
        if self._taking:
            await asyncio.wait(self._taking.values(), timeout=_GRACE)
        for server in self._servers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await server.wait_closed()
        self._servers.clear()

    def _session_factory(
        self, listener: Listener, certificate: Certificate | None
    ) -> Callable[[], asyncio.BaseProtocol]:
        host = _Listening(self, listener, self._settings, self._blobs)
        hooks = _Hooks(self._desk, self._settings, self._blobs, self._logins, self._reports)
        kind = LmtpSession if listener.protocol is Protocol.LMTP else MailSession

        def session() -> asyncio.BaseProtocol:
            tls = certificate.context() if certificate is not None else None  # read again where it was renewed
            at_once = tls if listener.tls is Tls.IMPLICIT else None
            made = kind(
                hooks,
                host,
                hostname=self._settings.hostname,
                idle_seconds=self._settings.idle_seconds,
                tls=None if at_once else tls,
                tls_first=listener.tls is Tls.REQUIRED,
            )
            return made if at_once is None else Handshake(self, made, at_once)

        return session

    def admit(self, session: Client) -> bool:
        """Count a session in, or not where there are too many."""
        client = _customer(session.peer)
        everyone = len(self._sessions) >= self._settings.connections
        if everyone or self._by_client[client] >= self._settings.connections_per_address:
            log.warning("connection refused: too many", client=str(client), everyone=everyone)
            return False
        self._sessions[session] = client
        self._by_client[client] += 1
        return True

    def leave(self, session: Client) -> None:
        """Count a session out, when the message that it left behind is taken.

        Otherwise a client that hangs up behind each message could have us take any number of them at once.
        """
        if session in self._taking:
            self._taking[session].add_done_callback(lambda _: self.leave(session))
        elif session in self._sessions:
            client = self._sessions.pop(session)
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def take(self, session: MailSession, spool: Spool, envelope: Envelope | ReportAddress) -> asyncio.Task[list[str]]:
        """Take a message in a task that nobody's going away cancels."""
        task = self._taking[session] = asyncio.create_task(self._taking_in.take(spool, envelope), name="intake")
        task.add_done_callback(lambda _: self._taking.pop(session))
        return task


class _Listening:
    """One listener as its sessions see it: :class:`relay.intake.session.Host`."""

    def __init__(self, server: SmtpServer, listener: Listener, settings: Smtp, blobs: LocalBlobs) -> None:
        self._server = server
        self._blobs = blobs
        self._proofs = frozenset(listener.proofs) - {Proof.DMARC}
        self._prover = server.prover if Proof.DMARC in listener.proofs else None
        self._hop = listener.authserv_id or ""
        self._each = listener.protocol is Protocol.LMTP
        self.logins = listener.auth
        self.message_bytes = settings.message_bytes
        self.data_seconds = settings.data_seconds
        self._hops = listener.proxy_from
        self.admit = server.admit
        self.leave = server.leave

    def proxied(self, session: MailSession) -> bool:
        """Return whether the session is of a hop that names its client first."""
        hop = _client(session.peer)
        return hop is not None and any(hop in network for network in self._hops)

    def spool(self) -> Spool:
        """Return a fresh file for a message."""
        return Spool(self._blobs)

    def take(self, session: MailSession, envelope: MailEnvelope, spool: Spool) -> asyncio.Task[list[str]]:
        """Hand a complete message over, with what this listener knows of it."""
        return_path = "" if envelope.mail_from == NULL_PATH else str(envelope.mail_from)
        client = _client(session.peer)
        recipients = [one for one in envelope.recipients if not isinstance(one, ReportAddress)]
        if not recipients and isinstance(envelope.recipients[0], ReportAddress):
            return self._server.take(session, spool, envelope.recipients[0])
        known = Envelope(
            "lmtp" if self._each else "smtp", tuple(recipients), return_path, self._proofs,
            client, session.identities, each=self._each,
            examine=self._examination(client, session.greeted_as, return_path), asks=True, wishes=envelope.wishes,
            recipient_wishes=tuple(envelope.recipient_wishes), heard_from=session.greeted_as,
        )  # fmt: skip
        return self._server.take(session, spool, known)

    def _examination(
        self, client: IPv4Address | IPv6Address | None, helo: str, return_path: str
    ) -> Callable[[Path, str], Awaitable[frozenset[Proof]]] | None:
        """Return what examines a mail of this client, if mails are examined here."""
        if self._prover is None:
            return None
        brought_by = examined.Envelope(client, helo, return_path) if client is not None else None
        return partial(self._prover.proofs, client=brought_by, hop=self._hop)


class _Hooks:
    """aiosmtpd's hooks. An exception in one is answered by :meth:`handle_exception`."""

    def __init__(
        self, desk: Desk, settings: Smtp, blobs: LocalBlobs, logins: Logins | None, reports: Reports | None
    ) -> None:
        self._logins = logins
        self._reports = reports
        self._desk = desk
        self._settings = settings
        self._blobs = blobs

    def __dir__(self) -> list[str]:
        """Return what the library looks for: it asks for every connection."""
        return library_names(_Hooks)

    async def handle_PROXY(  # noqa: N802  the library's name
        self, server: MailSession, session: Session, _envelope: MailEnvelope, named: ProxyData
    ) -> bool:
        """Take the client that a trusted hop names for the one that is spoken with; return whether it may begin."""
        itself = named.command == V2_CMD.LOCAL  # a look of the hop's own; the addresses mean nothing then
        if not itself and named.src_addr is not None and named.src_port is not None:
            session.peer = (str(named.src_addr), named.src_port)  # type: ignore[assignment]  # as of a socket
        return server.begins()

    async def handle_HELO(self, server: MailSession, session: Session, _envelope: MailEnvelope, name: str) -> bytes:  # noqa: N802  the library's name
        """Greet."""
        session.host_name = name
        return f"250 {server.hostname}".encode()

    async def handle_EHLO(  # noqa: N802  the library's name
        self, server: MailSession, session: Session, _envelope: MailEnvelope, name: str, offered: list[str]
    ) -> list[bytes]:
        """Greet and tell what is true: the library's own extensions without HELP, and ours."""
        session.host_name = name
        lines = [line for line in offered[:-1] if not line.startswith("250-AUTH")]
        if server.logs_in:
            lines.append(f"250-AUTH {' '.join(MECHANISMS)}")
        return ["\r\n".join([*lines, "250-PIPELINING", "250-CHUNKING", "250-DSN", "250 ENHANCEDSTATUSCODES"]).encode()]

    async def handle_AUTH(  # noqa: N802  the library's name
        self, server: MailSession, session: Session, _envelope: MailEnvelope, arguments: list[str]
    ) -> str | None:
        """Let a user log in; ``None``: the client was answered already."""
        client = str(_client(server.peer) or "")
        if self._logins is None or self._logins.banned(client):
            return "454 4.7.0 Too many wrong passwords came from your address; try again later."
        try:
            credentials = await _credentials(server, arguments)
            if credentials is None:
                return None
            identity = await self._logins.check(*credentials, client)
        except BadResponse as bad:
            return f"501 5.5.2 The login cannot be read: {bad}."
        if identity is None:
            return "535 5.7.8 The name or the password is wrong."
        session.authenticated = True
        session.auth_data = identity  # type: ignore[assignment]  # the library says Optional[Any] and means it
        return "235 2.7.0 You are logged in."

    async def handle_MAIL(  # noqa: N802  the library's name
        self, _server: MailSession, _session: Session, envelope: MailEnvelope, address: str, options: list[str]
    ) -> str:
        """Begin a mail, where there is room for one."""
        if self._blobs.free_bytes() < self._settings.disk_reserve_bytes:
            log.error("mail refused: the disk is nearly full", reserve=self._settings.disk_reserve_bytes)
            return "452 4.3.1 There is no room for mail at the moment. Try again later."
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Go on."

    async def handle_RCPT(  # noqa: N802  the library's name
        self, server: MailSession, _session: Session, envelope: MailEnvelope, address: str, options: list[str]
    ) -> str:
        """Judge a recipient as far as it can be judged now."""
        if len(envelope.recipients) >= self._settings.recipients:
            # RFC 5321 section 4.5.3.1.10: the client sends the rest in another mail.
            return (
                f"452 4.5.3 One mail goes to at most {self._settings.recipients} numbers; send the others by another."
            )
        try:
            others = envelope.recipients
            report = self._reports.at_recipient(address, others) if self._reports is not None else None
            faxes = [one for one in others if not isinstance(one, ReportAddress)]
            others.append(report or self._desk.at_recipient(address, faxes))
        except Refusal as refusal:
            log.info(
                "recipient refused", client=str(_client(server.peer)), code=refusal.code, enhanced=refusal.enhanced
            )
            return of_refusal(refusal)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 The number is accepted."

    async def handle_exception(self, error: Exception) -> str:
        """Answer what should not have happened."""
        log.error("an SMTP session met a fault", exc_info=error)
        return OUR_FAULT


async def _credentials(server: MailSession, arguments: list[str]) -> tuple[str, str] | None:
    """Return name and password by PLAIN or LOGIN; ``None`` where the client gave up and was answered."""
    mechanism, *initial = arguments

    async def response(challenge: str) -> bytes | None:
        said = await server.challenge_auth(challenge)
        return said if isinstance(said, bytes) else None

    first = decoded(initial[0]) if initial else await response("" if mechanism == "PLAIN" else "User Name\0")
    if first is None:
        return None
    if mechanism == "PLAIN":
        return plain(first)
    password = await response("Password\0")
    return None if password is None else (first.decode(errors="replace"), password.decode(errors="replace"))


def open_unix(path: Path, mode: int) -> socket.socket:
    """Return a socket that is bound to ``path``, with the access of ``mode``."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_socket():  # of a predecessor: the data directory's lock says that it is dead
            path.unlink()
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(str(path))
        path.chmod(mode)
    except BaseException:
        made.close()
        raise
    return made


def _client(peer: object) -> IPv4Address | IPv6Address | None:
    """Return the client's address; None for a Unix socket or a connection that is gone."""
    if not isinstance(peer, tuple):
        return None
    try:
        return ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return None


def _customer(peer: object) -> object:
    """Return whom a connection is counted for."""
    client = _client(peer)
    if isinstance(client, IPv6Address) and client.ipv4_mapped is None:
        return ip_network((client, _IPV6_CUSTOMER), strict=False)
    return client
