"""Pictures of many pixels, decoded to gray without a copy of the whole in colour.

Pillow holds a colour picture in 4 bytes a pixel beside what its decoder holds: 120 million pixels would take more than
half a gigabyte. PNG is decoded by libpng's simplified API (libpng 1.6, ``png.h`` section "Simplified API") to 1 byte a
pixel; TIFF by libtiff's RGBA interface, a strip or a tile at a time, each made smaller at once; of HEIC and WebP the
decoders' own pixels are used. Meant for a confined child; descriptors are used where they lie and are given back.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pillow_heif
from cffi import FFI

from converters.errors import Reason, Refused
from converters.tiff import Handle
from converters.tiff import ffi as tiff_ffi
from converters.tiff import lib as tiff_lib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from converters.page import Gray

ffi = FFI()
ffi.cdef("""
    typedef struct {
        void *opaque;
        uint32_t version, width, height, format, flags, colormap_entries, warning_or_error;
        char message[64];
    } png_image;
    int png_image_begin_read_from_stdio(png_image *, void *);
    int png_image_finish_read(png_image *, const void *, void *, int32_t, void *);
    void png_image_free(png_image *);
    void *fdopen(int, const char *);
    int fclose(void *);
""")
_png: Any = ffi.dlopen("libpng16.so.16")
_c: Any = ffi.dlopen(None)

tiff_ffi.cdef("""
    int TIFFRGBAImageOK(TIFF *, char *);
    int TIFFReadRGBAStripExt(TIFF *, uint32_t, uint32_t *, int);
    int TIFFReadRGBATileExt(TIFF *, uint32_t, uint32_t, uint32_t *, int);
""")
_VERSION, _GRAY = 1, 0  # PNG_IMAGE_VERSION, PNG_FORMAT_GRAY
_MESSAGE = 1024
_WIDTH, _LENGTH, _ORIENTATION, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 256, 257, 274, 278, 322, 323
#: Pixels of a strip or tile that is decoded in one piece, in 4 bytes each.
_MOST_IN_PIECE = 12_000_000
#: Pixels that are made smaller at once.
_BAND = 4_000_000


def png(descriptor: int) -> Gray:
    """Return a PNG in gray on white, height x width; raises :class:`Refused` (``DAMAGED``)."""
    image: Any = ffi.new("png_image *")
    image.version = _VERSION
    os.lseek(descriptor, 0, os.SEEK_SET)
    stream = _c.fdopen(os.dup(descriptor), b"rb")
    try:
        if not _png.png_image_begin_read_from_stdio(image, stream):
            raise Refused(Reason.DAMAGED)
        image.format = _GRAY
        gray = np.empty((image.height, image.width), np.uint8)
        white = ffi.new("unsigned char[3]", b"\xff\xff\xff")
        if not _png.png_image_finish_read(image, white, ffi.cast("void *", gray.ctypes.data), image.width, ffi.NULL):
            raise Refused(Reason.DAMAGED)
    finally:
        _png.png_image_free(image)
        _c.fclose(stream)
    return gray


def tiff(descriptor: int, directory: int, smaller: tuple[int, int]) -> Gray | None:
    """Return an image of a TIFF in gray on white, ``smaller`` times narrower and lower (columns, rows).

    ``directory``: 0 is the first. Its Orientation is not applied. ``None`` for an image that libtiff cannot give in
    RGBA or only in one large piece. Raises :class:`Refused` (``DAMAGED``).
    """
    handle = Handle(descriptor, b"r")
    try:
        if not tiff_lib.TIFFSetDirectory(handle.tiff, directory):
            handle.damaged()
        if not tiff_lib.TIFFRGBAImageOK(handle.tiff, tiff_ffi.new("char[]", _MESSAGE)):
            return None
        # libtiff would apply it to each piece by itself.
        tiff_lib.TIFFSetField(handle.tiff, _ORIENTATION, tiff_ffi.cast("uint32_t", 1))
        width, height = _number(handle, _WIDTH), _number(handle, _LENGTH)
        tiled = bool(tiff_lib.TIFFIsTiled(handle.tiff))
        if tiled:
            piece = _number(handle, _TILE_WIDTH), _number(handle, _TILE_LENGTH)
        else:
            piece = width, min(height, _number(handle, _ROWS_PER_STRIP) or height)
        band = max(1, -(-smaller[1] // piece[1])) * piece[1]
        if width * band > _MOST_IN_PIECE or min(piece) < 1:
            return None
        return _reduced(_bands(handle, (width, height), piece, band, tiled=tiled), (width, height), smaller)
    finally:
        handle.close()


def _bands(handle: Handle, size: tuple[int, int], piece: tuple[int, int], band: int, *, tiled: bool) -> Iterator[Gray]:
    """Yield the rows of an image from the top, ``band`` of them at a time: so many whole pieces."""
    width, height = size
    raster = np.empty((piece[1], piece[0]), np.uint32)
    pointer = tiff_ffi.cast("uint32_t *", raster.ctypes.data)
    for top in range(0, height, band):
        rows = np.empty((min(band, height - top), width), np.uint8)
        for row in range(top, top + len(rows), piece[1]):
            tall = min(piece[1], height - row)
            part = rows[row - top : row - top + tall]
            if not tiled:
                _check(handle, tiff_lib.TIFFReadRGBAStripExt(handle.tiff, row, pointer, 1))
                part[:] = _on_white(raster[:tall][::-1])
                continue
            for column in range(0, width, piece[0]):
                _check(handle, tiff_lib.TIFFReadRGBATileExt(handle.tiff, column, row, pointer, 1))
                wide = min(piece[0], width - column)
                part[:, column : column + wide] = _on_white(raster[::-1][:tall, :wide])
        yield rows


def _check(handle: Handle, done: int) -> None:
    if not done:
        handle.damaged()


def _on_white(raster: Any) -> Gray:
    """Return RGBA pixels, whose colours libtiff has multiplied by their alpha, in gray on white."""
    pixels = np.ascontiguousarray(raster).view(np.uint8).reshape(*raster.shape, 4)
    return np.asarray(cv2.add(cv2.cvtColor(pixels, cv2.COLOR_RGBA2GRAY), 255 - pixels[:, :, 3]))


def _reduced(bands: Iterator[Gray], size: tuple[int, int], smaller: tuple[int, int]) -> Gray:
    """Return the image of the bands, each ``smaller`` block of pixels averaged to one; what is over is one, too."""
    (width, height), (columns, rows) = size, smaller
    made = np.empty((-(-height // rows), -(-width // columns)), np.uint8)
    kept = np.empty((0, width), np.uint8)
    at = 0
    for band in bands:
        whole = band if not len(kept) else np.concatenate([kept, band])
        most = len(whole) // rows * rows
        if most:
            made[at : at + most // rows] = averaged(whole[:most], smaller)
            at += most // rows
        kept = whole[most:]
    if len(kept):
        made[at] = averaged(kept, smaller)[0]
    return made


def averaged(gray: Gray, smaller: tuple[int, int]) -> Gray:
    """Return a picture with each block of ``smaller`` (columns, rows) pixels averaged; the last may be less."""
    columns, rows = smaller
    if smaller == (1, 1):
        return gray
    tall, wide = -(-gray.shape[0] // rows), -(-gray.shape[1] // columns)
    made = np.empty((tall, wide), np.uint8)
    step = max(1, _BAND // gray.shape[1] // rows)
    for top in range(0, tall, step):
        part = gray[top * rows : (top + step) * rows]
        over = (0, -len(part) % rows, 0, wide * columns - part.shape[1])
        if any(over):
            part = np.asarray(cv2.copyMakeBorder(part, *over, cv2.BORDER_REPLICATE))
        made[top : top + step] = cv2.resize(part, (wide, len(part) // rows), interpolation=cv2.INTER_AREA)
    return made


def by_bands(size: tuple[int, int], smaller: tuple[int, int], gray: Callable[[int, int], Gray]) -> Gray:
    """Return a picture of ``size`` (columns, rows) averaged; ``gray`` gives its rows from one to before another."""
    rows = _BAND // size[0] // smaller[1] * smaller[1] or smaller[1]
    made = [averaged(gray(top, min(top + rows, size[1])), smaller) for top in range(0, size[1], rows)]
    return np.concatenate(made)


def heic(data: BinaryIO, smaller: tuple[int, int]) -> Gray:
    """Return the primary image of a HEIC in gray, averaged; it is decoded upright. It has to be RGB in 8 bits."""
    pixels = np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=True))

    def gray(top: int, until: int) -> Gray:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[top:until, :, :3]), cv2.COLOR_RGB2GRAY))

    return by_bands((pixels.shape[1], pixels.shape[0]), smaller, gray)


def webp(data: BinaryIO, smaller: tuple[int, int]) -> Gray:
    """Return a WebP without transparency in gray, averaged; raises :class:`Refused` (``DAMAGED``).

    By OpenCV's decoder in 4 bytes a pixel: Pillow's, which is made for films, takes 15.
    """
    data.seek(0)
    gray = cv2.imdecode(np.frombuffer(data.read(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise Refused(Reason.DAMAGED)
    return averaged(np.asarray(gray, np.uint8), smaller)


def _number(handle: Handle, tag: int) -> int:
    value = tiff_ffi.new("uint32_t *")
    return int(value[0]) if tiff_lib.TIFFGetFieldDefaulted(handle.tiff, tag, value) else 0
