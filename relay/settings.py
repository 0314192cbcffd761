"""What needs a restart: listeners, database, outgoing mail, lines. Read once, frozen; an unknown key is fatal.

``faxrelay.yaml`` holds it; with no file at all the embedded default stands: SQLite and a folder, the simulated
telephone network, outgoing mail into a Maildir, everything on loopback. What reloads while the service runs is in the
policy folder. Secrets are references (``env:NAME``, ``file:PATH``), never values. Each field has its type, default,
doc and unit here; ``docs/settings.md`` is made from it.
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from policies import BadAddress, Proof, normalise_address
from policies.document import read
from relay.confine import MIB, Sandbox
from relay.errors import SettingsError

if TYPE_CHECKING:
    from policies.document import Document


class _Section(BaseModel):
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


class Listener(_Section):
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


class Smtp(_Section):
    """The embedded SMTP server."""

    hostname: str = Field("localhost", description="The name in the greeting and in Received.")
    listeners: tuple[Listener, ...] = Field((Listener(),), description="Where it listens.")
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
    data_seconds: float = Field(900.0, gt=0, description="How long one message may take to arrive, seconds.")
    disk_reserve_bytes: int = Field(
        256 * MIB, ge=0, description="Mail is answered 452 while the data directory has less room left, bytes."
    )


Section = TypeVar("Section", bound=_Section)


class OAuth(_Section):
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


class Mailbox(_Section):
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


class Smarthost(_Section):
    """The mail server that takes our mail."""

    host: str = Field(description="Its name or address.")
    port: Port = Field(587, description="Its port.")
    tls: str = Field(
        "starttls", pattern="^(starttls|tls|none)$", description="`starttls`, `tls` (from the start) or `none`."
    )
    username: str | None = Field(None, description="Login, where it wants one.")
    password: str | None = Field(None, description="Reference to the password: `env:NAME` or `file:PATH`.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one answer, seconds.")


class OutgoingMail(_Section):
    """Receipts and received faxes on their way out."""

    sender: str = Field("fax@fax.example.com", description="The From address of the relay's mail.")
    sender_name: str = Field("Fax relay", description="The name beside it.")
    smarthost: Smarthost | None = Field(None, description="The mail server that takes it; none: the Maildir below.")

    @field_validator("sender")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            return normalise_address(value)
        except BadAddress as bad:
            raise ValueError(f"this is no mail address ({bad}); write one such as fax@fax.example.com") from None

    maildir: Path | None = Field(None, description="A Maildir; default `DATA/mail` where there is no smarthost.")


class Web(_Section):
    """The HTTP listener: health, metrics, links."""

    address: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8080, description="Port to listen on; 0 lets the system pick one.")
    base_url: str | None = Field(
        None, description="How people reach it, for links in mail; none: the listener's address."
    )
    link_days: float = Field(7.0, gt=0, description="How long a link in a mail works, days.")


class Simulated(_Section):
    """The telephone network in memory. It never reaches a real telephone."""

    enabled: bool = Field(default=True, description="Whether there is one, where `lines.sip` is not set.")
    channels: int = Field(8, ge=1, le=64, description="Calls at once.")
    real_time: bool = Field(default=False, description="Let calls last as long as real ones.")
    exchange: Path | None = Field(None, description="Socket of a network that runs elsewhere; none: one of our own.")
    behaviours: dict[str, str] = Field(
        default_factory=dict, description="Number -> behaviour, beside the documented table."
    )


class Sip(_Section):
    """Real telephone lines by SIP. The trunks and devices stand in the policy files."""

    address: str = Field("0.0.0.0", description="Address to listen on for SIP and media.")  # noqa: S104  trunks call in
    port: int = Field(5060, ge=1, le=65535, description="UDP and TCP port of SIP.")
    tls_port: Port = Field(0, description="TLS port of SIP, usually 5061; 0: none.")
    certificate: Path | None = Field(None, description="PEM file of our certificate chain, for TLS.")
    key: Path | None = Field(None, description="PEM file of its key.")
    external_address: str | None = Field(
        None, description="Our address as the far side sees it, where a NAT stands between; none: the local one."
    )
    media_first: int = Field(30000, ge=1024, le=65000, description="First UDP port for media; a call takes four.")
    media_last: int = Field(30999, ge=1028, le=65535, description="Last UDP port for media.")
    trusted: list[str] = Field(
        default_factory=list, description="Networks (CIDR) that are never banned for wrong passwords or scans."
    )
    ring_seconds: float = Field(120.0, gt=0, description="How long a number may ring, seconds.")
    calls_per_worker: int = Field(8, ge=1, le=16, description="Calls that share a media worker.")

    @model_validator(mode="after")
    def _has_what_tls_needs(self) -> Self:
        if self.tls_port and not (self.certificate and self.key):
            raise ValueError("tls_port needs certificate and key; name their PEM files, or leave tls_port out")
        if self.media_last < self.media_first + 3:
            raise ValueError("media_last must leave room for a call (four ports) above media_first")
        return self


class Lines(_Section):
    """Ways to the telephone network."""

    simulated: Simulated = Field(default_factory=Simulated, description="The simulated telephone network.")
    sip: Sip | None = Field(None, description="Real telephone lines by SIP; `sip: {}` takes every default.")
    trace_days: float = Field(30.0, gt=0, description="How long the traces of calls are kept, days.")


class Log(_Section):
    """The structured log on standard error."""

    format: str = Field("console", pattern="^(console|json)$", description="`console` for people, `json` for programs.")
    level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least severity that is written.")
    full_numbers: bool = Field(
        default=False, description="Write telephone numbers in full; else their last digits are masked."
    )


class Settings(_Section):
    """All of ``faxrelay.yaml``."""

    data: Path = Field(Path("faxrelay-data"), description="The data directory.")
    database: str | None = Field(
        None, description="SQLAlchemy URL; none: SQLite in the data directory. May be a reference."
    )
    policies: Path | None = Field(None, description="The policy folder; none: `DATA/policies`, made with a first file.")
    confinement: Sandbox = Field(
        Sandbox.BUBBLEWRAP,
        description="`bubblewrap`, or `container` where the administrator says that the container is the confinement.",
    )
    smtp: Smtp = Field(default_factory=Smtp, description="Mail in.")
    mailboxes: tuple[Mailbox, ...] = Field((), description="Mailboxes that are polled over IMAP (docs/imap.md).")
    mail: OutgoingMail = Field(default_factory=OutgoingMail, description="Mail out.")
    web: Web = Field(default_factory=Web, description="HTTP.")
    lines: Lines = Field(default_factory=Lines, description="Telephone lines.")
    log: Log = Field(default_factory=Log, description="The log.")

    @property
    def database_url(self) -> str:
        """Return the URL of the database, references resolved."""
        if self.database is None:
            return f"sqlite:///{self.data / 'faxrelay.db'}"
        return secret(self.database) if self.database.startswith(("env:", "file:")) else self.database

    @property
    def policy_folder(self) -> Path:
        """Return the folder of the policy files."""
        return self.policies or self.data / "policies"

    @property
    def maildir(self) -> Path:
        """Return the Maildir for outgoing mail where there is no smarthost."""
        return self.mail.maildir or self.data / "mail"


def load(file: Path | None = None, environment: dict[str, str] | None = None) -> Settings:
    """Read the settings; ``None`` is the embedded default, with ``FAXRELAY_DATA`` as its data directory.

    Relative paths count from the file's folder. Raises :class:`SettingsError` naming file, line and key.
    """
    environment = dict(os.environ) if environment is None else environment
    document = _read(file)
    raw: dict[str, Any] = dict(document.data)
    if "FAXRELAY_DATA" in environment:
        raw["data"] = environment["FAXRELAY_DATA"]
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as fault:
        raise SettingsError("\n".join(_explain(file, document, error) for error in fault.errors())) from fault
    home = file.absolute().parent if file is not None else Path.cwd()
    return _check(_at(home, settings))


def _at(home: Path, section: Section) -> Section:
    """Return a section with every relative path counted from ``home``."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            changes[name] = home / value
        elif isinstance(value, _Section):
            changes[name] = _at(home, value)
        elif isinstance(value, tuple):
            changes[name] = tuple(_at(home, one) if isinstance(one, _Section) else one for one in value)
    return section.model_copy(update=changes)


def secret(reference: str) -> str:
    """Return what a reference (``env:NAME``, ``file:PATH``) names; raises :class:`SettingsError`."""
    kind, _, name = reference.partition(":")
    try:
        if kind == "env":
            return os.environ[name]
        if kind == "file":
            return Path(name).read_text(encoding="utf-8").strip()
    except (KeyError, OSError) as fault:
        raise SettingsError(f"the secret {reference} cannot be read: {fault}") from fault
    raise SettingsError("a secret is a reference, env:NAME or file:PATH, never the value itself")


def _check(settings: Settings) -> Settings:
    for listener in settings.smtp.listeners:
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
    names = [mailbox.name for mailbox in settings.mailboxes]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"mailboxes: the name {min(twice)} stands twice; give each mailbox its own")
    return settings


def _check_tls(listener: Listener) -> None:
    where = f"smtp.listeners: {listener.name}"
    if listener.tls is not Tls.NONE and listener.certificate is None:
        raise SettingsError(f"{where} speaks TLS without a certificate; set `certificate` (and `key`) to PEM files")
    if listener.tls is Tls.NONE and (listener.certificate or listener.client_ca):
        raise SettingsError(f"{where} has a certificate and speaks no TLS; set `tls` to starttls, required or implicit")
    if listener.auth and listener.tls is Tls.NONE and not listener.local:
        raise SettingsError(f"{where} would take passwords in the clear; set `tls`, or remove `auth`")


def _read(file: Path | None) -> Document:
    try:
        document = read(b"" if file is None else file.read_bytes())
    except OSError as fault:
        raise SettingsError(f"{file} cannot be read: {fault.strerror}") from fault
    if document.problems:
        raise SettingsError(
            "\n".join(f"{file}:{p.place.line}:{p.place.column}: {p.message}; {p.remedy}" for p in document.problems)
        )
    return document


def _explain(file: Path | None, document: Document, error: Any) -> str:
    place = document.places.find(*error["loc"], key=error["type"] == "extra_forbidden")
    where = f"{file}:{place.line}:{place.column}" if file is not None else "settings"
    key = ".".join(str(part) for part in error["loc"])
    return f"{where}: {key}: {error['msg'][0].lower()}{error['msg'][1:]}"
