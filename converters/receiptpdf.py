"""A receipt as a PDF/A page, by WeasyPrint from ``templates/receipt/LANGUAGE/receipt.html``.

The template runs in Jinja2's sandbox with escaping on and undefined names fatal: what the sheet holds is text and
stays text. Nothing is fetched: the pictures are handed over as ``page:1``, ``page:2``... Meant for a confined child.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from weasyprint import CSS, HTML  # type: ignore[import-untyped]

import templates
from converters.errors import Broken
from converters.thumbnails import thumbnails
from converters.weasy import HandedFetcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from converters.document import Paper

#: Pixels of a page's picture: 54 mm at 300 dpi, so that writing on it can be read when enlarged; narrower where the
#: page is so full of dots that its picture has more than :data:`PICTURE_BYTES` (a receipt has less than 200 KB).
PICTURE_WIDTHS = (640, 480, 360)
PICTURE_BYTES = 120_000
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
_FALLBACK = "en"


def draw(sheet: Mapping[str, Any], language: str, paper: Paper, pictures: Sequence[bytes]) -> bytes:
    """Return the receipt's PDF. ``language``: BCP 47, English if it has no template. ``pictures``: PNGs of pages."""
    folder = _folder(language)
    handed = {f"page:{number}": picture for number, picture in enumerate(pictures, 1)}
    width, height = paper.size
    try:
        page = _environment(str(folder)).get_template("receipt.html").render(sheet=sheet, pictures=list(handed))
    except jinja2.TemplateError as fault:
        raise Broken(f"the receipt's template: {fault}") from fault
    fetcher = HandedFetcher(handed)
    styles = [
        CSS(string=(folder.parent / "receipt.css").read_text(encoding="utf-8"), url_fetcher=fetcher),
        CSS(string=f"@page {{ size: {width:g}mm {height:g}mm }}", url_fetcher=fetcher),
    ]
    document = HTML(string=page, url_fetcher=fetcher, base_url=None)
    return bytes(document.write_pdf(stylesheets=styles, pdf_variant="pdf/a-2b"))


def pictures_of(fax: int, pages: Sequence[int]) -> list[bytes]:
    """Return the PNGs of pages (1 is the first) of the transmitted fax."""
    found = []
    for page in pages:
        for width in PICTURE_WIDTHS:
            (picture,) = thumbnails(fax, [page], width)
            if len(picture) <= PICTURE_BYTES:
                break
        found.append(picture)
    return found


def _folder(language: str) -> Path:
    """Return the template's folder, that of English where the language has none."""
    root = Path(next(iter(templates.__path__))) / "receipt"
    wanted = root / language if _LANGUAGE.fullmatch(language) else root / _FALLBACK
    return wanted if (wanted / "receipt.html").is_file() else root / _FALLBACK


@lru_cache(maxsize=8)
def _environment(folder: str) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
