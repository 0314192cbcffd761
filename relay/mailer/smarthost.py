"""Outgoing mail through a smarthost (RFC 6409, RFC 5321): one connection a letter, every answer read for what it says.

A 4yz answer waits, a 5yz answer to the letter is final, in the server's words. What concerns the connection and not
the letter (no route, no TLS, a refused login, 421) is nobody's mail's fault: the whole lane rests and nothing is
lost. A connection that breaks after the message went out leaves its fate open: it is sent again with the same
Message-ID.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Final

import aiosmtplib

from relay import settings as configuration
from relay.mailer import writing
from relay.outbox import Deferred, Delivered, Outcome, Refused

if TYPE_CHECKING:
    from relay.mailer.letter import Letter, Signing

_WORDS = 500
_PERMANENT: Final = 500  # RFC 5321 section 4.2.1: 5yz
_FAREWELL = 5.0
_CLOSING: Final = 421  # RFC 5321 section 3.8: the service, not the mail


class Smarthost:
    """A carrier that speaks to one server.

    Raises :class:`relay.errors.SettingsError` where the password's reference names nothing.
    """

    def __init__(
        self,
        server: configuration.Smarthost,
        hostname: str,
        trust: ssl.SSLContext | None = None,
        sign: Signing | None = None,
    ) -> None:
        """``hostname``: what we call ourselves; ``trust``: whose certificates count, the system's unless told."""
        self._sign = sign
        self._server = server
        self._hostname = hostname
        self._trust = trust or ssl.create_default_context()
        self._password = configuration.secret(server.password) if server.password is not None else None

    async def send(self, letter: Letter) -> Outcome:
        """Hand one letter over."""
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            local_hostname=self._hostname,
            timeout=self._server.timeout_seconds,
            use_tls=self._server.tls == "tls",
            start_tls=self._server.tls == "starttls",
            tls_context=self._trust if self._server.tls != "none" else None,
        )
        try:
            try:
                await client.connect()
                if self._server.username is not None:
                    await client.login(self._server.username, self._password or "")
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
            except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as fault:
                return Deferred(f"{self._where} takes no mail now: {_told(fault)}", blocked=True)
            outcome = await self._hand_over(client, letter)
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):  # the letter's fate is known
                await client.quit(timeout=_FAREWELL)
            return outcome
        finally:
            client.close()

    @property
    def _where(self) -> str:
        return f"{self._server.host}:{self._server.port}"

    async def _hand_over(self, client: aiosmtplib.SMTP, letter: Letter) -> Outcome:
        options = ["SMTPUTF8", "BODY=8BITMIME"] if letter.international else []
        if letter.international and not client.supports_extension("SMTPUTF8"):
            return Refused(f"{self._where} cannot take mail for {letter.recipient}: it does not know SMTPUTF8")
        content = await asyncio.to_thread(letter.content, "\r\n", self._sign)
        try:
            _, answer = await client.sendmail(letter.sender, [letter.recipient], content, mail_options=options)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            return self._answered(refused.recipients[0])
        except aiosmtplib.SMTPResponseException as refused:
            return self._answered(refused)
        except (aiosmtplib.SMTPException, OSError) as fault:
            return Deferred(f"{self._where} broke off: {_told(fault)}")
        return Delivered(writing.one_line(answer, _WORDS))

    def _answered(self, refused: aiosmtplib.SMTPResponseException) -> Outcome:
        words = f"{refused.code} {writing.one_line(refused.message, _WORDS)}".strip()
        if refused.code >= _PERMANENT:
            return Refused(words)
        return Deferred(words, blocked=refused.code == _CLOSING)


def _told(fault: Exception) -> str:
    """Return a connection's fault in words: the server's where it spoke."""
    if isinstance(fault, aiosmtplib.SMTPResponseException):
        return f"{fault.code} {writing.one_line(fault.message, _WORDS)}"
    return writing.one_line(str(fault), _WORDS) or type(fault).__name__
