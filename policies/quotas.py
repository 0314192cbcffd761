"""What may be sent in an hour and in a day, by a number and by each of its senders. Pure.

A mail is taken whole or not at all, so that a sender's server tries the whole again and nobody is forgotten. Pages are
known when a fax is made ready, so a mail is taken while fewer pages than allowed were sent; a fax whose pages are not
counted yet stands for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.refusals import Refusal, RefusalKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.decision import Usage


@dataclass(frozen=True, slots=True)
class Quota:
    """What may be sent in any 60 minutes and in any 24 hours; None is no limit."""

    faxes_per_hour: int | None = None
    faxes_per_day: int | None = None
    pages_per_hour: int | None = None
    pages_per_day: int | None = None


#: Who has used up a quota, as the beginning of a sentence: a number, or one of its senders.
NUMBER, SENDER = "Your number has sent its", "You have sent your"


def check(quota: Quota, used: Usage, wanted: int, whose: str) -> Iterator[tuple[str, str, Refusal | None]]:
    """Yield each limit of a quota as key, finding and refusal for ``wanted`` more faxes.

    ``whose``: :data:`NUMBER` or :data:`SENDER`.
    """
    for key, allowed, spent, period in (
        ("faxes_per_hour", quota.faxes_per_hour, used.last_hour, "hour"),
        ("faxes_per_day", quota.faxes_per_day, used.last_day, "day"),
    ):
        if allowed is not None:
            text = f"{spent} of {allowed} faxes in the last {period}, {wanted} more asked for"
            yield key, text, _faxes(allowed, spent, wanted, period, whose)
    for key, allowed, spent, period in (
        ("pages_per_hour", quota.pages_per_hour, used.pages_last_hour, "hour"),
        ("pages_per_day", quota.pages_per_day, used.pages_last_day, "day"),
    ):
        if allowed is not None:
            refusal = _over("pages", period, whose) if spent >= allowed else None
            yield key, f"{spent} of {allowed} pages in the last {period}", refusal


def _faxes(allowed: int, spent: int, wanted: int, period: str, whose: str) -> Refusal | None:
    if wanted > allowed:
        # Waiting never helps here, so a temporary refusal would only delay the bad news by days.
        who = "Your number" if whose == NUMBER else "You"
        told = f"{who} may send {allowed} faxes in one {period}, and this mail asks for {wanted}. Send it in parts."
        return Refusal(RefusalKind.TOO_MANY_RECIPIENTS, told)
    return _over("faxes", period, whose) if spent + wanted > allowed else None


def _over(what: str, period: str, whose: str) -> Refusal:
    return Refusal(RefusalKind.OVER_QUOTA, f"{whose} {what} for this {period}. Try again later.")
