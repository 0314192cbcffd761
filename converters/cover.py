"""A cover page as a PDF, by WeasyPrint from ``templates/cover/``: whom, from whom, what, how many.

A look is ``LOOK.html`` and ``LOOK.css``, its words are in ``LANGUAGE/words.yaml``. The mail's text stands under the
facts as it was written, each line in its own direction; text that fills more than a page goes on. The templates run in
Jinja2's sandbox with escaping on, nothing is fetched but the logo that was handed in. Meant for a confined child.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment
from weasyprint import CSS, HTML  # type: ignore[import-untyped]

import templates
from converters import logo as logos
from converters import text
from converters.errors import Broken, Reason, Refused
from converters.weasy import HandedFetcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from converters.document import Cover, Rendering

_NAME = re.compile(r"[a-z]{2,20}")
_LANGUAGE, _LOOK = "en", "plain"
#: A logo fills a box of so many square millimetres, up to the sides: a long one and a square one look equally large.
_LOGO_AREA, _LOGO_WIDTH, _LOGO_HEIGHT = 800.0, 70.0, 26.0
#: The address by which a template names the logo.
_LOGO = "logo:"


def as_pdf(data: bytes, media_type: str, cover: Cover, others: int, rendering: Rendering, logo: bytes = b"") -> bytes:
    """Return the PDF of a cover page and what follows of its text. ``others``: the pages of the fax beside it.

    ``data``: the text, which may be empty; ``media_type`` claims its charset; ``logo``: the file in the page's head.
    Raises :class:`Refused` with ``TOO_MANY_PAGES`` for a text that cannot fit.
    """
    told = {"cover": cover, "text": text.as_blocks(data, media_type, rendering.max_pages), "logo": None}
    picture = logos.drawn(logo) if logo else None
    if picture is not None:
        told["logo"] = {"address": _LOGO, "width": _logo_width(picture[1])}
    fetcher = HandedFetcher({} if picture is None else {_LOGO: picture[0]})
    style = _styles(cover.look, rendering, fetcher)
    pages = 1
    for _ in range(2):  # the second time with the count that the first one gave
        page = _page(cover, told | {"pages": others + pages})
        drawn = HTML(string=page, url_fetcher=fetcher, base_url=None).render(stylesheets=style)
        if len(drawn.pages) == pages:
            break
        pages = len(drawn.pages)
    if others + pages > rendering.max_pages:
        raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
    return bytes(drawn.write_pdf())


def _logo_width(shape: float) -> float:
    """Return the width in millimetres of a logo of this width by height."""
    return round(min(math.sqrt(_LOGO_AREA * shape), _LOGO_WIDTH, _LOGO_HEIGHT * shape), 2)


def _styles(look: str, rendering: Rendering, fetcher: HandedFetcher) -> list[CSS]:
    width, height = rendering.paper.size
    sheets = [(_root() / f"{name}.css").read_text(encoding="utf-8") for name in ("cover", _look(look))]
    return [
        CSS(string=sheet, url_fetcher=fetcher) for sheet in (*sheets, f"@page {{ size: {width:g}mm {height:g}mm }}")
    ]


def _page(cover: Cover, told: Mapping[str, Any]) -> str:
    words = _words(cover.language)
    try:
        template = _environment().get_template(f"{_look(cover.look)}.html")
        return template.render(
            words=words, direction=text.direction_of, written_date=_written(cover.date, words), **told
        )
    except jinja2.TemplateError as fault:
        raise Broken(f"the cover's template: {fault}") from fault


def _written(date: str, words: Mapping[str, Any]) -> str:
    """Return a date without its time, written out; one that is not ISO 8601 stays as it is."""
    try:
        day = datetime.fromisoformat(date)
    except ValueError:
        return date
    return str(words["day"]).format(day=day.day, month=words["months"][day.month - 1], year=day.year)


def _root() -> Path:
    return Path(next(iter(templates.__path__))) / "cover"


def _look(name: str) -> str:
    """Return a look that there is."""
    there = _NAME.fullmatch(name) and all((_root() / f"{name}.{kind}").is_file() for kind in ("html", "css"))
    return name if there else _LOOK


@lru_cache(maxsize=8)
def _words(language: str) -> Mapping[str, Any]:
    """Return the words of a language, those of English where it has none."""
    file = _root() / language / "words.yaml"
    if not (_NAME.fullmatch(language) and file.is_file()):
        language, file = _LANGUAGE, _root() / _LANGUAGE / "words.yaml"
    return {**yaml.safe_load(file.read_text(encoding="utf-8")), "language": language}


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(str(_root())),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
