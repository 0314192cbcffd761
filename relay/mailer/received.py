"""A received fax as its mail tells it: made of its rows by a pure function, every rendering only shows it.

A call that was cut says so and after which page. The caller's number and ident are the far side's own word and may be
anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from relay.fax import Inbound
from relay.mailer import writing
from transport.seam import Cause

if TYPE_CHECKING:
    from datetime import tzinfo

    from relay.mailer.language import Language
    from relay.mailer.record import Record

#: Before the subject of what the policy calls junk and delivers all the same: mail programs filter by it.
_MARK: Final = "[JUNK] "


@dataclass(frozen=True, slots=True)
class ReceivedFax:
    """``warning``: why it may not be whole, or empty. ``file_name``: of its PDF; empty where no page came."""

    title: str
    number: str
    caller: str
    csid: str
    pages: int
    time: str
    duration: str
    warning: str
    file_name: str
    fax_id: str
    sha256: str
    simulated: bool


def received_fax(record: Record, language: Language, zone: tzinfo) -> ReceivedFax:
    """Return what is told of a call that has ended, with pages or without."""
    fax, result = record.fax, _result(record)
    pages = record.document.pages if record.document is not None else 0
    caller = writing.number(fax.peer) or language.say("withheld")
    cause = language.cause(Cause(result.get("cause", Cause.LOST_CALL.value)))
    if not pages:
        warning = language.say("missed", caller=caller, cause=cause.outcome)
    elif result.get("cause") != Cause.CONFIRMED.value:
        warning = language.say("cut", cause=cause.outcome[0].upper() + cause.outcome[1:], count=pages)
    else:
        warning = ""
    mark = _MARK if fax.settings.get("junk") == "deliver" else ""
    return ReceivedFax(
        title=mark + language.say("title_received" if pages else "title_missed", number=fax.number),
        number=writing.number(fax.number),
        caller=caller,
        csid=writing.one_line(fax.remote_ident),
        pages=pages,
        time=writing.moment(fax.created_at, zone),
        duration=language.duration(result.get("talk_seconds", 0.0)),
        warning=warning,
        file_name=f"fax_{fax.id}_{writing.day(fax.created_at, zone)}.pdf" if pages else "",
        fax_id=str(fax.id),
        sha256=record.document.blob if record.document is not None else "",
        simulated=bool(result.get("simulated", False)),
    )


def _result(record: Record) -> dict[str, Any]:
    """Return the call's result, which stands in the event that ended it."""
    ends = {Inbound.READING.value, Inbound.RECEIVED.value, Inbound.QUARANTINED.value, Inbound.UNDELIVERABLE.value}
    for event in record.events:
        if event.before == Inbound.RECEIVING.value and event.after in ends:
            return dict((event.detail or {}).get("result", {}))
    return {}
