"""A decision in words for an admin and as JSON for programs: each rule that was looked at, the verdict, the reply."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from policies.approval import Asked
    from policies.decision import Decision, Reason, Verdict
    from policies.policy import Settings

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"


def explain(decision: Decision, confirmed: Decision | None = None) -> str:
    """Return some lines of text. A line that begins with ``+`` is a rule that took effect, one with ``-`` did not.

    ``confirmed``: the decision once the sender has confirmed the mail, where that is asked for.
    """
    sender = f"sends as {decision.sender.number}" if decision.sender else "may not send"
    lines = [f"Sender: {sender}", *map(_line, decision.reasons)]
    for verdict in decision.recipients:
        lines += ["", f"To {verdict.addressed[:50]!r}: {_outcome(verdict)}", *map(_line, verdict.reasons)]
        if verdict.route is not None:
            trunks = ", then ".join(verdict.route.trunks) or "none, so it cannot be sent by telephone"
            lines += [f"  by trunk: {trunks}", *map(_line, verdict.route.reasons)]
        lines.append(f"  reply: {verdict.reply}")
    lines += ["", f"Reply to the mail: {decision.reply}"]
    if (until := _waits_until(decision)) is not None:
        lines.append(f"Dialled when the hours of sending begin: {until}")
    if confirmed is not None and confirmed.sender is not None:
        wait = in_words(confirmed.sender.confirm_within)
        held = "Unless it is automatic mail, it is taken and held: a link is mailed to its From address, and for"
        lines += ["", f"{held} {wait} the click counts as proof confirm:", explain(confirmed)]
    return "\n".join(lines)


def as_json(decision: Decision, confirmed: Decision | None = None) -> dict[str, Json]:
    """Return the decision as JSON data; the keys are stable. ``confirmed``: as for :func:`explain`."""
    refusal = decision.refusal
    return {
        "accepted": decision.accepted,
        "sender": decision.sender.number if decision.sender else None,
        "language": decision.language,
        "reply": decision.reply,
        "refusal": None if refusal is None else refusal.kind.label,
        "missing_proofs": sorted(proof.value for proof in decision.missing_proofs),
        "waits_until": _waits_until(decision),
        "once_confirmed": None if confirmed is None else as_json(confirmed),
        "settings": None if decision.settings is None else _settings(decision.settings),
        "reasons": [_reason(each) for each in decision.reasons],
        "recipients": [_recipient(verdict) for verdict in decision.recipients],
    }


def in_words(length: timedelta) -> str:
    """Return a length of time as files write it.

    >>> in_words(timedelta(days=1)), in_words(timedelta(minutes=90))
    ('1d', '1h30m')
    """
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def _waits_until(decision: Decision) -> str | None:
    """Return when the first call may be made, ISO 8601 with the zone's offset; None where that is at any time."""
    hours = decision.settings.hours if decision.settings else None
    if hours is None or decision.not_before is None:
        return None
    return datetime.fromtimestamp(decision.not_before, ZoneInfo(hours.zone)).isoformat(timespec="minutes")


def _line(reason: Reason) -> str:
    where = f"{reason.file}:{reason.line}" if reason.file else "built in"
    return f"  {'+' if reason.matched else '-'} {where}: {reason.rule}: {reason.text}"


def _outcome(verdict: Verdict) -> str:
    if verdict.refusal is not None:
        return "refused"
    accepted = f"accepted, dialled as {verdict.dialled}"
    asked = verdict.approval
    if asked is None:
        return accepted
    condition = "" if asked.over_pages is None else f" if it has more than {asked.over_pages} pages"
    return f"{accepted} once {' or '.join(asked.by)} has approved it{condition}"


def _reason(reason: Reason) -> dict[str, Json]:
    return {
        "rule": reason.rule,
        "file": reason.file,
        "line": reason.line,
        "matched": reason.matched,
        "text": reason.text,
    }


def _recipient(verdict: Verdict) -> dict[str, Json]:
    override = verdict.override
    return {
        "addressed": verdict.addressed,
        "number": verdict.number,
        "dialled": verdict.dialled,
        "accepted": verdict.accepted,
        "reply": verdict.reply,
        "refusal": None if verdict.refusal is None else verdict.refusal.kind.label,
        "calls": {
            "ecm": override.ecm,
            "max_rate": override.max_rate,
            "t38": override.t38.value,
            "concurrency": override.concurrency,
        },
        "approval": None if verdict.approval is None else _approval(verdict.approval),
        "trunks": None if verdict.route is None else list(verdict.route.trunks),
        "reasons": [_reason(each) for each in (*verdict.reasons, *(verdict.route.reasons if verdict.route else ()))],
    }


def _approval(asked: Asked) -> dict[str, Json]:
    return {"by": list(asked.by), "within_seconds": int(asked.within.total_seconds()), "over_pages": asked.over_pages}


def _settings(settings: Settings) -> dict[str, Json]:
    retries, late = settings.retries, settings.delayed_mail
    return {
        "ident": settings.ident,
        "header": settings.header,
        "caller_id": settings.caller_id,
        "receipt_pages": settings.receipt_pages.value,
        "accepted_mail": settings.accepted_mail,
        "delayed_mail_seconds": None if late is None else int(late.total_seconds()),
        "resolution": settings.resolution.value,
        "mode": settings.mode.value,
        "paper": settings.paper.value,
        "priority": settings.priority,
        "share_of_line": settings.share_of_line,
        "retries": {
            "retries": retries.retries,
            "delay_seconds": int(retries.delay.total_seconds()),
            "delays_seconds": {cause: int(delay.total_seconds()) for cause, delay in sorted(retries.delays.items())},
            "never": sorted(retries.never),
            "ladder": list(retries.ladder),
            "remember_seconds": int(retries.remember.total_seconds()),
        },
    }
