"""One SMTP session on aiosmtpd 1.4.6: what the library leaves open, closed here and nowhere else.

Source: RFC 5321, RFC 2034 and 3463 (enhanced codes), RFC 1870 (SIZE), RFC 6531 (SMTPUTF8). The library is pinned, and
this subclass knows its inside; ``tests/integration/intake`` holds the contract. What it changes, and why:

* a message goes to a spool as it comes (:mod:`relay.intake.content`), under a deadline of its own; the library keeps
  each line in memory and a slow client for ever, and knows no BDAT;
* a message, once here, is taken in a task of its own, which the library's cancelling of a session does not reach;
* addresses are read by a plain grammar; the library's parser is made for headers;
* the parameters of DSN (RFC 3461) are read before the library turns all parameters into capitals;
* every reply has an enhanced code, quotes no control characters and keeps to one line of 512 octets.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import re
from typing import TYPE_CHECKING, Any, AnyStr, Final, Protocol, cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope, syntax

from relay.intake.content import Content, TooMuch
from relay.intake.identity import of_certificate
from relay.intake.replies import coded
from relay.notification import BadParameter, MailWishes, RecipientWishes, take_mail, take_recipient

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from relay.intake.address import FaxAddress, ReportAddress
    from relay.intake.identity import Identity
    from relay.intake.spool import Spool

log = structlog.get_logger()

MAX_COMMAND: Final = 1024
#: Seconds for a hop to name its client.
_PROXY_SECONDS: Final = 10.0
#: Seconds that taking a complete message may keep a session, beyond any idle time.
_TAKING: Final = 600.0
#: Seconds that a client has to read the last reply.
_LAST_WORD: Final = 5.0

_LOCAL = r'(?:"(?:[^"\\]|\\[ -~])*"|[^<>"()\s]+)'
_PATH = re.compile(rf'<(?:@[^:<>\s]+:)?(?P<path>{_LOCAL}@[^<>@"()\s]+|)>(?: +(?P<rest>.*))?')
_BDAT = re.compile(r"(?P<size>[0-9]{1,12})(?P<last> +LAST)?", re.ASCII | re.IGNORECASE)
NULL_PATH: Final = "<>"


class MailEnvelope(Envelope):
    """The library's envelope with the recipients as they were understood."""

    def __init__(self) -> None:
        super().__init__()
        self.recipients: list[FaxAddress | ReportAddress] = []
        self.wishes = MailWishes()
        self.recipient_wishes: list[RecipientWishes] = []


class Host(Protocol):
    """What a session needs of its server."""

    message_bytes: int
    data_seconds: float
    logins: bool
    """Whether users may log in."""

    def proxied(self, session: MailSession) -> bool:
        """Whether the session is of a hop that names its client first (PROXY protocol)."""

    def admit(self, session: MailSession) -> bool:
        """Whether the session may begin."""

    def leave(self, session: MailSession) -> None:
        """Forget the session."""

    def spool(self) -> Spool:
        """Return a fresh file for a message."""

    def take(self, session: MailSession, envelope: MailEnvelope, spool: Spool) -> asyncio.Task[list[str]]:
        """Start taking a complete message in; the task closes the spool and returns the replies, usually one."""


class MailSession(SMTP):
    """A session. ``host`` is the server it belongs to, ``handler`` the library's hooks."""

    def __dir__(self) -> list[str]:
        """Return what the library looks for in each session's attributes: it asks twice for every connection."""
        kind: Any = type(self)
        return library_names(kind)

    #: Whether a message is answered once for each recipient.
    answers_each = False
    line_length_limit = 64 * 1024  # the stream's buffer: DATA is read in chunks, commands are limited below

    def __init__(
        self,
        handler: object,
        host: Host,
        *,
        hostname: str,
        idle_seconds: float,
        tls: ssl.SSLContext | None = None,
        tls_first: bool = False,
    ) -> None:
        """``tls``: what STARTTLS begins, where it is offered; ``tls_first``: nothing goes before it."""
        self._content: Content | None = None
        # The library's table of limits belongs to the class and EHLO raises it again and again.
        self.command_size_limit = MAX_COMMAND
        self.command_size_limits = collections.defaultdict(lambda: MAX_COMMAND)
        super().__init__(
            handler,
            hostname=hostname,
            ident="ESMTP faxrelay",
            data_size_limit=host.message_bytes,
            enable_SMTPUTF8=True,
            timeout=idle_seconds,
            loop=asyncio.get_running_loop(),
            tls_context=tls,
            require_starttls=tls_first,
            auth_require_tls=False,  # whether AUTH is offered now is ours to say: the library knows no implicit TLS
        )
        self._host = host
        self._reads: Callable[[list[str]], tuple[Any, list[str]]] = take_mail
        self._read: Any = None

    @property
    def peer(self) -> Any:
        """The client's socket address."""
        return self.session.peer if self.session else None

    @property
    def logs_in(self) -> bool:
        """Whether a user may log in now: not before TLS where that is offered."""
        return self._host.logins and (self.tls_context is None or self._tls_protocol is not None)

    @property
    def greeted_as(self) -> str:
        """The name in the client's HELO, EHLO or LHLO."""
        return str(self.session.host_name or "") if self.session is not None else ""

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Who the client has shown to be: the user who logged in, the holder of its certificate."""
        certificate = self.transport.get_extra_info("peercert") if self.transport is not None else None
        held = of_certificate(certificate) if certificate else None
        user = self.session.auth_data if self.session is not None and self.session.authenticated else None
        return tuple(one for one in (user, held) if one is not None)

    async def push(self, status: AnyStr) -> None:
        """Send a reply. Bytes (the answers to HELO and EHLO) go as they are, as RFC 2034 section 3 has it."""
        await super().push(status if isinstance(status, bytes) else coded(status).encode())

    def close(self, reply: str) -> None:
        """Say a last word and end the session, without waiting for the client, and without reading on.

        What it has sent already is not looked at: behind a message that was given up lies the rest of its content,
        which would be read as commands.
        """
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
        below = self._original_transport
        if isinstance(below, asyncio.Transport) and self.session is not None and self.session.ssl is None:
            # In the middle of STARTTLS: its layer tells nobody of a connection that ends there.
            below.abort()
            self.connection_lost(None)
        elif isinstance(self.transport, asyncio.Transport):
            self.transport.write(coded(reply).encode() + b"\r\n")
            self.transport.close()
            # Whoever reads nothing would keep the connection, and be counted, for ever.
            self.loop.call_later(_LAST_WORD, self.transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the session; the message it may have handed over is taken all the same."""
        self._host.leave(self)
        self._drop()
        super().connection_lost(error)

    def _timeout_cb(self) -> None:
        self.close("421 4.4.2 You have said nothing for too long; goodbye.")

    async def _handle_client(self) -> None:
        if self._host.proxied(self):
            # The client is another than the hop: it is let in when the hop has named it (handle_PROXY).
            self._proxy_timeout = _PROXY_SECONDS
            with contextlib.suppress(asyncio.IncompleteReadError):  # a hop that looks whether somebody is here
                await super()._handle_client()
        elif self.begins():
            await super()._handle_client()

    def begins(self) -> bool:
        """Count the session in, or tell its client that there are too many; return whether it goes on."""
        if self._host.admit(self):
            return True
        self.close("421 4.7.0 Too many connections; try again later.")
        return False

    def _create_envelope(self) -> MailEnvelope:
        return MailEnvelope()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Return path and parameters (RFC 5321 section 4.1.2), (None, None) for no path. Source routes are dropped."""
        matched = _PATH.fullmatch(arg.strip())
        if matched is None or not arg.isprintable():
            return None, None
        rest = matched["rest"] or ""
        if self.session is not None and self.session.extended_smtp:  # after HELO the library refuses them all
            self._read, others = self._reads(rest.split())
            rest = " ".join(others)
        return matched["path"] or NULL_PATH, rest

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802  the library's name
        """Begin a mail, with what its sender wants to be told of."""
        envelope = cast("MailEnvelope", self.envelope)
        self._reads, begun, self._read = take_mail, envelope.mail_from, None
        try:
            await super().smtp_MAIL(arg)
        except BadParameter as bad:
            await self.push(f"501 5.5.4 {bad}")
        if begun is None and envelope.mail_from is not None and self._read is not None:
            envelope.wishes = self._read

    @syntax("RCPT TO: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802  the library's name
        """Take a recipient, with what the sender wants to be told of it."""
        if self._content is not None:
            await self.push("503 5.5.1 The message has begun: its recipients stand before it.")
            return
        envelope = cast("MailEnvelope", self.envelope)
        self._reads, count, self._read = take_recipient, len(envelope.recipients), None
        try:
            await super().smtp_RCPT(arg)
        except BadParameter as bad:
            await self.push(f"501 5.5.4 {bad}")
        if len(envelope.recipients) > count:
            envelope.recipient_wishes.append(self._read or RecipientWishes())

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802  the library's name
        """Receive a message and have it taken; its answer is the reply."""
        if await self.check_helo_needed():
            return
        envelope = cast("MailEnvelope", self.envelope)  # _create_envelope() makes no other
        if not envelope.recipients:
            await self.push("503 5.5.1 Name a recipient first.")
            return
        if arg:
            await self.push("501 5.5.4 DATA has no argument.")
            return
        if self._content is not None:
            await self.push("503 5.5.1 A message by BDAT has begun: end it with BDAT 0 LAST.")
            return
        content = self._content = self._begun()
        await self.push("354 End the message with a line of one dot.")
        if await self._receive(content.dotted(self._reader)):
            await self._finish(content)

    @syntax("BDAT size [LAST]")
    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802  the library's name
        """Receive a chunk of a message (RFC 3030 section 2), and have it taken with the last one."""
        matched = _BDAT.fullmatch(arg or "")
        if matched is None:
            self.close("501 5.5.4 BDAT wants a size and perhaps LAST; where the chunk ends nobody knows. Goodbye.")
            return
        ready = bool(self.greeted_as and cast("MailEnvelope", self.envelope).recipients)
        if self._content is None:
            self._content = self._begun(kept=ready)
        content = self._content
        if not await self._receive(content.chunk(self._reader, int(matched["size"]))):
            return
        if content.spool is None:
            self._drop()
            await self.push("503 5.5.1 Name a recipient first.")
        elif matched["last"]:
            await self._finish(content)
        elif not content.fits:
            await self.push(f"552 5.3.4 {self._too_large}")
        else:
            await self.push("250 2.0.0 Go on.")

    def _begun(self, *, kept: bool = True) -> Content:
        """Return a message that begins; ``kept``: not thrown away."""
        spool = self._host.spool() if kept else None
        return Content(spool, self._host.message_bytes, self._host.data_seconds, self._reset_timeout)

    async def _receive(self, receiving: Awaitable[None]) -> bool:
        """Receive a piece of a message; return whether the session goes on."""
        try:
            await receiving
        except TimeoutError:
            self.close("421 4.4.2 The message took too long to arrive; goodbye.")
        except TooMuch:
            self.close(f"552 5.3.4 {self._too_large}")
        except ConnectionError:
            raise
        except Exception:  # what follows would be read as commands
            log.exception("a message could not be kept on its way in")
            self.close("451 4.3.0 The message could not be kept here. Try again later.")
        else:
            return True
        self._drop()
        return False

    async def _finish(self, content: Content) -> None:
        """Have a message taken that is here; its answer is the reply."""
        envelope = cast("MailEnvelope", self.envelope)  # _create_envelope() makes no other
        self._set_post_data_state()  # type: ignore[no-untyped-call]  # the library's
        if not content.fits or content.spool is None:
            self._drop()
            for _ in range(len(envelope.recipients) if self.answers_each else 1):
                await self.push(f"552 5.3.4 {self._too_large}")
            return
        self._content = None
        self._reset_timeout(_TAKING)
        replies = await asyncio.shield(self._host.take(self, envelope, content.spool))
        self._reset_timeout()
        for reply in replies:
            # RFC 6531 section 3.7.4: a reply is ASCII unless the client spoke of SMTPUTF8; it may quote a file's name.
            await self.push(reply if envelope.smtp_utf8 else reply.encode("ascii", "replace").decode())

    @property
    def _too_large(self) -> str:
        return f"The message is larger than {self._host.message_bytes} bytes."

    def _drop(self) -> None:
        """Forget a message that has begun."""
        content, self._content = self._content, None
        if content is not None:
            content.close()

    def _set_rset_state(self) -> None:
        self._drop()
        super()._set_rset_state()  # type: ignore[no-untyped-call]  # the library's

    async def smtp_VRFY(self, _arg: str | None) -> None:  # noqa: N802  the library's name
        """Tell nothing of who is here (RFC 5321 section 7.3)."""
        await self.push("252 2.5.0 Send the mail and see.")

    async def smtp_EXPN(self, _arg: str | None) -> None:  # noqa: N802  the library's name
        """Tell nothing."""
        await self.push("502 5.5.1 There are no lists here.")

    @syntax("AUTH mechanism [initial-response]")
    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802  the library's name
        """Let a user log in, where that is offered; the library would read a password in the clear."""
        envelope = cast("MailEnvelope", self.envelope)
        if self.logs_in and envelope.mail_from is None:
            mechanism, _, rest = (arg or "").partition(" ")
            await super().smtp_AUTH(f"{mechanism.upper()} {rest}".strip())
        elif self.logs_in:
            await self.push("503 5.5.1 A mail has begun: log in before it (RFC 4954 section 4).")
        elif self._host.logins:
            await self.push("538 5.7.11 Say STARTTLS first: passwords are not taken in the clear.")
        else:
            await self.push("502 5.5.1 This server offers no AUTH.")

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802  the library's name
        """Begin TLS, once, where that is offered; what came before it is forgotten (RFC 3207 section 4.2)."""
        if self.tls_context is None:
            await self.push("502 5.5.1 This server offers no STARTTLS.")
        elif self._tls_protocol is not None:
            await self.push("503 5.5.1 TLS has begun already.")
        else:
            await super().smtp_STARTTLS(arg)

    async def smtp_HELP(self, _arg: str | None) -> None:  # noqa: N802  the library's name
        """Point to the standard."""
        await self.push("214 2.0.0 This is a fax relay that speaks RFC 5321: mail a document to NUMBER@DOMAIN.")


class LmtpSession(MailSession):
    """A session of LMTP (RFC 2033): LHLO in place of HELO and EHLO."""

    show_smtp_greeting = False
    answers_each = True

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, arg: str | None) -> None:  # noqa: N802  the library's name
        """Greet."""
        await super().smtp_EHLO(arg)

    async def smtp_EHLO(self, _arg: str | None) -> None:  # noqa: N802  the library's name
        """Refuse SMTP's greeting: its client would expect one answer to a message."""
        await self.push("500 5.5.1 This is LMTP: say LHLO.")

    smtp_HELO = smtp_EHLO  # noqa: N815  the library's name


@functools.cache
def library_names(kind: type) -> list[str]:
    """Return the attributes of a class that the library may look for: commands and hooks."""
    return [name for name in dir(kind) if name.startswith(("smtp_", "auth_", "handle_"))]
