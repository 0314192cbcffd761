"""A fax's cover page: what it says, made of the rows of the fax and of what the policy said when it was accepted."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import structlog

from converters import Cover
from relay.mailer import writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies import Look, Number

log = structlog.get_logger()

#: The setting ``cover`` of a submission: its first file is the cover's text, or there is no text.
TEXT: Final = "text"
BLANK: Final = "blank"


def settings_of(number: Number, look: Look | None, *, has_text: bool) -> dict[str, Any]:
    """Return the settings of a submission that has a cover, as JSON; ``look`` ``None``: that of the number."""
    page = number.cover
    return {
        "cover": TEXT if has_text else BLANK,
        "cover_page": {
            "look": (look or page.look).value,
            "company": page.company or number.settings.header,
            "phone": page.phone,
            "logo": page.logo,
        },
    }


def of_submission(settings: Mapping[str, Any], row: Any, peer: str) -> Cover | None:
    """Return the cover of the faxes of a submission to ``peer``; None: they have none.

    ``row``: of the table ``submission``; ``settings``: its settings.
    """
    kept = settings.get("cover")
    if kept is None:
        return None
    page = settings.get("cover_page", {})
    taken = datetime.fromtimestamp(row.created_at, ZoneInfo(settings.get("zone", "UTC")))
    company = writing.one_line(page.get("company") or settings.get("header", ""))
    sender = (company, writing.number(row.number), row.sender or "")
    return Cover(
        language=settings.get("language", "en"),
        to=writing.number(peer),
        sender=tuple(writing.one_line(line) for line in sender if line),
        title=writing.one_line(row.subject),
        date=f"{taken:%Y-%m-%d %H:%M}",
        has_text=kept == TEXT,
        look=page.get("look", "plain"),
        company=company,
        phone=page.get("phone", ""),
        logo=_logo(page.get("logo", "")),
    )


def _logo(path: str) -> Path | None:
    """Return a logo's file if it is still there: a fax does not wait for a picture that was moved away."""
    if not path:
        return None
    logo = Path(path)
    if logo.is_file() and os.access(logo, os.R_OK):
        return logo
    log.warning("cover without its logo: the file cannot be read", file=path)
    return None
