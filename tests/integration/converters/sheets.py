"""Pages with known words as offices print them: sizes, grays, grounds, reversed, thin lines, photographs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pypdfium2 as pdfium  # type: ignore[import-untyped]
from PIL import Image
from weasyprint import HTML  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What is written on the pages: invented, with figures, capitals and signs that offices use.
WORDS = (
    "The pump in shaft 4 was tested on 17 March at 09:35 with a load of 2,860 kg. Jovial quarry workers fixed the "
    "gauge by hand; its reading went from 71.8 to 63.2 mm. Please pay EUR 1,947.50 before 30 April, reference "
    "KX-5082-17. Box 6 holds twelve dozen brass valves, each with a signed label."
)
#: The same sort of words in other scripts, each with Tesseract's name of the language, its family and its direction.
SCRIPTS = {
    "Hebrew": (
        "heb",
        "DejaVu Sans",
        "rtl",
        (
            "המשאבה בפיר 4 נבדקה ביום שלישי בשעה 09:35 בעומס של 2,860 קילוגרם. נא לשלם את החשבון לפני סוף החודש "
            "ולציין את מספר ההזמנה. בארגז השישי יש תריסר שסתומי פליז, ולכל אחד מהם תווית חתומה."
        ),
    ),
    "Cyrillic": (
        "rus",
        "Liberation Serif",
        "ltr",
        (
            "Насос в шахте 4 испытали 17 марта в 09:35 под нагрузкой 2860 кг. Просим оплатить счёт до 30 апреля и "
            "указать номер заказа. В шестом ящике лежит дюжина латунных клапанов, каждый с подписанной биркой."
        ),
    ),
}
_PAGE = "@page { size: A4; margin: 25mm } body { font: 10pt 'Liberation Sans'; margin: 0 }"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page as a PDF and the words on it that are to be read.

    ``photo``: it has a photograph at :data:`PHOTO`; ``language``: Tesseract's name of it.
    """

    name: str
    pdf: bytes
    words: str
    photo: bool = False
    language: str = "eng"


#: Left, top, width and height of the mixed page's photograph in millimetres; a reader is not shown it.
PHOTO = (25, 190, 70, 48)


def words() -> Iterator[Sheet]:
    """Yield the pages of text."""
    for family in ("Serif", "Sans"):
        for size in (8, 9, 10, 12):
            yield _sheet(f"black on white, {family.lower()}, {size} pt", f"font: {size}pt 'Liberation {family}'")
    yield _sheet("gray text (#777), 10 pt", "color: #777")
    yield _sheet("light gray text (#aaa), 10 pt", "color: #aaa")
    yield _sheet("very light gray text (#c4c4c4), 10 pt", "color: #c4c4c4")
    for name, colour in (("red", "#d22"), ("blue", "#26c"), ("green", "#2a4"), ("orange", "#f90")):
        yield _sheet(f"{name} text, 10 pt", f"color: {colour}")
    for name, ground in (("light gray", "#ddd"), ("gray", "#aaa"), ("yellow", "#ffe14d"), ("blue", "#9cc3f0")):
        yield _sheet(f"black on {name}, 10 pt", f"background: {ground}")
    yield _sheet("gray on light gray, 10 pt", "background: #e4e4e4; color: #777")
    yield _sheet("dark red on pink, 10 pt", "background: #fbd; color: #921")
    for name, ground in (
        ("black", "#000"),
        ("navy", "#124"),
        ("red", "#c22"),
        ("gray", "#777"),
        ("light blue", "#5ad"),
    ):
        yield _sheet(f"white on {name}, 10 pt", f"background: {ground}; color: #fff")


def scripts() -> Iterator[Sheet]:
    """Yield pages in other scripts, in the sizes of letters and of their small print."""
    for name, (language, family, direction, text) in SCRIPTS.items():
        for size in (9, 12):
            css = f"{_PAGE} p {{ margin: 0; padding: 4mm; line-height: 1.4; font: {size}pt '{family}' }}"
            pdf = _pdf(f"<style>{css}</style><p dir={direction}>{text}</p>")
            yield Sheet(f"{name}, black on white, {size} pt", pdf, text, language=language)


def mixed() -> Iterator[Sheet]:
    """Yield pages on which several things stand, drawn and scanned."""
    letter = _mixed()
    yield letter
    yield Sheet("the mixed page, scanned in colour", scanned(letter.pdf), letter.words, photo=True)
    plain = _sheet("black on white, scanned", "font: 10pt 'Liberation Serif'")
    yield Sheet("black on white, serif, 10 pt, scanned in colour", scanned(plain.pdf), plain.words)


def lines() -> list[tuple[float, str, bytes]]:
    """Return points, colour and PDF of pages with 20 rules across and 20 down."""
    made = []
    for points in (0.1, 0.25, 0.5, 1.0):
        for colour in ("#000", "#999"):
            across = "".join(
                f"<i style='top:{5 + 9.37 * n}mm;left:0;width:160mm;height:{points}pt'></i>" for n in range(20)
            )
            down = "".join(
                f"<i style='left:{2 + 8.13 * n}mm;top:0;height:200mm;width:{points}pt'></i>" for n in range(20)
            )
            style = f"{_PAGE} i {{ position: absolute; background: {colour} }}"
            made.append((points, colour, _pdf(f"<style>{style}</style>{across}{down}")))
    return made


def photograph() -> tuple[bytes, Image.Image]:
    """Return the PDF of a page with a photograph of 160 x 110 mm at its top left, and the photograph in gray."""
    rng = np.random.default_rng(11)
    clouds = np.zeros((660, 960), np.float32)
    for n in (3, 6, 12, 24, 48):
        small = Image.fromarray(rng.random((n, n)).astype(np.float32))
        clouds += np.asarray(small.resize((960, 660), Image.Resampling.BICUBIC)) / n
    gray = Image.fromarray(np.clip((clouds - clouds.min()) / np.ptp(clouds) * 255, 0, 255).astype(np.uint8))
    coded = base64.b64encode(_jpeg(gray.convert("RGB"))).decode()
    style = f"{_PAGE} img {{ width: 160mm; height: 110mm }}"
    return _pdf(f"<style>{style}</style><img src='data:image/jpeg;base64,{coded}'>"), gray


def scanned(pdf: bytes) -> bytes:
    """Return the page as a colour scan of 200 dpi: a warm shade across it, noise, JPEG."""
    drawn = pdfium.PdfDocument(pdf)[0].render(scale=200 / 72).to_pil().convert("RGB")
    pixels = np.asarray(drawn, np.float32)
    shade = np.linspace(0.84, 0.97, pixels.shape[1], dtype=np.float32)[None, :, None]
    seen = (12 + pixels * 0.94) * shade * np.array([1, 0.985, 0.95], np.float32)
    seen += np.random.default_rng(7).normal(0, 4, pixels.shape)
    out = io.BytesIO()
    Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).save(out, "PDF", resolution=200, quality=80)
    return out.getvalue()


def _sheet(name: str, style: str) -> Sheet:
    css = f"{_PAGE} p {{ margin: 0; padding: 4mm; line-height: 1.4; {style} }}"
    return Sheet(name, _pdf(f"<style>{css}</style><p>{WORDS}</p>"), WORDS)


def _mixed() -> Sheet:
    """Return a page with a banner, a tinted table, a note in a colour, a photograph and small print."""
    _, photo = photograph()
    coded = base64.b64encode(_jpeg(photo.convert("RGB").resize((480, 330)))).decode()
    rows = [
        ("Valve, brass, 15 mm", "48", "1,104.00"),
        ("Gauge, 0 to 10 bar", "6", "531.60"),
        ("Seal kit", "12", "311.90"),
    ]
    table = "".join(f"<tr><td>{a}<td>{b}<td>{c}" for a, b, c in rows)
    css = f"""{_PAGE} h1 {{ background: #1b4f9c; color: #fff; padding: 3mm; font-size: 15pt; margin: 0 0 5mm }}
        table {{ border-collapse: collapse; width: 160mm; margin: 5mm 0 }}
        td, th {{ padding: 1.5mm 2mm; text-align: left }}
        th {{ background: #d9861a; color: #fff }} tr:nth-child(odd) td {{ background: #dde8f5 }}
        .note {{ background: #fff2b3; padding: 3mm; color: #803 }} .small {{ font-size: 8pt; color: #777 }}
        img {{ position: absolute; left: 0; top: {PHOTO[1] - 25}mm; width: {PHOTO[2]}mm; height: {PHOTO[3]}mm }}"""
    note, small = (
        "Deliver to gate 7 before noon on Friday, please.",
        "All prices are net. Terms of sale of May 2025 apply.",
    )
    body = (
        f"<h1>Invoice 40771 of Brandt and Sons</h1><p>{WORDS}</p><table><tr><th>Item<th>Pieces<th>Amount{table}</table>"
        f"<p class=note>{note}</p><img src='data:image/jpeg;base64,{coded}'><p class=small>{small}</p>"
    )
    listed = " ".join(["Item Pieces Amount", *(" ".join(row) for row in rows)])
    words_on_it = f"Invoice 40771 of Brandt and Sons {WORDS} {listed} {note} {small}"
    return Sheet("a mixed page", _pdf(f"<style>{css}</style>{body}"), words_on_it, photo=True)


def _pdf(body: str) -> bytes:
    return bytes(HTML(string=body).write_pdf())


def _jpeg(picture: Image.Image) -> bytes:
    coded = io.BytesIO()
    picture.save(coded, "JPEG", quality=88)
    return coded.getvalue()


def saved(pdf: bytes, folder: Path) -> Path:
    """Write the page where a program can read it."""
    path = folder / "page.pdf"
    path.write_bytes(pdf)
    return path
