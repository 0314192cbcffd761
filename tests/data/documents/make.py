"""Makes the sample documents beside this file (``python tests/data/documents/make.py``). All in them is invented."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from weasyprint import HTML  # type: ignore[import-untyped]

from converters.document import X_DPI
from converters.tiff import Page, Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parent


def fractal(size: int, roughness: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a line of hills, 0 to 1, by midpoint displacement."""
    line = rng.random(2)
    scale = 0.5
    while len(line) < size:
        middle = (line[:-1] + line[1:]) / 2 + rng.normal(0, scale * 0.5, len(line) - 1)
        merged = np.empty(len(line) + len(middle))
        merged[0::2], merged[1::2] = line, middle
        line, scale = merged, scale * roughness
    line = line[:size]
    return np.asarray((line - line.min()) / (line.max() - line.min()))


def landscape(width: int, height: int) -> Image.Image:
    """Return a picture of hills over a lake with sky, haze, a low sun, ripples and the grain of a photograph."""
    rng = np.random.default_rng(26)
    y, x = np.mgrid[0:height, 0:width]
    horizon = int(height * 0.62)
    glow = np.exp(-(((x - 0.33 * width) / (0.22 * width)) ** 2 + ((y - 0.30 * height) / (0.2 * height)) ** 2))
    sky = np.stack(
        [150 + 95 * glow + 40 * y / height, 175 + 65 * glow + 20 * y / height, 215 + 20 * glow - 15 * y / height], 2
    )
    scene = sky
    for layer, (base, tall, tone) in enumerate(
        ((0.50, 0.26, (150, 165, 190)), (0.56, 0.20, (95, 112, 130)), (0.62, 0.13, (38, 52, 48)))
    ):
        ridge = (base - tall * fractal(width, 0.52 + 0.03 * layer, rng)) * height
        inside = y > ridge[None, :]
        haze = np.clip((y - ridge[None, :]) / (0.25 * height), 0, 1)[..., None] * 28
        grown = rng.normal(0, 6 + 5 * layer, (height, width, 1))
        scene = np.where(inside[..., None], np.array(tone) + haze + grown, scene)
    depth = np.arange(height - horizon)
    mirrored = scene[np.clip(horizon - 1 - (depth * 1.0).astype(int), 0, horizon - 1)]
    for row in range(len(mirrored)):
        mirrored[row] = np.roll(mirrored[row], int(3 * np.sin(row / 2.3) * (row / 40 + 0.4)), axis=0) * (
            0.82 - 0.18 * row / len(mirrored)
        )
    scene[horizon:] = mirrored
    scene += rng.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """Return the picture as JPEG."""
    coded = io.BytesIO()
    picture.save(coded, "JPEG", quality=quality)
    return coded.getvalue()


def pdf(body: str) -> bytes:
    """Return the PDF of a body of HTML."""
    return bytes(HTML(string=body).write_pdf(stylesheets=[HERE / "letter.css"]))


def make() -> None:
    """Write every file."""
    picture = base64.b64encode(jpeg(landscape(1500, 1000), 72)).decode()
    letter, gauge = (HERE / "letter.html").read_text("utf-8"), (HERE / "gauge.html").read_text("utf-8")
    gauge = gauge.replace("landscape.jpg", f"data:image/jpeg;base64,{picture}")
    (HERE / "one-page.pdf").write_bytes(pdf(letter))
    (HERE / "two-pages.pdf").write_bytes(pdf(letter + gauge))
    lying = landscape(640, 420)
    ImageDraw.Draw(lying).text((20, 20), "TOP", fill="white", font=ImageFont.truetype("DejaVuSans-Bold.ttf", 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: show it turned a quarter with the clock
    lying.transpose(Image.Transpose.ROTATE_90).save(HERE / "turned.jpg", quality=70, exif=exif)
    drawing = Image.new("RGBA", (700, 300), (0, 0, 0, 0))
    pen = ImageDraw.Draw(drawing)
    pen.rounded_rectangle((10, 10, 690, 290), 30, outline=(0, 60, 160, 255), width=6)
    pen.text(
        (350, 150), "Clear background", fill=(0, 0, 0, 255), font=ImageFont.truetype("DejaVuSans.ttf", 60), anchor="mm"
    )
    drawing.save(HERE / "clear.png", optimize=True)
    (HERE / "languages.txt").write_text(
        "Delivery note 26-1187\n\nInstruments:\t6\nBoxes:\t\t2\n\n"
        "שלום, ההזמנה מספר 26-1187 מוכנה.\n"
        "Здравствуйте! Заказ номер 26-1187 готов.\n"
        "Καλημέρα, η παραγγελία είναι έτοιμη.\n"
        + "A line longer than any paper is wide: it is carried over to the next one and none of it may be lost. "
        * 2
        * 2
        + "END\n\fSecond page after a form feed\n",
        encoding="utf-8",
    )
    with (HERE / "fax.tif").open("wb+") as file:
        writer = Writer(file.fileno(), 2)
        for number, height in ((1, 1100), (2, 900)):
            sheet = Image.new("1", (1728, height), 1)
            pen = ImageDraw.Draw(sheet)
            pen.text((120, 80), f"Fax page {number}", fill=0, font=ImageFont.truetype("DejaVuSans.ttf", 64))
            pen.line((120, 220, 1600, 220 + 40 * number), fill=0, width=3)
            rows = np.packbits(~np.asarray(sheet), axis=1).tobytes()
            writer.add(Page(1728, height, X_DPI, 98, rows))
        writer.close()


if __name__ == "__main__":
    make()
