"""The sections of ``faxrelay.yaml`` for mail on its way in: listeners and mailboxes. See :mod:`relay.settings`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator, model_validator

from policies import Proof
from relay.auth.resolver import DnsResolver
from relay.confine import MIB
from relay.errors import SettingsError


class Section(BaseModel):
    """A part of ``faxrelay.yaml``: read once, an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


Port = Annotated[int, Field(ge=0, le=65535)]


#: Hosts that are this machine.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
#: The proofs that a listener gives by what it is; `auth` and `client-cert` come with the keys of that name.
LISTENER_PROOFS = (Proof.NETWORK, Proof.NONE)
_POSSIBLE = frozenset({*LISTENER_PROOFS, Proof.DMARC})


class Tls(Enum):
    """How a listener speaks TLS."""

    NONE = "none"
    STARTTLS = "starttls"
    REQUIRED = "required"
    IMPLICIT = "implicit"


class Protocol(Enum):
    """What a listener speaks."""

    SMTP = "smtp"
    LMTP = "lmtp"


class Listener(Section):
    """One SMTP or LMTP listener."""

    protocol: Protocol = Field(
        Protocol.SMTP,
        description="`smtp` (RFC 5321), or `lmtp` (RFC 2033) for a mail server in front: each recipient gets an answer "
        "of its own, after the message.",
    )
    address: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8025, description="Port to listen on; 0 lets the system pick one.")
    path: Path | None = Field(None, description="Unix socket to listen on, in place of address and port.")
    socket_mode: str = Field("660", pattern="^[0-7]{3}$", description="Access to the Unix socket, as in chmod(1).")
    tls: Tls = Field(
        Tls.NONE,
        description="`starttls`: offered; `required`: nothing goes before it; `implicit`: from the first octet (port "
        "465); `none`.",
    )
    certificate: Path | None = Field(None, description="PEM file of the certificate chain; read again when renewed.")
    key: Path | None = Field(None, description="PEM file of its key, where that is not in the same file.")
    client_ca: Path | None = Field(
        None,
        description="PEM file of the authorities whose client certificates give the proof `client-cert`: for the mail "
        "addresses and the domains that they name.",
    )
    auth: bool = Field(
        default=False,
        description="Whether users log in here (`faxrelay user`), for the proof `auth`: after TLS, or where clients "
        "are of this machine.",
    )
    proofs: tuple[Proof, ...] = Field(
        LISTENER_PROOFS,
        description="Proofs that this listener can give. `dmarc`: the mail's own, by its signatures and the DNS (RFC "
        "9989). `none` is only for loopback or a listener named as trusted.",
    )
    authserv_id: str | None = Field(
        None,
        description="The name under which the mail server in front writes Authentication-Results: its `dmarc=pass` "
        "counts as the proof `dmarc`. Only where every client is that server.",
    )
    proxy_from: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description="Networks (CIDR) of load balancers, whose connections begin with the client's address (PROXY "
        "protocol, version 1 or 2); nobody else's do.",
    )
    trusted: bool = Field(
        default=False,
        description="Every client here is trusted: allows `none` on an address other than loopback.",
    )

    @property
    def local(self) -> bool:
        """Whether its clients are of this machine."""
        return self.path is not None or self.address in LOOPBACK

    @property
    def name(self) -> str:
        """Where it listens, for people."""
        return str(self.path) if self.path is not None else f"{self.address}:{self.port}"


class Smtp(Section):
    """The embedded SMTP server."""

    hostname: str = Field("localhost", description="The name in the greeting and in Received.")
    listeners: tuple[Listener, ...] = Field((Listener(),), description="Where it listens.")
    processes: int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that accept mail, for machines with several processors; 0: the service itself does. "
        "Each counts connections and wrong passwords by itself.",
    )
    message_bytes: int = Field(30 * MIB, ge=1024, description="Largest message, bytes.")
    attachment_bytes: int = Field(10 * MIB, ge=1024, description="Largest decoded attachment, bytes.")
    recipients: int = Field(100, ge=1, le=1000, description="Most recipients of one message.")
    connections: int = Field(500, ge=1, description="Most connections at once.")
    connections_per_address: int = Field(50, ge=1, description="Most connections of one client address at once.")
    idle_seconds: float = Field(
        300.0, gt=0, description="How long a client may say nothing, seconds (RFC 5321 4.5.3.2)."
    )
    trusted_sealers: tuple[str, ...] = Field(
        (),
        description="Domains of forwarders whose ARC seals are believed (RFC 8617): what passed DMARC there passes.",
    )
    nameservers: tuple[str, ...] = Field(
        (),
        description="Addresses of the name servers that are asked for the proof `dmarc`, as `192.0.2.1` or "
        "`192.0.2.1:5353`; none: the machine's own.",
    )
    data_seconds: float = Field(900.0, gt=0, description="How long one message may take to arrive, seconds.")

    @field_validator("nameservers")
    @classmethod
    def _are_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            DnsResolver(value)
        except ValueError as bad:
            raise ValueError(f"a name server is an address such as 192.0.2.1 or 192.0.2.1:5353 ({bad})") from None
        return value

    disk_reserve_bytes: int = Field(
        256 * MIB, ge=0, description="Mail is answered 452 while the data directory has less room left, bytes."
    )


class OAuth(Section):
    """Access tokens for XOAUTH2, as Microsoft 365 and Google want them."""

    token_endpoint: str = Field(description="The URL that gives tokens; https, or http on loopback.")
    client_id: str = Field(description="The application's id.")
    client_secret: str | None = Field(None, description="Reference to its secret: `env:NAME` or `file:PATH`.")
    refresh_token: str | None = Field(
        None, description="Reference to the refresh token; none: the application's own right (client credentials)."
    )
    scope: str | None = Field(None, description="The scope to ask for.")

    @field_validator("token_endpoint")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        url = urlsplit(value)
        if url.scheme == "https" and url.hostname:
            return value
        if url.scheme == "http" and url.hostname in LOOPBACK:
            return value
        raise ValueError("secrets go to this URL: it has to begin with https://")


class Mailbox(Section):
    """A mailbox that is polled over IMAP. Its mail becomes faxes as mail by SMTP does."""

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$", description="What the health page and the log call it.")
    host: str = Field(description="The IMAP server.")
    port: Port = Field(993, description="Its port.")
    tls: str = Field(
        "tls",
        pattern="^(starttls|tls|none)$",
        description="`tls` (from the start), `starttls`, or `none`, on loopback only.",
    )
    ca: Path | None = Field(None, description="PEM file of the authority that counts; none: the system's.")
    user: str = Field(description="Login.")
    password: str | None = Field(None, description="Reference to the password: `env:NAME` or `file:PATH`.")
    oauth: OAuth | None = Field(None, description="In place of a password.")
    folder: str = Field("INBOX", description="The folder that is polled.")
    processed: str = Field(
        "Processed", description="Where taken messages go; `flag`: they stay, with the keyword `$FaxProcessed`."
    )
    rejected: str = Field(
        "Rejected", description="Where refused messages go; `flag`: they stay, with the keyword `$FaxRejected`."
    )
    poll_seconds: float = Field(60.0, ge=1, le=3600, description="Longest pause between two looks, seconds.")
    idle: bool = Field(default=True, description="Let the server tell of new mail at once (IDLE).")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one answer, seconds.")
    recipient: str = Field(
        "addresses",
        pattern="^(addresses|subject)$",
        description="Where the numbers stand: `addresses` (To, Cc, Delivered-To, X-Original-To) or `subject`.",
    )
    domain: str | None = Field(
        None, description="With `recipient: subject`: the fax domain that the number is dialled for."
    )
    authserv_id: str | None = Field(
        None,
        description=(
            "The name in the Authentication-Results that is believed, that of the last mail server before this "
            "mailbox; `microsoft365` for its nameless ones; none: no sender is proven by it."
        ),
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.password is None) == (self.oauth is None):
            raise ValueError("give password or oauth, one of them")
        if self.tls == "none" and self.host not in LOOPBACK:
            raise ValueError("tls: none would send the password in the clear; it is for loopback only")
        if self.folder in {self.processed, self.rejected}:
            raise ValueError("processed and rejected must be other folders than the one that is polled")
        if (self.recipient == "subject") != (self.domain is not None):
            raise ValueError("domain belongs to recipient: subject; give both, or neither")
        return self


def check_listener(listener: Listener) -> None:
    """Raise :class:`relay.errors.SettingsError` for a listener that would be open to the world, or could not work."""
    _check_tls(listener)
    if unknown := [proof.value for proof in listener.proofs if proof not in _POSSIBLE]:
        raise SettingsError(
            f"smtp.listeners: {', '.join(unknown)} cannot be proven by a listener; use network, dmarc or none"
        )
    loopback = listener.local and listener.path is None and listener.protocol is Protocol.SMTP
    if Proof.NONE in listener.proofs and not (loopback or listener.trusted):
        raise SettingsError(
            f"smtp.listeners: {listener.name} takes senders without proof from other machines; "
            "remove `none` from its proofs, or say `trusted: true`"
        )


def _check_tls(listener: Listener) -> None:
    where = f"smtp.listeners: {listener.name}"
    if listener.tls is not Tls.NONE and listener.certificate is None:
        raise SettingsError(f"{where} speaks TLS without a certificate; set `certificate` (and `key`) to PEM files")
    if listener.tls is Tls.NONE and (listener.certificate or listener.client_ca):
        raise SettingsError(f"{where} has a certificate and speaks no TLS; set `tls` to starttls, required or implicit")
    if listener.proxy_from and listener.tls is Tls.IMPLICIT:
        raise SettingsError(
            f"{where} cannot read a PROXY header before TLS; set `tls` to starttls, or let the proxy end TLS"
        )
    if listener.auth and listener.tls is Tls.NONE and not listener.local:
        raise SettingsError(f"{where} would take passwords in the clear; set `tls`, or remove `auth`")
