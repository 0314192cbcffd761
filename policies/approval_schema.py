"""The shape of ``approval`` in the policy files: who says yes to a number's faxes, and to which of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from policies.approval import USUAL_WAIT, Approval
from policies.entry import Entry, key
from policies.fields import LongDuration, MailAddress, Positive  # noqa: TC001 -- pydantic reads the keys' types
from policies.policy import DestinationRule
from policies.selector_schema import SelectorEntry  # noqa: TC001 -- pydantic reads the keys' types

if TYPE_CHECKING:
    from policies.scope import Scope

_SHORTEST = timedelta(minutes=1)


class ApprovalEntry(Entry):
    """Whose approval the number's faxes need before they are dialled.

    With neither `over_pages` nor `destinations` every fax waits; else each that has more pages, and each that goes to
    one of the destinations. Faxes that an administrator sends by `faxrelay fax send` do not wait.
    """

    by: list[MailAddress] = key(
        "Mail addresses of those who may approve; each gets a mail with links, and the first answer decides.",
        min_length=1,
    )
    over_pages: Positive | None = key("Faxes with more pages than this.", unit="pages", default=None)
    destinations: SelectorEntry | None = key("Faxes to these numbers, as they are dialled.", default=None)
    within: LongDuration = key(
        "How long a fax waits for the answer. Then it is refused, and its sender told.", default=USUAL_WAIT
    )


def approval_of(scope: Scope, entry: ApprovalEntry | None, pages: int | None) -> Approval | None:
    """Return the approval that a number's entry asks for; tell what has no effect.

    ``scope``: the number's; ``pages``: the most that its faxes may have.
    """
    if entry is None:
        return None
    scope = scope.at("approval")
    scope.no_repeats("by", entry.by)
    if entry.over_pages is not None and pages is not None and entry.over_pages >= pages:
        message = f"no fax has more than the {pages} pages of limits.pages"
        scope.tell(message, "write fewer pages, or remove the key", "over_pages")
    check_wait(scope, entry.within, "within")
    return Approval(tuple(entry.by), entry.within, entry.over_pages, _rule(scope, entry), scope.source())


def check_wait(scope: Scope, wait: timedelta, key: str) -> None:
    """Tell a wait for a person in which no person can answer."""
    if wait < _SHORTEST:
        scope.tell("nobody can answer in less than a minute", "write 1m at least, such as 1d", key)


def _rule(scope: Scope, entry: ApprovalEntry) -> DestinationRule | None:
    """Return the rule that names the destinations; it denies, so that it is read against the caller in doubt."""
    named = entry.destinations
    if named is None:
        return None
    prefixes, countries, types = tuple(named.prefix), frozenset(named.country), frozenset(named.type)
    return DestinationRule(False, prefixes, countries, types, scope.source("destinations"))  # noqa: FBT003
