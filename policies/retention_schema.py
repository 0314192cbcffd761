"""The shape of ``retention`` in the policy files: how long what a fax leaves behind is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from policies.entry import Entry, key
from policies.times import KeepTime  # noqa: TC001 -- pydantic reads the keys' types

if TYPE_CHECKING:
    from policies.retention import Retention
    from policies.scope import Scope


class RetentionEntry(Entry):
    """How long what a fax leaves behind is kept after its end; what is not given is kept until somebody erases it.

    Nothing is erased of a fax that has not ended, that no mailbox took yet, or whose mails are still on their way.
    """

    documents: KeepTime | None = key(
        "The files as they were sent or received, the pages made of them, the pages as transmitted.", default=None
    )
    traces: KeepTime | None = key(
        "What was said on the wire in each call. In any case no longer than `lines.trace_days` of `faxrelay.yaml`.",
        default=None,
    )
    rows: KeepTime | None = key(
        "All else that is stored of a fax: addresses, subject, history, calls. What stays is its line in the audit: "
        "digests of the pages, times, the number of ours, the outcome.",
        default=None,
    )


def retention_of(below: Retention, scope: Scope, entry: RetentionEntry | None) -> Retention:
    """Return the retention of a number whose scope this is."""
    return below if entry is None else merged_retention(below, scope.at("retention"), entry)


def merged_retention(below: Retention, scope: Scope, entry: RetentionEntry) -> Retention:
    """Return ``below`` with the keys that ``entry`` gives; tell times that contradict each other."""
    given = {name: getattr(entry, name) for name in entry.model_fields_set}
    kept = replace(below, **given, source=scope.source())
    for name in ("documents", "traces"):
        inner = getattr(kept, name)
        if inner is not None and kept.rows is not None and inner > kept.rows:
            at = name if name in given else "rows"
            scope.tell(f"{name} cannot be kept longer than the rows that name them", "write a longer time for rows", at)
    return kept
