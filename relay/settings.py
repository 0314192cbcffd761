"""What needs a restart: listeners, database, outgoing mail, lines. Read once, frozen; an unknown key is fatal.

``faxrelay.yaml`` holds it; with no file at all the embedded default stands: SQLite and a folder, the simulated
telephone network, outgoing mail into a Maildir, everything on loopback. What reloads while the service runs is in the
policy folder. Secrets are references (``env:NAME``, ``file:PATH``), never values. Each field has its type, default,
doc and unit here; ``docs/settings.md`` is made from it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from converters import LANGUAGES
from policies import BadAddress, normalise_address, normalise_domain
from policies.document import read
from relay.confine import MIB, Sandbox
from relay.errors import SettingsError
from relay.mail_settings import Mailbox, Port, Section, Smtp, check_listener

if TYPE_CHECKING:
    from policies.document import Document

Kind = TypeVar("Kind", bound=Section)


class Smarthost(Section):
    """The mail server that takes our mail."""

    host: str = Field(description="Its name or address.")
    port: Port = Field(587, description="Its port.")
    tls: str = Field(
        "starttls", pattern="^(starttls|tls|none)$", description="`starttls`, `tls` (from the start) or `none`."
    )
    username: str | None = Field(None, description="Login, where it wants one.")
    password: str | None = Field(None, description="Reference to the password: `env:NAME` or `file:PATH`.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one answer, seconds.")


class Dkim(Section):
    """A key that signs the relay's mail (RFC 6376), published at `SELECTOR._domainkey.DOMAIN`."""

    domain: str = Field(
        pattern=r"^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?))+$",
        description="The domain of `sender`, or one above it.",
    )
    selector: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$", description="The key's name there.")
    key: str = Field(
        description="Reference to the private key, `env:NAME` or `file:PATH`: RSA (2048 bits or more) or Ed25519, PEM "
        "without a passphrase."
    )


class OutgoingMail(Section):
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

    reports_domain: str | None = Field(
        None,
        description="A domain whose mail comes to this relay by a listener or a mailbox, such as the fax domain. With "
        "it, the return path of a received fax's mail is an address there, so that a mail which comes back later is "
        "known, and read receipts can be asked for (`opened_by` of a number). Publish its SPF as for `sender`. None: "
        "neither.",
    )

    @field_validator("reports_domain")
    @classmethod
    def _is_a_domain(cls, value: str | None) -> str | None:
        try:
            return None if value is None else normalise_domain(value)
        except BadAddress as bad:
            raise ValueError(f"this is no domain ({bad}); write one such as fax.example.com") from None

    maildir: Path | None = Field(None, description="A Maildir; default `DATA/mail` where there is no smarthost.")
    dkim: tuple[Dkim, ...] = Field(
        (), description="Keys that sign, each for itself: an RSA key, and beside it an Ed25519 key if wanted."
    )

    @model_validator(mode="after")
    def _is_signed_by_its_domain(self) -> Self:
        own = f".{self.sender.rpartition('@')[2]}".lower()
        if strange := [one.domain for one in self.dkim if not own.endswith(f".{one.domain.lower()}")]:
            raise ValueError(
                f"a signature by {strange[0]} proves nothing for mail from {self.sender}; sign for its domain"
            )
        return self


class Web(Section):
    """The HTTP listener: health, metrics, links."""

    address: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8080, description="Port to listen on; 0 lets the system pick one.")
    base_url: str | None = Field(
        None, description="How people reach it, for links in mail; none: the listener's address."
    )
    link_days: float = Field(7.0, gt=0, description="How long a link in a mail works, days.")
    download_days: float = Field(
        7.0,
        gt=0,
        description="How long a link to a fax in a callback works (`download_url`, `apiDownload`), days after the "
        "event. Callbacks have links only where `base_url` is set.",
    )


class Simulated(Section):
    """The telephone network in memory. It never reaches a real telephone."""

    enabled: bool = Field(default=True, description="Whether there is one, where `lines.sip` is not set.")
    channels: int = Field(8, ge=1, le=64, description="Calls at once.")
    real_time: bool = Field(default=False, description="Let calls last as long as real ones.")
    exchange: Path | None = Field(None, description="Socket of a network that runs elsewhere; none: one of our own.")
    behaviours: dict[str, str] = Field(
        default_factory=dict, description="Number -> behaviour, beside the documented table."
    )


class Sip(Section):
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


class Lines(Section):
    """Ways to the telephone network."""

    simulated: Simulated = Field(default_factory=Simulated, description="The simulated telephone network.")
    sip: Sip | None = Field(None, description="Real telephone lines by SIP; `sip: {}` takes every default.")
    trace_days: float = Field(30.0, gt=0, description="How long the traces of calls are kept, days.")


class Documents(Section):
    """What documents may cost. Office documents are opened by LibreOffice, each in a sandbox that serves it alone."""

    office_spares: int = Field(
        1,
        ge=0,
        le=16,
        description=(
            "LibreOffices that stand ready after the first document (190 MB each), and its profile from the start on; "
            "0: neither."
        ),
    )
    office_workers: int = Field(2, ge=1, le=16, description="Office documents that are converted at once.")
    office_memory: int = Field(
        1024 * MIB, ge=256 * MIB, description="Bytes of memory that one LibreOffice may hold; more ends it."
    )
    office_seconds: float = Field(45.0, gt=0, description="Seconds that LibreOffice may take for one document.")


class Ocr(Section):
    """Reading the words of received faxes, for numbers whose policy says `ocr: true`. Calls go before it."""

    languages: str = Field(
        "eng+heb",
        pattern=f"^{LANGUAGES.pattern}$",
        description="Languages that are looked for, as Tesseract names them, joined by +; each is a Debian package "
        "(`tesseract-ocr-heb`). One that faxes are not written in costs time and mistakes.",
    )
    at_once: int = Field(1, ge=1, le=16, description="Faxes that are read at once; each takes a processor.")
    page_seconds: float = Field(60.0, gt=0, le=600, description="Longest that one page may take, processor seconds.")
    fax_seconds: float = Field(
        900.0, gt=0, description="Longest that the mail of a fax waits for its words, seconds since its call ended."
    )


class Log(Section):
    """The structured log on standard error."""

    format: str = Field("console", pattern="^(console|json)$", description="`console` for people, `json` for programs.")
    level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least severity that is written.")
    full_numbers: bool = Field(
        default=False, description="Write telephone numbers in full; else their last digits are masked."
    )


class Settings(Section):
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
    documents: Documents = Field(default_factory=Documents, description="Documents that become faxes.")
    ocr: Ocr = Field(default_factory=Ocr, description="Searchable PDFs of received faxes.")
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


def _at(home: Path, section: Kind) -> Kind:
    """Return a section with every relative path counted from ``home``."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            changes[name] = home / value
        elif isinstance(value, Section):
            changes[name] = _at(home, value)
        elif isinstance(value, tuple):
            changes[name] = tuple(_at(home, one) if isinstance(one, Section) else one for one in value)
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
        check_listener(listener)
    names = [mailbox.name for mailbox in settings.mailboxes]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"mailboxes: the name {min(twice)} stands twice; give each mailbox its own")
    return settings


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
