"""What is asked of a policy and what it answers: plain values, no rule of their own.

Invariants: a decision has one verdict for each recipient asked about, in their order; its ``reasons`` and those of its
verdicts name the rules that were looked at, whether they matched or missed, and are for the admin; only the refusals'
sentences are for the sender.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address

    from policies.approval import Asked
    from policies.lines import Route
    from policies.policy import Number, Override, Proof, Settings, Source
    from policies.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Usage:
    """Faxes that were sent already, in the last 60 minutes and the last 24 hours, and their pages."""

    last_hour: int = 0
    last_day: int = 0
    pages_last_hour: int = 0
    pages_last_day: int = 0

    def more(self, faxes: int) -> Usage:
        """Return the usage after so many more faxes, whose pages are not counted yet."""
        return Usage(
            self.last_hour + faxes, self.last_day + faxes, self.pages_last_hour + faxes, self.pages_last_day + faxes
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """One mail, as far as it is known.

    ``from_address``: the one From address, as :func:`policies.normalise_address` spells it. ``recipients``: numbers as
    they were addressed, E.164 or national digits. ``domain``: the fax domain they were addressed at. ``proofs``: what
    was established for the From address; ``Proof.NETWORK`` when ``client_ip`` is known to be the client's own, and
    ``Proof.NONE`` on loopback and trusted listeners. ``requested_number``: the text of ``X-Fax-From``. ``usage`` of a
    number and ``sender_usage``, of the From address as that number, are keyed by the relay's own numbers (E.164).
    ``pages`` of the fax, None before conversion. ``attachment_bytes``: the decoded size of each attachment. ``now``:
    seconds since 1970, None where nobody asks when a fax would be dialled.
    """

    from_address: str
    recipients: tuple[str, ...] = ()
    domain: str | None = None
    proofs: frozenset[Proof] = frozenset()
    client_ip: IPv4Address | IPv6Address | None = None
    requested_number: str | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)
    sender_usage: Mapping[str, Usage] = field(default_factory=dict)
    pages: int | None = None
    attachment_bytes: tuple[int, ...] = ()
    now: float | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that was looked at. ``matched``: it took effect; ``text`` says how, or what it missed.

    ``file`` and ``line`` say where the rule stands; '' and 0 for what is built in.
    """

    rule: str
    file: str
    line: int
    matched: bool
    text: str


def reason(rule: str, source: Source | None, text: str, *, matched: bool) -> Reason:
    """Return a reason that stands at ``source``; None for what is built in."""
    return Reason(rule, source.file if source else "", source.line if source else 0, matched, text)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one recipient.

    ``addressed`` is the text that was asked about, ``number`` its E.164 form, ``dialled`` the number after rewriting
    (None where the text is no number); ``override`` says how it is called. ``route``: by which trunks; None where
    nothing is dialled, or the policy has no trunks (its faxes go by another line). ``approval``: whose it needs first.
    """

    addressed: str
    number: str | None
    dialled: str | None
    refusal: Refusal | None
    override: Override
    reasons: tuple[Reason, ...]
    route: Route | None = None
    approval: Asked | None = None

    @property
    def accepted(self) -> bool:
        """Whether a fax to this recipient may be sent."""
        return self.refusal is None

    @property
    def reply(self) -> str:
        """The SMTP reply for this recipient."""
        return "250 2.1.5 The number is accepted." if self.refusal is None else self.refusal.reply


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a mail.

    ``sender`` is the relay's number that the faxes are sent as. ``refusal`` is that of the whole mail; where it is
    None, each recipient has its verdict and at least one is accepted (or none was asked about). ``missing_proofs``:
    each of these, if it were given, would have let a rule count that names the sender; empty where no rule does.
    ``not_before``: when the hours of sending let the first call be made; None: at once, or the facts have no ``now``.
    """

    sender: Number | None
    refusal: Refusal | None
    recipients: tuple[Verdict, ...]
    language: str
    missing_proofs: frozenset[Proof]
    reasons: tuple[Reason, ...]
    not_before: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the mail is taken; single recipients may still be refused."""
        return self.refusal is None

    @property
    def settings(self) -> Settings | None:
        """How the faxes are made and dialled; None without a sending number."""
        return None if self.sender is None else self.sender.settings

    @property
    def reply(self) -> str:
        """The SMTP reply for the mail as a whole."""
        return "250 2.0.0 The mail is accepted." if self.refusal is None else self.refusal.reply
