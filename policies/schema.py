"""The shape of the policy files: every key with its type, default, unit and meaning.

The reference in ``docs/policies.md`` and the JSON Schema for editors are made from these models, so a key that stands
here is documented and enforced. Unknown keys are errors. Values arrive as the text that was written (see
:mod:`policies.document`); the field types read it.
"""

from __future__ import annotations

import typing
from datetime import timedelta
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from policies.fields import (
    SINGLE,
    UNIT,
    Count,
    CountryCode,
    Duration,
    Flag,
    HeaderLine,
    Ident,
    LanguageCode,
    MailAddress,
    MailDomain,
    NetworkText,
    OneOrMore,
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
from policies.policy import (
    MEGABYTE,
    T38,
    Feature,
    Mode,
    NumberType,
    Paper,
    Proof,
    ReceiptPages,
    Resolution,
)

if typing.TYPE_CHECKING:
    from pydantic.fields import FieldInfo

#: The causes of the transport's closed list that a further call may mend.
RetryCause: TypeAlias = Literal[
    "busy", "no_answer", "rejected", "not_fax", "training", "page_failed", "lost_call", "trunk_down", "local"
]


def _field(doc: str, *, unit: str = "", single: bool = False, **constraints: Any) -> Any:
    """Return a field with its meaning and unit; ``single``: a list that may be written as one value."""
    notes: dict[str, Any] = {UNIT: unit} if unit else {}
    return Field(description=doc, json_schema_extra=notes | ({SINGLE: True} if single else {}), **constraints)


class Entry(BaseModel):
    """A mapping in a policy file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DomainEntry(Entry):
    """A mail domain that means fax: mail to `NUMBER@` this domain is faxed."""

    name: MailDomain = _field("The domain after the @.")
    default_region: CountryCode | None = _field(
        "Country whose rules read national digits, such as 03-1234567. Without it, numbers need their country code.",
        default=None,
    )
    language: LanguageCode = _field("Language of mails to people who have no number of their own.", default="en")


class SenderEntry(Entry):
    """Who may send as a number, and how they must prove that they are who they say."""

    match: SenderPattern = _field(
        "An address `user@example.com`, a domain `@example.com`, or all subdomains of a domain `@*.example.com`."
    )
    proof: Proof = _field(
        "`dmarc`: an aligned SPF or DKIM pass. `auth`: an SMTP login bound to the address. `client-cert`: a TLS client "
        "certificate. `network`: the client's address is in `networks`. `confirm`: the sender clicked a link that was "
        "mailed to them. `none`: no proof, counted only on loopback and on listeners named as trusted.",
        default=Proof.DMARC,
    )
    networks: list[NetworkText] = _field(
        "Networks (CIDR) that the mail must come from. Needed with `proof: network`, an error otherwise.",
        default_factory=list,
    )


class LimitsEntry(Entry):
    """What a number may send."""

    faxes_per_hour: Positive | None = _field("Faxes accepted in any 60 minutes.", unit="faxes", default=None)
    faxes_per_day: Positive | None = _field("Faxes accepted in any 24 hours.", unit="faxes", default=None)
    pages: Positive | None = _field("Pages of one fax.", unit="pages", default=None)
    attachment_bytes: Size = _field(
        "Size of one attachment: bytes, or `500KB`, `10MB` (1 MB = 1024 KB).", unit="bytes", default=10 * MEGABYTE
    )
    recipients: Count = _field("Numbers that one mail may name.", unit="numbers", default=100, ge=1, le=100)


class RetriesEntry(Entry):
    """When a call that did not deliver the fax is made again."""

    retries: Count = _field("Calls after the first.", unit="calls", default=3, ge=0, le=3)
    delay: Duration = _field("Wait before the next call.", default=timedelta(minutes=5))
    delays: dict[RetryCause, Duration] = _field("Waits by cause, in place of `delay`.", default_factory=dict)
    never: list[RetryCause] = _field("Causes after which no further call is made.", default_factory=list)


class NumberEntry(Entry):
    """One of the relay's own numbers: who sends as it, who gets its faxes, and how its faxes look."""

    default_region: CountryCode | None = _field(
        "Country whose rules read national digits in this entry and in the mails of its senders; "
        "without it, the domain's.",
        default=None,
    )
    number: TelephoneNumber = _field("The number, +972312345678; national digits need `default_region`.")
    description: Text = _field("For people; not transmitted.", default="")
    features: list[Feature] = _field("What the number does.", default_factory=lambda: list(Feature), min_length=1)
    deliver_to: list[MailAddress] = _field(
        "Mail addresses that get the received faxes. They may also send as this number, with the proof of the rule in "
        "`senders` that names them, or `dmarc`.",
        default_factory=list,
    )
    senders: list[SenderEntry] = _field("Who may send as this number.", default_factory=list)
    default_for: list[SenderPattern] = _field(
        "Senders who may send from several numbers and use this one unless their mail names another in `X-Fax-From`.",
        default_factory=list,
    )
    ident: Ident | None = _field(
        "Identification sent to the far machine (TSI): up to 20 of digits, space and +. Without it, the number.",
        default=None,
    )
    header: HeaderLine = _field("Text in the line above each page, up to 50 printable characters.", default="")
    caller_id: TelephoneNumber | None = _field(
        "Number shown to the called party. Without it, the number.", default=None
    )
    language: LanguageCode | None = _field("Language of mails. Without it, the domain's.", default=None)
    limits: LimitsEntry = _field("What the number may send.", default_factory=LimitsEntry)
    receipt_pages: ReceiptPages = _field("Transmitted pages that a receipt shows.", default=ReceiptPages.FIRST)
    resolution: Resolution = _field(
        "`standard` 98, `fine` 196, `superfine` 391 lines per inch.", default=Resolution.FINE
    )
    mode: Mode = _field("How grey and colour become black and white.", default=Mode.AUTO)
    paper: Paper = _field("Size of pages that have none of their own, such as plain text.", default=Paper.A4)
    priority: Count = _field("Faxes with a higher priority are dialled first.", default=5, ge=0, le=9)
    retries: RetriesEntry | None = _field("In place of the section `retries`, for the keys given here.", default=None)
    share_of_line: Count = _field(
        "Weight of this number when several wait for a free channel: 2 gets two calls where 1 gets one.",
        default=1,
        ge=1,
        le=100,
    )


class SelectorEntry(Entry):
    """Which numbers a rule means. A number must fit every key that is given, and any one value of each."""

    prefix: OneOrMore[Prefix] = _field("First digits, with + and country code.", single=True, default_factory=list)
    country: OneOrMore[CountryCode] = _field("Countries, such as IL.", single=True, default_factory=list)
    type: OneOrMore[NumberType] = _field(
        "Kinds of number. `premium`, `shared_cost` and `satellite` are denied unless an `allow` rule names the type.",
        single=True,
        default_factory=list,
    )

    @model_validator(mode="after")
    def _names_numbers(self) -> Self:
        if not (self.prefix or self.country or self.type):
            raise told(
                "the rule names no numbers", "name a prefix, a country or a type; 'otherwise' is for all numbers"
            )
        return self


class RuleEntry(Entry):
    """One rule: `allow` or `deny`. The first rule that fits decides."""

    allow: SelectorEntry | None = _field("Numbers that may be dialled.", default=None)
    deny: SelectorEntry | None = _field("Numbers that are refused.", default=None)

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

    from_: TelephoneNumber = _field("A number as it comes in.", alias="from")
    to: TelephoneNumber = _field("The number that must come out.")


class RewriteEntry(Entry):
    """A rewriting rule. The first rule whose pattern fits the whole number is used, before `rules` are looked at."""

    match: Regex = _field(r"Regular expression for the whole number, such as `\+9720(\d+)`.")
    to: Text = _field(r"The new number; `\1` stands for the first group.")
    proof: list[RewriteProof] = _field("At least one pair that shows what the rule does.", min_length=1)


class OverrideEntry(Entry):
    """How numbers with a prefix are called. The longest prefix that fits is used."""

    prefix: Prefix = _field("First digits, with + and country code; or a whole number.")
    ecm: Flag = _field("Error correction (ITU-T T.30 annex A).", default=True)
    max_rate: Rate | None = _field("Highest speed offered.", unit="bit/s", default=None)
    t38: T38 = _field("`never` stays in audio; `prefer` asks for T.38 as soon as a call is answered.", default=T38.AUTO)
    concurrency: Count = _field("Calls to one number at the same time.", unit="calls", default=1, ge=1, le=100)
    notes: Text = _field("For people.", default="")


class DestinationsEntry(Entry):
    """Where faxes may go, and how they get there."""

    rules: list[RuleEntry] = _field("Looked at in order; the first that fits decides.", default_factory=list)
    otherwise: Literal["allow", "deny"] = _field("The verdict where no rule fits.", default="allow")
    rewrite: list[RewriteEntry] = _field("Rewriting of numbers before the rules.", default_factory=list)
    overrides: list[OverrideEntry] = _field("Ways of calling, by prefix.", default_factory=list)


class PolicyFile(Entry):
    """One policy file. Any number of `*.yaml` files in a folder make one policy."""

    domains: list[DomainEntry] = _field("Mail domains that mean fax.", default_factory=list)
    numbers: list[NumberEntry] = _field("The relay's own numbers.", default_factory=list)
    destinations: DestinationsEntry | None = _field("Where faxes may go; in one file of the folder.", default=None)
    retries: RetriesEntry | None = _field("When calls are made again; in one file of the folder.", default=None)


def fields_of(model: type[Entry]) -> dict[str, FieldInfo]:
    """Return a model's fields by the key that files write."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def entry_in(annotation: Any) -> type[Entry] | None:
    """Return the model inside ``list[Model]``, ``Model | None`` or ``Model``; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        return annotation
    return next(filter(None, map(entry_in, typing.get_args(annotation))), None)
