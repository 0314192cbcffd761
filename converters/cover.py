"""A cover page as a PDF, by WeasyPrint from ``templates/cover/LANGUAGE/cover.html``: whom, from whom, what, how many.

The mail's text stands under them as it was written, each line in its own direction; text that fills more than a page
goes on. The template runs in Jinja2's sandbox with escaping on, nothing is fetched. Meant for a confined child.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from weasyprint import CSS, HTML  # type: ignore[import-untyped]

import templates
from converters import text
from converters.errors import Broken, Reason, Refused
from converters.weasy import NothingFetcher

if TYPE_CHECKING:
    from converters.document import Cover, Rendering

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_FALLBACK = "en"


def as_pdf(data: bytes, media_type: str, cover: Cover, others: int, rendering: Rendering) -> bytes:
    """Return the PDF of a cover page and what follows of its text. ``others``: the pages of the fax beside it.

    ``data``: the text, which may be empty; ``media_type`` claims its charset. Raises :class:`Refused` with
    ``TOO_MANY_PAGES`` for a text that cannot fit.
    """
    blocks = text.as_blocks(data, media_type, rendering.max_pages)
    style = _styles(rendering)
    pages = 1
    for _ in range(2):  # the second time with the count that the first one gave
        document = HTML(string=_page(cover, blocks, others + pages), url_fetcher=NothingFetcher(), base_url=None)
        drawn = document.render(stylesheets=style)
        if len(drawn.pages) == pages:
            break
        pages = len(drawn.pages)
    if others + pages > rendering.max_pages:
        raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
    return bytes(drawn.write_pdf())


def _styles(rendering: Rendering) -> list[CSS]:
    width, height = rendering.paper.size
    sheet = (_root() / "cover.css").read_text(encoding="utf-8")
    return [
        CSS(string=sheet, url_fetcher=NothingFetcher()),
        CSS(string=f"@page {{ size: {width:g}mm {height:g}mm }}", url_fetcher=NothingFetcher()),
    ]


def _page(cover: Cover, blocks: str, pages: int) -> str:
    try:
        template = _environment(str(_folder(cover.language))).get_template("cover.html")
        return template.render(cover=cover, text=blocks, pages=pages, direction=text.direction_of)
    except jinja2.TemplateError as fault:
        raise Broken(f"the cover's template: {fault}") from fault


def _root() -> Path:
    return Path(next(iter(templates.__path__))) / "cover"


def _folder(language: str) -> Path:
    """Return the template's folder, that of English where the language has none."""
    wanted = _root() / language if _LANGUAGE.fullmatch(language) else _root() / _FALLBACK
    return wanted if (wanted / "cover.html").is_file() else _root() / _FALLBACK


@lru_cache(maxsize=8)
def _environment(folder: str) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
