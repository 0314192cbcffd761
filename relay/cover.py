"""A fax's cover page: what it says, made of the rows of the fax. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from converters import Cover
from relay.mailer import writing

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The setting ``cover`` of a submission: its first file is the cover's text, or there is no text.
TEXT: Final = "text"
BLANK: Final = "blank"


def of_submission(settings: Mapping[str, Any], row: Any, peer: str) -> Cover | None:
    """Return the cover of the faxes of a submission to ``peer``; None: they have none.

    ``row``: of the table ``submission``; ``settings``: its settings.
    """
    kept = settings.get("cover")
    if kept is None:
        return None
    taken = datetime.fromtimestamp(row.created_at, ZoneInfo(settings.get("zone", "UTC")))
    sender = (settings.get("header", ""), writing.number(row.number), row.sender or "")
    return Cover(
        language=settings.get("language", "en"),
        to=writing.number(peer),
        sender=tuple(writing.one_line(line) for line in sender if line),
        title=writing.one_line(row.subject),
        date=f"{taken:%Y-%m-%d %H:%M}",
        has_text=kept == TEXT,
    )
