"""TLS of the listeners: certificates from files that are read again when they are renewed.

A file that cannot be used changes nothing: the certificate before it stays, the log and the health page tell.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from cryptography import x509

from relay.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay.mail_settings import Listener

log = structlog.get_logger()

_LOOK_AGAIN = 5.0  # seconds between two looks at the files
_SOON = 14  # days


class Certificate:
    """The certificate of a listener as a TLS context that is always up to date. ``clock``: seconds since 1970.

    ``client_ca``: PEM file of the authorities whose client certificates count as proof; clients without one are let in.
    """

    def __init__(self, chain: Path, key: Path | None, client_ca: Path | None, clock: Callable[[], float]) -> None:
        """Read the files; raises :class:`relay.errors.SettingsError` where they cannot be used."""
        self.trouble: str | None = None
        self.ends_at = 0.0
        self._chain, self._key, self._clock = chain, key, clock
        self._seen: object = None
        self._looked = 0.0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if client_ca is not None:
                self._context.load_verify_locations(cafile=client_ca)
                self._context.verify_mode = ssl.CERT_OPTIONAL
            self._load()
        except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
            raise SettingsError(
                f"smtp.listeners: the certificate {chain} cannot be used: {_words(fault)}; "
                "it is a PEM file with the chain, and `key` one with its private key"
            ) from fault

    @classmethod
    def of_listener(cls, listener: Listener, clock: Callable[[], float]) -> Certificate | None:
        """Return the certificate of a listener, if it has one; raises :class:`relay.errors.SettingsError`."""
        if listener.certificate is None:
            return None
        return cls(listener.certificate, listener.key, listener.client_ca, clock)

    def context(self) -> ssl.SSLContext:
        """Return the context; the files are looked at on the way, at most every few seconds."""
        now = self._clock()
        if now - self._looked >= _LOOK_AGAIN:
            self._looked = now
            self._refresh()
        return self._context

    def complaint(self) -> str | None:
        """Return what is wrong with the certificate, as a sentence, or nothing."""
        self.context()
        if self.trouble is not None:
            return self.trouble
        days = (self.ends_at - self._clock()) / 86400
        if days <= 0:
            return f"the certificate {self._chain} has expired; renew it"
        return f"the certificate {self._chain} expires in {days:.0f} days; renew it" if days < _SOON else None

    def _refresh(self) -> None:
        try:
            if self._stamps() == self._seen:
                return
            self._load()
        except (OSError, ValueError) as fault:
            if self.trouble is None:
                log.error("certificate not read again", file=str(self._chain), reason=_words(fault))  # noqa: TRY400  no fault of ours
            self.trouble = (
                f"the renewed certificate {self._chain} cannot be used ({_words(fault)}); the one before is served on"
            )
        else:
            log.info("certificate read again", file=str(self._chain))
            self.trouble = None

    def _load(self) -> None:
        stamps = self._stamps()
        ends = x509.load_pem_x509_certificate(self._chain.read_bytes()).not_valid_after_utc
        # Into a context that is thrown away first: what fails in the middle must not leave a chain without its key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
        self._context.load_cert_chain(self._chain, self._key)
        self.ends_at = ends.replace(tzinfo=UTC).timestamp() if ends.tzinfo is None else ends.timestamp()
        self._seen = stamps

    def _stamps(self) -> object:
        return [
            (file.stat().st_mtime_ns, file.stat().st_size, file.stat().st_ino)
            for file in (self._chain, self._key)
            if file is not None
        ]


def expires(certificate: Certificate) -> str:
    """Return until when a certificate is good, as a date."""
    return datetime.fromtimestamp(certificate.ends_at, UTC).date().isoformat()


def _words(fault: Exception) -> str:
    return getattr(fault, "reason", None) or getattr(fault, "strerror", None) or str(fault)
