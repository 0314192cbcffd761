"""The shape of the policy files: every key with its type, default, unit and meaning.

The reference in ``docs/policies.md`` and the JSON Schema for editors are made from these models, so a key that stands
here is documented and enforced. Unknown keys are errors. Values arrive as the text that was written (see
:mod:`policies.document`); the field types read it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self, TypeAlias

from pydantic import model_validator

from policies.approval_schema import ApprovalEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.cover_schema import CoverEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.endpoints_schema import CallbacksEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.entry import Entry, key
from policies.fields import (
    Count,
    CountryCode,
    Duration,
    Flag,
    HeaderLine,
    Ident,
    LanguageCode,
    LineName,
    LongDuration,
    MailAddress,
    MailDomain,
    NetworkText,
    Positive,
    Prefix,
    Rate,
    Regex,
    SenderPattern,
    Size,
    TelephoneNumber,
    Text,
    told,
)
from policies.hours_schema import HoursEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.inbound_schema import InboundEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.lines import T38
from policies.lines_schema import DeviceEntry, TrunkEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.people_schema import ApiKeyEntry, UserEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.policy import (
    LADDER,
    MEGABYTE,
    Body,
    Feature,
    MailOption,
    Mode,
    OpenedBy,
    Paper,
    Proof,
    ReceiptPages,
    Resolution,
)
from policies.quotas import Quota
from policies.retention_schema import RetentionEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.selector_schema import SelectorEntry  # noqa: TC001 -- pydantic reads the keys' types
from policies.times import ZoneName  # noqa: TC001 -- pydantic reads the keys' types

#: The causes of the transport's closed list that a further call may mend.
RetryCause: TypeAlias = Literal[
    "busy", "no_answer", "rejected", "not_fax", "training", "page_failed", "lost_call", "trunk_down", "local"
]
#: The ways to make a call: :data:`policies.policy.LADDER`.
Rung: TypeAlias = Literal["t38", "t38-9600", "g711", "g711-9600-no-ecm"]


class DomainEntry(Entry):
    """A mail domain that means fax: mail to `NUMBER@` this domain is faxed."""

    name: MailDomain = key("The domain after the @.")
    default_region: CountryCode | None = key(
        "Country whose rules read national digits, such as 03-1234567. Without it, numbers need their country code.",
        default=None,
    )
    language: LanguageCode = key("Language of mails to people who have no number of their own.", default="en")


class SenderEntry(Entry):
    """Who may send as a number, and how they must prove that they are who they say."""

    match: SenderPattern = key(
        "An address `user@example.com`, a domain `@example.com`, or all subdomains of a domain `@*.example.com`."
    )
    proof: Proof = key(
        "`dmarc`: an aligned SPF or DKIM pass. `auth`: an SMTP login bound to the address. `client-cert`: a TLS client "
        "certificate. `network`: the client's address is in `networks`. `confirm`: the mail is held, a link is mailed "
        "to the From address, and its click counts; asked for only where no other rule lets the mail through, never of "
        "automatic mail. `none`: no proof, counted only on loopback and on listeners named as trusted.",
        default=Proof.DMARC,
    )
    networks: list[NetworkText] = key(
        "Networks (CIDR) that the mail must come from. Needed with `proof: network`, an error otherwise.",
        default_factory=list,
    )


class QuotaEntry(Entry):
    """What may be sent in a time. A mail that would exceed it is refused for now (452), and its server tries again."""

    faxes_per_hour: Positive | None = key("Faxes accepted in any 60 minutes.", unit="faxes", default=None)
    faxes_per_day: Positive | None = key("Faxes accepted in any 24 hours.", unit="faxes", default=None)
    pages_per_hour: Positive | None = key(
        "Pages sent in any 60 minutes, after which no fax is accepted: the fax that reaches it still goes.",
        unit="pages",
        default=None,
    )
    pages_per_day: Positive | None = key("The same for any 24 hours.", unit="pages", default=None)

    def quota(self) -> Quota:
        """Return what the entry says."""
        return Quota(self.faxes_per_hour, self.faxes_per_day, self.pages_per_hour, self.pages_per_day)


class LimitsEntry(QuotaEntry):
    """What a number may send, all its senders together."""

    per_sender: QuotaEntry = key(
        "What each sender may send as this number, beside what the number may.", default_factory=QuotaEntry
    )
    pages: Positive | None = key("Pages of one fax.", unit="pages", default=None)
    attachment_bytes: Size = key(
        "Size of one attachment: bytes, or `500KB`, `10MB` (1 MB = 1024 KB).", unit="bytes", default=10 * MEGABYTE
    )
    recipients: Count = key("Numbers that one mail may name.", unit="numbers", default=100, ge=1, le=100)


class RetriesEntry(Entry):
    """When a call that did not deliver the fax is made again."""

    retries: Count = key("Calls after the first.", unit="calls", default=3, ge=0, le=3)
    delay: Duration = key("Wait before the next call.", default=timedelta(minutes=5))
    delays: dict[RetryCause, Duration] = key("Waits by cause, in place of `delay`.", default_factory=dict)
    never: list[RetryCause] = key("Causes after which no further call is made.", default_factory=list)
    ladder: list[Rung] = key(
        "Ways to make a call, in order: each call that another way may mend is followed by one of the next way. "
        "`t38-9600` and `g711-9600-no-ecm` are slower, the latter without error correction.",
        default_factory=lambda: list(LADDER),
        min_length=1,
    )
    remember: LongDuration = key(
        "How long the way that worked for a destination is tried first there; `0s`: the ladder begins anew each time.",
        default=timedelta(days=30),
    )


class NumberEntry(Entry):
    """One of the relay's own numbers: who sends as it, who gets its faxes, and how its faxes look."""

    default_region: CountryCode | None = key(
        "Country whose rules read national digits in this entry and in the mails of its senders; "
        "without it, the domain's.",
        default=None,
    )
    number: TelephoneNumber = key("The number, +972312345678; national digits need `default_region`.")
    description: Text = key("For people; not transmitted.", default="")
    features: list[Feature] = key(
        "What the number does. `mail_to_fax`: its senders' mails become faxes. `fax_to_mail`: received faxes become "
        "mails. `device`: machines in `devices` send from it, or get its faxes.",
        default_factory=lambda: list(Feature),
        min_length=1,
    )
    deliver_to: list[MailAddress] = key(
        "Mail addresses that get the received faxes. They may also send as this number, with the proof of the rule in "
        "`senders` that names them, or `dmarc`.",
        default_factory=list,
    )
    deliver_to_devices: list[LineName] = key(
        "Names of `devices` that get the received faxes, beside the mail addresses or in place of them.",
        default_factory=list,
    )
    opened_by: list[OpenedBy] = key(
        "How the relay learns that the mail with a received fax was opened (callback `mail.opened`). `link`: the mail "
        "has a link that gives the fax, where `web.base_url` is set. `receipt`: the reader's mail program is asked for "
        "a receipt (RFC 8098), where `mail.reports_domain` is set. None: it does not.",
        default_factory=list,
    )
    inbound_calls: Positive | None = key(
        "Calls that may come in for the number at the same time; a further one hears busy. Without it, as many as its "
        "trunk carries.",
        unit="calls",
        default=None,
    )
    ocr: Flag = key(
        "Whether the words of received faxes are read (OCR), so that their PDFs can be searched and copied from. The "
        "mail waits for it some seconds a page, and never longer than `ocr` of the settings allows.",
        default=False,
    )
    senders: list[SenderEntry] = key("Who may send as this number.", default_factory=list)
    confirm_within: LongDuration = key(
        "How long a mail whose sender is asked to confirm it waits for the click; then it is deleted.",
        default=timedelta(days=1),
    )
    default_for: list[SenderPattern] = key(
        "Senders who may send from several numbers and use this one unless their mail names another in `X-Fax-From`.",
        default_factory=list,
    )
    body: Body = key(
        "What becomes of the text of a mail: `ignore`, or `page`: its plain text is faxed before the attachments, and "
        "a mail without any is faxed too; or `cover`: the same on a cover page, under to, from, date, number of pages "
        "and the subject as its title.",
        default=Body.IGNORE,
    )
    cover: CoverEntry | None = key(
        "In place of the section `cover`, for the keys given here; with `body: cover` or the mail option `cover`.",
        default=None,
    )
    mail_options: list[MailOption] = key(
        "What its senders may ask for in a mail: by a header, `X-Fax-Resolution: fine`, or in the subject, "
        "`::resolution=fine`. Never more retries than the number has. `cover`: `yes`, `no`, or a look, `office`. "
        "`schedule`: when it is dialled first, `22:30` or `2026-12-24T08:00`. `billing`: a code that is kept with the "
        "fax and shown on the receipt. `notify`: mails about the fax, `all`, only of a `failure`, or `none`.",
        default_factory=list,
    )
    schedule_within: LongDuration = key(
        "How far ahead a mail may ask for the time of its fax, where `mail_options` has `schedule`.",
        default=timedelta(days=30),
    )
    time_zone: ZoneName | None = key(
        "Time zone of the times that its mails ask for, and of the date on its covers. Without it, that of `hours`, or "
        "UTC.",
        default=None,
    )
    ident: Ident | None = key(
        "Identification sent to the far machine (TSI): up to 20 of digits, space and +. Without it, the number.",
        default=None,
    )
    header: HeaderLine = key("Text in the line above each page, up to 50 printable characters.", default="")
    caller_id: TelephoneNumber | None = key("Number shown to the called party. Without it, the number.", default=None)
    language: LanguageCode | None = key(
        "Language of mails. Without it, that of the domain that a mail was addressed to; for faxes that arrive, that "
        "of the domains where they agree.",
        default=None,
    )
    limits: LimitsEntry = key("What the number may send.", default_factory=LimitsEntry)
    receipt_pages: ReceiptPages = key("Transmitted pages that a receipt shows.", default=ReceiptPages.FIRST)
    accepted_mail: Flag = key("Whether senders get a mail as soon as their fax is accepted.", default=False)
    delayed_mail: Duration | None = key(
        "After how long senders hear, once, that their fax is still being tried. Without it, only senders hear whose "
        "mail server asks for it (NOTIFY=DELAY), after 15 minutes.",
        default=None,
    )
    resolution: Resolution = key("`standard` 98, `fine` 196, `superfine` 391 lines per inch.", default=Resolution.FINE)
    mode: Mode = key("How grey and colour become black and white.", default=Mode.AUTO)
    paper: Paper | None = key(
        "Size of pages that have none of their own, such as plain text, and of receipts. Without it, `letter` for a "
        "number of a country that prints on it (the US, Canada, Mexico and others), `a4` elsewhere.",
        default=None,
    )
    priority: Count = key("Faxes with a higher priority are dialled first.", default=5, ge=0, le=9)
    retries: RetriesEntry | None = key("In place of the section `retries`, for the keys given here.", default=None)
    hours: HoursEntry | None = key("When faxes are dialled. Without it, at any time.", default=None)
    approval: ApprovalEntry | None = key("Which faxes wait for whose approval. Without it, none.", default=None)
    retention: RetentionEntry | None = key(
        "In place of the section `retention`, for the keys given here.", default=None
    )
    share_of_line: Count = key(
        "Weight of this number when several wait for a free channel: 2 gets two calls where 1 gets one.",
        default=1,
        ge=1,
        le=100,
    )


class RuleEntry(Entry):
    """One rule: `allow` or `deny`. The first rule that fits decides."""

    allow: SelectorEntry | None = key("Numbers that may be dialled.", default=None)
    deny: SelectorEntry | None = key("Numbers that are refused.", default=None)

    @model_validator(mode="after")
    def _one_verdict(self) -> Self:
        if (self.allow is None) is (self.deny is None):
            raise told("a rule either allows or denies", "write 'allow:' or 'deny:', once")
        return self

    @property
    def selector(self) -> SelectorEntry:
        """The numbers that the rule means, whatever its verdict."""
        selector = self.allow or self.deny
        assert selector is not None  # noqa: S101 -- _one_verdict holds it, and the type cannot say so
        return selector


class RewriteProof(Entry):
    """A pair that shows what a rewriting rule does; checked whenever the file is read."""

    from_: TelephoneNumber = key("A number as it comes in.", alias="from")
    to: TelephoneNumber = key("The number that must come out.")


class RewriteEntry(Entry):
    """A rewriting rule. The first rule whose pattern fits the whole number is used, before `rules` are looked at."""

    match: Regex = key(r"Regular expression for the whole number, such as `\+9720(\d+)`.")
    to: Text = key(r"The new number; `\1` stands for the first group.")
    proof: list[RewriteProof] = key("At least one pair that shows what the rule does.", min_length=1)


class OverrideEntry(Entry):
    """How numbers with a prefix are called. The longest prefix that fits is used."""

    prefix: Prefix = key("First digits, with + and country code; or a whole number.")
    ecm: Flag = key("Error correction (ITU-T T.30 annex A).", default=True)
    max_rate: Rate | None = key("Highest speed offered.", unit="bit/s", default=None)
    t38: T38 = key("`never` stays in audio; `prefer` asks for T.38 as soon as a call is answered.", default=T38.AUTO)
    concurrency: Count = key("Calls to one number at the same time.", unit="calls", default=1, ge=1, le=100)
    notes: Text = key("For people.", default="")


class DestinationsEntry(Entry):
    """Where faxes may go, and how they get there."""

    rules: list[RuleEntry] = key("Looked at in order; the first that fits decides.", default_factory=list)
    otherwise: Literal["allow", "deny"] = key("The verdict where no rule fits.", default="allow")
    rewrite: list[RewriteEntry] = key("Rewriting of numbers before the rules.", default_factory=list)
    overrides: list[OverrideEntry] = key("Ways of calling, by prefix.", default_factory=list)


class SendersEntry(Entry):
    """What holds for all senders, whatever the numbers say."""

    block: list[SenderPattern] = key(
        "Senders who are refused (550 5.7.1), whichever number names them and whatever they prove.",
        default_factory=list,
    )


class PolicyFile(Entry):
    """One policy file. Any number of `*.yaml` files in a folder make one policy."""

    domains: list[DomainEntry] = key("Mail domains that mean fax.", default_factory=list)
    numbers: list[NumberEntry] = key("The relay's own numbers.", default_factory=list)
    senders: SendersEntry | None = key("Who may never send; in one file of the folder.", default=None)
    destinations: DestinationsEntry | None = key("Where faxes may go; in one file of the folder.", default=None)
    inbound: InboundEntry | None = key("What becomes of calls that come in; in one file of the folder.", default=None)
    retries: RetriesEntry | None = key("When calls are made again; in one file of the folder.", default=None)
    retention: RetentionEntry | None = key(
        "How long what a fax leaves behind is kept; in one file of the folder.", default=None
    )
    cover: CoverEntry | None = key("How cover pages look; in one file of the folder.", default=None)
    callbacks: CallbacksEntry | None = key(
        "Who is told by HTTP what happens to faxes; in one file of the folder.", default=None
    )
    trunks: list[TrunkEntry] = key("SIP accounts that calls go out and come in by.", default_factory=list)
    devices: list[DeviceEntry] = key("Fax machines and adapters that register with the relay.", default_factory=list)
    users: list[UserEntry] = key("Who logs in to send mail, beside the users of the database.", default_factory=list)
    api_keys: list[ApiKeyEntry] = key("Keys of the API.", default_factory=list)
