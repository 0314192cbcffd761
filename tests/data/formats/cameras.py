"""Photographs as cameras and telephones write them: EXIF of every orientation, MakerNote, thumbnail, GPS, bursts.

The tags are written by exiftool (Debian's libimage-exiftool-perl), the bursts by Pillow (CIPA DC-007).
"""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

#: How a picture lies in the file for each EXIF orientation, so that turning it as told shows it upright.
LAID = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip
_TAGS = (
    "-Make=Canon", "-Model=Canon EOS 80D", "-LensModel=EF-S18-135mm", "-ExposureTime=1/250", "-FNumber=8", "-ISO=100",
    "-DateTimeOriginal=2026:05:04 10:11:12", "-OffsetTimeOriginal=+03:00", "-XResolution=72", "-YResolution=72",
    "-ResolutionUnit=2", "-YCbCrPositioning=2", "-GPSLatitude=31.77", "-GPSLatitudeRef=N", "-GPSLongitude=35.21",
    "-GPSLongitudeRef=E", "-GPSAltitude=754", "-UserComment=Meadow",
)  # fmt: skip


def laid(upright: Image.Image, orientation: int) -> Image.Image:
    """Return a picture as it lies in the file of a camera that was held so."""
    turn = LAID[orientation]
    return upright if turn is None else upright.transpose(turn)


def clouded(scene: Image.Image) -> Image.Image:
    """Return a scene with clouds and grain: no camera sees a flat gray."""
    grain = np.random.default_rng(5)
    light = np.zeros((scene.height, scene.width), np.float32)
    for cells in (4, 9, 20, 60):
        few = Image.fromarray(grain.normal(0, 1, (cells, cells)).astype(np.float32))
        light += np.asarray(few.resize(scene.size, Image.Resampling.BICUBIC)) * 30 / cells**0.3
    light += grain.normal(0, 3, light.shape)
    return Image.fromarray(np.clip(np.asarray(scene, np.float32) + light[:, :, None], 0, 255).astype(np.uint8))


def make(flat: Image.Image, folder: Path) -> None:
    """Write ``turned-1.jpg`` to ``turned-8.jpg`` and ``burst.jpg``."""
    scene = clouded(flat)
    for orientation in LAID:
        path = folder / f"turned-{orientation}.jpg"
        picture = laid(scene, orientation)
        picture.save(path, quality=60, exif=_maker_note())
        thumbnail = folder / "thumbnail.jpg"
        picture.resize((160, 160 * picture.height // picture.width)).save(thumbnail, quality=50)
        command = ["exiftool", "-q", "-overwrite_original", "-n", f"-Orientation={orientation}", *_TAGS]
        subprocess.run([*command, f"-ThumbnailImage<={thumbnail}", str(path)], check=True)
        thumbnail.unlink()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Apple"
    others = [laid(scene.point(lambda value: 255 - value), 6), scene.resize((160, 104))]
    laid(scene, 6).save(folder / "burst.jpg", "MPO", save_all=True, append_images=others, quality=60, exif=exif)


def _maker_note() -> Image.Exif:
    """EXIF with a MakerNote as Canon's are built: a directory of its own, whose offsets count from the file's start."""
    exif = Image.Exif()
    note = struct.pack("<H", 2)
    note += struct.pack("<HHI4s", 0x0006, 2, 4, b"IMG\0") + struct.pack("<HHII", 0x0008, 4, 1, 1004321)
    exif.get_ifd(0x8769)[0x927C] = note + bytes(4) + bytes(range(256)) * 4
    return exif
