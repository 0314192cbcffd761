"""Past submissions under another policy: which of them would get another verdict.

Read-only: what is asked of the policy is kept with each submission of a mail (``submission.facts``). Quotas are counted
anew from what the other policy would have taken. A mail that was refused as a whole left no row and is not judged, nor
is an older one whose client's address counted and was not kept.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from policies import Facts, Feature, Proof, Quota, Usage, check_recipient, decide
from relay.fax import Direction, Outbound
from relay.intake.address import BadFaxAddress, parse_address
from relay.store.tables import attachment, event, fax, submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from policies import Decision, Verdict
    from relay.policy import PolicyHolder

_HOUR, _DAY = 3600.0, 86400.0
_TAKEN: Final = "250 2.0.0 The mail is accepted."
_OK: Final = "250 2.1.5 The number is accepted."
#: Submissions of the relay's own, which no policy decides.
_OURS: Final = "relay"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became, or would become, of one recipient; ``dialled`` is E.164, empty for what is refused."""

    accepted: bool
    dialled: str
    reply: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became, or would become, of a submission. ``number``: as which it is sent; None: as none."""

    accepted: bool
    number: str | None
    reply: str
    recipients: Mapping[str, Fate]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One submission that gets another verdict."""

    id: int
    at: float
    sender: str | None
    before: Judgement
    after: Judgement


@dataclass(slots=True)
class Replay:
    """What a replay found; ``unknown`` submissions could not be judged."""

    judged: int = 0
    unknown: int = 0
    changed: list[Replayed] = field(default_factory=list)


def kept(facts: Facts) -> dict[str, Any]:
    """Return what of a question is kept with its submission, beside the columns that it has anyway."""
    return {
        "proofs": sorted(proof.value for proof in facts.proofs),
        "client": str(facts.client_ip) if facts.client_ip is not None else None,
        "requested": facts.requested_number,
        "domain": facts.domain,
        "recipients": list(facts.recipients),
    }


def replay(connection: sa.Connection, holder: PolicyHolder, since: float) -> Replay:
    """Judge what was submitted since a time (seconds since 1970) by the holder's policy, in order. Writes nothing."""
    if connection.dialect.name != "sqlite":  # SQLite's way would stay with the connection when it is used again
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    judge = _Judge(connection, holder)
    found = Replay()
    for group in _groups(connection, since - _DAY):  # what a quota counts on the first day was sent on the day before
        before, after = judge.both(group)
        if group[0].created_at < since or group[0].resend_of is not None or group[0].source == _OURS:
            continue
        if after is None:
            found.unknown += 1
            continue
        found.judged += 1
        if _differ(before, after):
            first = group[0]
            found.changed.append(Replayed(first.submission_id, first.created_at, first.sender, before, after))
    return found


class _Judge:
    """Judges one submission after the other; counts what its own verdicts let through."""

    def __init__(self, connection: sa.Connection, holder: PolicyHolder) -> None:
        self._connection = connection
        self._holder = holder
        self._sent: defaultdict[tuple[str, str | None], deque[tuple[float, int]]] = defaultdict(deque)

    def both(self, group: list[sa.Row[Any]]) -> tuple[Judgement, Judgement | None]:
        """Return the old and the new judgement; None where what was asked is not known."""
        first = group[0]
        before = _before(group)
        if first.resend_of is not None or first.source == _OURS:
            self._count(first.number, None, group, [row.peer_written for row in group])
            return before, None
        after = self._mail(group) if first.proof in _PROOFS else self._ordered(group)
        if after is not None and after.accepted and after.number is not None:
            taken = [written for written, fate in after.recipients.items() if fate.accepted]
            self._count(after.number, first.sender, group, taken)
        return before, after

    def _mail(self, group: list[sa.Row[Any]]) -> Judgement | None:
        facts = self._facts(group)
        if facts is None:
            return None
        decision = decide(self._holder.current, facts)
        number = decision.sender.number if decision.sender else None
        written = [f"{one}@{facts.domain}" for one in facts.recipients]
        fates = {
            name: self._fate(number, name, verdict) for name, verdict in zip(written, decision.recipients, strict=True)
        }
        return Judgement(decision.accepted, number, decision.reply, fates)

    def _facts(self, group: list[sa.Row[Any]]) -> Facts | None:
        """Return what was asked, ``None`` where it is not known."""
        first = group[0]
        asked = first.facts or _guessed(group)
        if asked is None:
            return None
        sizes = sa.select(attachment.c.size).where(attachment.c.submission_id == first.submission_id)
        known = Facts(
            from_address=first.sender or "",
            recipients=tuple(asked["recipients"]),
            domain=asked["domain"],
            proofs=frozenset(map(Proof, asked["proofs"])),
            client_ip=ipaddress.ip_address(asked["client"]) if asked["client"] else None,
            requested_number=asked["requested"],
            attachment_bytes=tuple(self._connection.execute(sizes).scalars()),
        )
        number = _sender(decide(self._holder.current, known))
        if number is None or not self._limited(number):
            return known
        usage, by_sender = (self._usage(number, who, first.created_at) for who in (None, first.sender))
        return Facts(
            known.from_address, known.recipients, known.domain, known.proofs, known.client_ip, known.requested_number,
            {number: usage}, {number: by_sender}, None, known.attachment_bytes,
        )  # fmt: skip

    def _ordered(self, group: list[sa.Row[Any]]) -> Judgement:
        """Judge what the command line or a device of ours asked for: its number and its destinations."""
        policy, first = self._holder.current, group[0]
        number = policy.numbers.get(first.number)
        if number is None or (first.source == "command" and Feature.MAIL_TO_FAX not in number.features):
            reply = f"550 5.7.1 {first.number} is not a sending number of the policy"
            return Judgement(
                accepted=False,
                number=None,
                reply=reply,
                recipients={row.peer_written: Fate(accepted=False, dialled="", reply=reply) for row in group},
            )
        region = number.default_region or next((each.default_region for each in policy.domains.values()), None)
        verdicts = {row.peer_written: check_recipient(policy, row.peer_written, region) for row in group}
        fates = {written: self._fate(number.number, written, verdict) for written, verdict in verdicts.items()}
        return Judgement(accepted=True, number=number.number, reply=_TAKEN, recipients=fates)

    def _fate(self, number: str | None, written: str, verdict: Verdict) -> Fate:
        if verdict.refusal is not None or verdict.dialled is None or number is None:
            return Fate(accepted=False, dialled="", reply=verdict.reply)
        asked = self._holder.recipient(number, verdict.dialled, written, verdict)
        if asked.refusal is not None:
            return Fate(accepted=False, dialled="", reply=f"550 5.7.1 {asked.refusal}")
        return Fate(accepted=True, dialled=verdict.dialled, reply=verdict.reply)

    def _limited(self, number: str) -> bool:
        limits = self._holder.current.numbers[number].limits
        return (limits.quota, limits.per_sender) != (Quota(), Quota())

    def _usage(self, number: str, sender: str | None, now: float) -> Usage:
        sent = self._sent[number, sender]
        while sent and sent[0][0] <= now - _DAY:
            sent.popleft()
        hour = [pages for at, pages in sent if at > now - _HOUR]
        return Usage(len(hour), len(sent), sum(hour), sum(pages for _, pages in sent))

    def _count(self, number: str, sender: str | None, group: list[sa.Row[Any]], taken: list[str]) -> None:
        pages = {row.peer_written: row.pages for row in group}
        for written in taken:
            for who in {None, sender}:
                self._sent[number, who].append((group[0].created_at, pages.get(written) or 1))


_PROOFS: Final = frozenset(proof.value for proof in Proof)


def _groups(connection: sa.Connection, since: float) -> Iterator[list[sa.Row[Any]]]:
    """Yield the faxes of each submission, and of each resend, in order."""
    refused = sa.exists().where(event.c.fax_id == fax.c.id, event.c.kind == "fax.failed", event.c.before == "accepted")
    columns = (
        fax.c.id, fax.c.submission_id, fax.c.created_at, fax.c.resend_of, fax.c.peer, fax.c.peer_written, fax.c.pages,
        fax.c.reason, submission.c.number, submission.c.sender, submission.c.proof, submission.c.source,
        submission.c.facts, sa.and_(fax.c.state == Outbound.FAILED.value, refused).label("refused"),
    )  # fmt: skip
    query = (
        sa.select(*columns)
        .join(submission, submission.c.id == fax.c.submission_id)
        .where(fax.c.direction == Direction.OUTBOUND.value, fax.c.created_at >= since)
        .order_by(fax.c.created_at, fax.c.submission_id, fax.c.id)
    )
    group: list[sa.Row[Any]] = []
    rows: Iterable[sa.Row[Any]] = connection.execute(query)
    for row in rows:
        if group and (row.submission_id, row.resend_of) != (group[0].submission_id, group[0].resend_of):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _before(group: Iterable[sa.Row[Any]]) -> Judgement:
    rows = list(group)
    fates = {
        row.peer_written: Fate(not row.refused, "" if row.refused else row.peer, row.reason if row.refused else _OK)
        for row in rows
    }
    return Judgement(accepted=True, number=rows[0].number, reply=_TAKEN, recipients=fates)


def _guessed(group: list[sa.Row[Any]]) -> dict[str, Any] | None:
    """Return what must have been asked of a submission without facts; ``None`` where its client's address counted."""
    first = group[0]
    if first.proof == Proof.NETWORK.value:
        return None
    try:
        recipients = [parse_address(row.peer_written) for row in group]
    except BadFaxAddress:
        return None
    return {
        "proofs": [first.proof],
        "client": None,
        "requested": first.number,
        "domain": recipients[0].domain,
        "recipients": [one.number for one in recipients],
    }


def _sender(decision: Decision) -> str | None:
    return decision.sender.number if decision.sender else None


def _differ(before: Judgement, after: Judgement) -> bool:
    if (before.accepted, before.number) != (after.accepted, after.number):
        return True
    return any(moved(before, after))


def moved(before: Judgement, after: Judgement) -> Iterator[str]:
    """Yield the recipients, as written, whose verdict or number to dial differs."""
    dialled = {fate.dialled for fate in before.recipients.values()}
    for written, fate in after.recipients.items():
        old = before.recipients.get(written)
        if old is None:  # it was refused by itself (LMTP), or was another spelling of a number that the mail names
            old = Fate(fate.accepted and fate.dialled in dialled, fate.dialled, "")
        if (old.accepted, old.dialled) != (fate.accepted, fate.dialled):
            yield written
