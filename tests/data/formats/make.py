"""Writes the sample files of every format anew (``python -m tests.data.formats.make``).

Each is made by a real program: LibreOffice writes the Office formats from the flat sources, Ghostscript a PDF and the
fax TIFFs, libheif, libavif and libwebp (in Pillow) pictures; see :mod:`.cameras`, :mod:`.scanners` and
:mod:`.producers` for theirs. The results are committed, so that a test sees what a given release of a program wrote.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw, ImageFont

from . import cameras, producers, scanners

HERE = Path(__file__).parent
SOURCES = HERE / "sources"
SOFFICE = "/usr/lib/libreoffice/program/soffice.bin"
OFFICE = {
    "letter.fodt": ("doc", "docx", "rtf", "odt"),
    "sheet.fods": ("xls", "xlsx", "ods"),
    "slides.fodp": ("ppt", "pptx", "odp"),
}


def office() -> None:
    """Have LibreOffice write the Office formats."""
    with tempfile.TemporaryDirectory() as folder:
        for source, suffixes in OFFICE.items():
            for suffix in suffixes:
                _convert(Path(folder), SOURCES / source, suffix)
                made = Path(folder) / "out" / f"{Path(source).stem}.{suffix}"
                shutil.copy(made, HERE / made.name)


def _convert(folder: Path, source: Path, target: str) -> None:
    command = [SOFFICE, "--headless", "--norestore", f"-env:UserInstallation=file://{folder}/profile"]
    command += ["--convert-to", target, "--outdir", str(folder / "out"), str(source)]
    for _ in range(2):  # the first start makes the profile, and ends
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            break


def photograph(width: int, height: int) -> Image.Image:
    """Return a scene with an up and a down: a sky, a sun, a field and a word."""
    rows, columns = np.mgrid[0:height, 0:width]
    sky = np.stack([120 + 80 * rows / height, 160 + 60 * rows / height, 230 - 40 * rows / height], axis=2)
    field = np.stack([60 + 30 * np.sin(columns / 9), 110 + 20 * np.cos(rows / 5), 40 + 0 * rows], axis=2)
    scene = np.where((rows > height * 0.6)[:, :, None], field, sky)
    scene[(columns - width * 0.75) ** 2 + (rows - height * 0.22) ** 2 < (height * 0.12) ** 2] = (255, 240, 150)
    picture = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))
    font = ImageFont.truetype("DejaVuSans-Bold.ttf", height // 8)
    ImageDraw.Draw(picture).text((width * 0.06, height * 0.66), "MEADOW", fill="white", font=font)
    return picture


def scan(number: int) -> Image.Image:
    """Return a sheet as a scanner sees it: gray paper, a little noise."""
    sheet = Image.new("L", (1240, 1754), 236)
    pen = ImageDraw.Draw(sheet)
    for line in range(24):
        font = ImageFont.truetype("LiberationSerif-Regular.ttf", 34)
        pen.text((110, 150 + 60 * line), f"Page {number}, line {line + 1}: the quick brown fox", fill=40, font=font)
    noise = np.random.default_rng(number).normal(0, 3, (1754, 1240))
    return Image.fromarray(np.clip(np.asarray(sheet) + noise, 0, 255).astype(np.uint8))


def pictures() -> None:
    """Have the picture libraries write theirs."""
    scene = photograph(640, 420)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Nikon", "COOLPIX", 6  # held upright: show it turned
    lying = scene.rotate(90, expand=True)
    lying.save(HERE / "camera.jpg", quality=70, exif=exif, dpi=(300, 300))
    scene.convert("CMYK").save(HERE / "print.jpg", quality=70)
    scene.save(HERE / "photo.webp", quality=60)
    scene.save(HERE / "photo.avif", quality=50)
    pillow_heif.register_heif_opener()
    lying.save(HERE / "phone.heic", quality=50, exif=exif.tobytes())
    scene.quantize(32).save(HERE / "film.gif", save_all=True, append_images=[Image.new("P", (640, 420))], loop=0)
    small = photograph(320, 210)
    small.convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(HERE / "old.bmp")
    deep = np.asarray(small.convert("L"), np.uint16) * 257
    Image.fromarray(deep).save(HERE / "deep.png")
    clear = Image.new("RGBA", (600, 200), (0, 0, 0, 0))
    font = ImageFont.truetype("DejaVuSans.ttf", 60)
    ImageDraw.Draw(clear).text((20, 60), "No background", fill=(0, 0, 0, 255), font=font)
    clear.quantize(16).save(HERE / "clear.png", optimize=True)
    sheets = [scan(number) for number in (1, 2)]
    sheets[0].save(
        HERE / "scan.tif", save_all=True, append_images=sheets[1:], compression="jpeg", quality=40, dpi=(150, 150)
    )


def ghostscript() -> None:
    """Have Ghostscript write a PDF and fax TIFFs of each coding."""
    with tempfile.TemporaryDirectory() as folder:
        _convert(Path(folder), SOURCES / "letter.fodt", "pdf")
        pdf = Path(folder) / "out" / "letter.pdf"
        for device, name in (
            ("pdfwrite", "ghostscript.pdf"), ("tiffg3", "g3.tif"), ("tiffg32d", "g32d.tif"), ("tiffg4", "g4.tif"),
            ("tiffcrle", "mh.tif"),
        ):  # fmt: skip
            command = ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", f"-sDEVICE={device}", "-r204x98"]
            command += ["-dPDFSETTINGS=/screen"] if device == "pdfwrite" else ["-dLastPage=1"]
            subprocess.run([*command, f"-sOutputFile={HERE / name}", str(pdf)], check=True)


def coded(picture: Image.Image, form: str, **options: object) -> bytes:
    """Return a picture in a format, for tests that make their own."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


if __name__ == "__main__":
    office()
    pictures()
    ghostscript()
    cameras.make(photograph(480, 315), HERE)
    scanners.make(HERE)
    producers.make(photograph(480, 315), HERE)
