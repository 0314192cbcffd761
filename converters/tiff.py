"""Fax TIFF through Debian's libtiff 4.5 (``libtiff.so.6``), by cffi: bilevel pages in, bilevel pages out.

Sources: TIFF 6.0, RFC 3949 (profile F), ITU-T T.6. Written pages have one strip, Group 4, photometric 0 (white is
zero), FillOrder 2, PageNumber and inches. Rows are packed bytes, most significant bit first, 1 is black, whatever the
file says.

Invariants: files are opened on descriptors, never by name; each handle has error handlers of its own, so nothing is
printed and every error and warning is counted (libtiff only warns of rows that do not decode, and returns success);
one allocation is at most :data:`MAX_ALLOCATION`; a page that was written is decoded in full and compared with what was
meant (:meth:`Writer.close`). Meant for a confined child: the bytes it reads are from outside.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from cffi import FFI

from converters.errors import Broken, Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

ffi = FFI()
ffi.cdef("""
    typedef struct tiff TIFF;
    typedef struct TIFFOpenOptions TIFFOpenOptions;
    typedef int (*TIFFErrorHandlerExtR)(TIFF *, void *, const char *, const char *, void *);
    TIFFOpenOptions *TIFFOpenOptionsAlloc(void);
    void TIFFOpenOptionsFree(TIFFOpenOptions *);
    void TIFFOpenOptionsSetMaxSingleMemAlloc(TIFFOpenOptions *, ptrdiff_t);
    void TIFFOpenOptionsSetErrorHandlerExtR(TIFFOpenOptions *, TIFFErrorHandlerExtR, void *);
    void TIFFOpenOptionsSetWarningHandlerExtR(TIFFOpenOptions *, TIFFErrorHandlerExtR, void *);
    TIFF *TIFFFdOpenExt(int, const char *, const char *, TIFFOpenOptions *);
    void TIFFClose(TIFF *);
    int TIFFSetField(TIFF *, uint32_t, ...);
    int TIFFGetField(TIFF *, uint32_t, ...);
    int TIFFGetFieldDefaulted(TIFF *, uint32_t, ...);
    int TIFFReadDirectory(TIFF *);
    int TIFFSetDirectory(TIFF *, uint32_t);
    int TIFFWriteDirectory(TIFF *);
    int TIFFIsTiled(TIFF *);
    uint32_t TIFFNumberOfStrips(TIFF *);
    ptrdiff_t TIFFReadEncodedStrip(TIFF *, uint32_t, void *, ptrdiff_t);
    ptrdiff_t TIFFReadRawStrip(TIFF *, uint32_t, void *, ptrdiff_t);
    uint64_t TIFFRawStripSize64(TIFF *, uint32_t);
    ptrdiff_t TIFFWriteEncodedStrip(TIFF *, uint32_t, void *, ptrdiff_t);
    ptrdiff_t TIFFWriteRawStrip(TIFF *, uint32_t, void *, ptrdiff_t);
""")
lib: Any = ffi.dlopen("libtiff.so.6")

_UNSIGNED = ffi.typeof("uint32_t")
_HANDLER = ffi.typeof("int(*)(TIFF *, void *, const char *, const char *, void *)")
# cffi reads a declaration when it is first used: here once, in the parent, and not for 3 ms in each of its children.
for _declared in ("uint32_t *", "uint16_t *", "float *", "double", "int", "char[]"):
    ffi.typeof(_declared)
for _function in dir(lib):
    getattr(lib, _function)

#: From so many pages on two threads check what was written.
_MANY = 4
MAX_ALLOCATION = 256 * 1024 * 1024

# Tags (TIFF 6.0 section 8; T4Options section 11).
_SUBFILE_TYPE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _SAMPLES, _ROWS_PER_STRIP, _X_RESOLUTION, _Y_RESOLUTION = 266, 277, 278, 282, 283
_PLANAR, _RESOLUTION_UNIT, _PAGE_NUMBER, _SOFTWARE = 284, 296, 297, 305
_ONE_PAGE_OF_MANY, _INCH, _CENTIMETRE, _LSB_FIRST, _GROUP4 = 2, 2, 3, 2, 4
#: Codings of a bilevel image that libtiff itself decodes: none, MH without EOLs, Group 3, Group 4, PackBits.
FAX_COMPRESSIONS = frozenset({1, 2, 3, 4, 32773})
_INVERTED = bytes(range(255, -1, -1))


@dataclass(frozen=True, slots=True)
class Page:
    """A bilevel page. ``rows``: ``height`` times ``(width + 7) // 8`` bytes, 1 is black. Resolutions in dots an inch.

    ``faults``: how many errors and warnings its decoding gave; 0 for a page that is whole.
    """

    width: int
    height: int
    x_dpi: float
    y_dpi: float
    rows: bytes
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Tags:
    """What a directory says of its image. Resolutions in dots an inch, 0 where it is silent."""

    width: int
    height: int
    bits: int
    samples: int
    compression: int
    photometric: int
    lsb_first: bool
    tiled: bool
    strips: int
    x_dpi: float
    y_dpi: float


class Handle:
    """An open TIFF with its fault counter."""

    def __init__(self, descriptor: int, mode: bytes) -> None:
        """Open a duplicate of ``descriptor``; raises :class:`Refused` (``DAMAGED``) if it is no TIFF."""
        self.faults = 0
        self.last_fault = ""
        options = lib.TIFFOpenOptionsAlloc()
        lib.TIFFOpenOptionsSetMaxSingleMemAlloc(options, MAX_ALLOCATION)
        # The variable arguments are a pointer wherever Debian runs; they are not read.
        self._handler = ffi.callback(_HANDLER, self._fault)
        lib.TIFFOpenOptionsSetErrorHandlerExtR(options, self._handler, ffi.NULL)
        lib.TIFFOpenOptionsSetWarningHandlerExtR(options, self._handler, ffi.NULL)
        own = os.dup(descriptor)
        os.lseek(own, 0, os.SEEK_SET)
        self.tiff = lib.TIFFFdOpenExt(own, b"fax", mode, options)
        lib.TIFFOpenOptionsFree(options)
        if self.tiff == ffi.NULL:
            os.close(own)
            self.damaged()

    def _fault(self, _tiff: Any, _data: Any, _module: Any, message: Any, _arguments: Any) -> int:
        self.faults += 1
        told = ffi.string(message)
        self.last_fault = told.decode("ascii", "replace") if isinstance(told, bytes) else told
        return 1

    def damaged(self) -> NoReturn:
        """Refuse the file."""
        raise Refused(Reason.DAMAGED)

    def close(self) -> None:
        """Close it, which writes what is pending; harmless twice."""
        if self.tiff != ffi.NULL:
            lib.TIFFClose(self.tiff)
            self.tiff = ffi.NULL


@contextmanager
def opened(descriptor: int) -> Iterator[Reader]:
    """Open a TIFF for reading, for the length of a block. The descriptor stays the caller's."""
    handle = Handle(descriptor, b"r")
    try:
        yield Reader(handle)
    finally:
        handle.close()


class Reader:
    """The pages of a TIFF, one directory after the other."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def directories(self, most: int) -> Iterator[Tags]:
        """Yield the tags of each directory; :meth:`page` and :meth:`raw_strip` speak of the last one yielded.

        At most ``most + 1`` of them, so that the caller can tell too many from enough; a chain that bites its own tail
        ends there.
        """
        for _ in range(most + 1):
            yield self._tags()
            if not lib.TIFFReadDirectory(self._handle.tiff):
                return

    def select(self, index: int) -> Tags:
        """Go to directory ``index`` (0 is the first); raises :class:`Refused` if there is none."""
        if not lib.TIFFSetDirectory(self._handle.tiff, index):
            self._handle.damaged()
        return self._tags()

    def page(self, most_rows: int) -> Page:
        """Decode the directory's image, which must be bilevel and in strips, as far as ``most_rows`` rows.

        Rows that cannot be decoded are white, and :attr:`Page.faults` says that there were such.
        """
        tags = self._tags()
        stride = (tags.width + 7) // 8
        per_strip = min(self._number(_ROWS_PER_STRIP, "uint32_t *") or tags.height, tags.height)
        if tags.tiled or stride * max(per_strip, min(tags.height, most_rows)) > MAX_ALLOCATION:
            raise Refused(Reason.TOO_LARGE, detail=f" ({tags.width} x {tags.height} pixels)")
        before = self._handle.faults
        rows = bytearray(stride * min(tags.height, most_rows))
        strip = bytearray(stride * per_strip)
        view = ffi.from_buffer(strip)
        unreadable = 0
        for index in range(min(tags.strips, -(-min(tags.height, most_rows) // per_strip))):
            start = index * per_strip * stride
            wanted = min(len(strip), len(rows) - start)
            strip[:] = bytes(len(strip))
            if lib.TIFFReadEncodedStrip(self._handle.tiff, index, view, wanted) < 0:
                unreadable += 1
            rows[start : start + wanted] = strip[:wanted]
        faults = self._handle.faults - before + unreadable
        data = bytes(rows)
        if tags.photometric == 1:
            data = data.translate(_INVERTED)
        return Page(tags.width, len(data) // stride, tags.x_dpi, tags.y_dpi, _clear_padding(data, tags.width), faults)

    def raw_strip(self) -> bytes:
        """Return the coded bytes of the only strip as they are."""
        size = lib.TIFFRawStripSize64(self._handle.tiff, 0)
        if not 0 < size <= MAX_ALLOCATION:
            self._handle.damaged()
        data = bytearray(size)
        if lib.TIFFReadRawStrip(self._handle.tiff, 0, ffi.from_buffer(data), size) != size:
            self._handle.damaged()
        return bytes(data)

    def _tags(self) -> Tags:
        width, height = self._number(_WIDTH, "uint32_t *"), self._number(_LENGTH, "uint32_t *")
        to_inch = 2.54 if self._number(_RESOLUTION_UNIT, "uint16_t *") == _CENTIMETRE else 1.0
        tiled = bool(lib.TIFFIsTiled(self._handle.tiff))
        if not width or not height:
            self._handle.damaged()
        return Tags(
            width=width,
            height=height,
            bits=self._number(_BITS, "uint16_t *"),
            samples=self._number(_SAMPLES, "uint16_t *"),
            compression=self._number(_COMPRESSION, "uint16_t *"),
            photometric=self._number(_PHOTOMETRIC, "uint16_t *"),
            lsb_first=self._number(_FILL_ORDER, "uint16_t *") == _LSB_FIRST,
            tiled=tiled,
            strips=0 if tiled else lib.TIFFNumberOfStrips(self._handle.tiff),
            x_dpi=self._real(_X_RESOLUTION) * to_inch,
            y_dpi=self._real(_Y_RESOLUTION) * to_inch,
        )

    def _number(self, tag: int, kind: str) -> int:
        value = ffi.new(kind)
        return int(value[0]) if lib.TIFFGetFieldDefaulted(self._handle.tiff, tag, value) else 0

    def _real(self, tag: int) -> float:
        value = ffi.new("float *")
        found = lib.TIFFGetField(self._handle.tiff, tag, value)
        return float(value[0]) if found and 0 < value[0] < 10_000 else 0.0  # noqa: PLR2004  also keeps NaN out


class Writer:
    """A fax document in the making, on a descriptor that can be read and written."""

    def __init__(self, descriptor: int, total: int = 0) -> None:
        """``total``: how many pages there will be, 0 if that is not known (TIFF 6.0 allows it so)."""
        self._descriptor = descriptor
        self._total = total
        os.ftruncate(descriptor, 0)
        self._handle = Handle(descriptor, b"w")
        self._written: list[tuple[int, int, int]] = []

    def add(self, page: Page) -> None:
        """Code and write one page."""
        handle = self._handle
        for tag, value in (
            (_SUBFILE_TYPE, _ONE_PAGE_OF_MANY), (_WIDTH, page.width), (_LENGTH, page.height), (_BITS, 1),
            (_COMPRESSION, _GROUP4), (_PHOTOMETRIC, 0), (_FILL_ORDER, _LSB_FIRST), (_SAMPLES, 1),
            (_ROWS_PER_STRIP, page.height), (_PLANAR, 1), (_RESOLUTION_UNIT, _INCH),
        ):  # fmt: skip
            lib.TIFFSetField(handle.tiff, tag, ffi.cast(_UNSIGNED, value))
        lib.TIFFSetField(handle.tiff, _X_RESOLUTION, ffi.cast("double", page.x_dpi))
        lib.TIFFSetField(handle.tiff, _Y_RESOLUTION, ffi.cast("double", page.y_dpi))
        number, total = ffi.cast("int", len(self._written)), ffi.cast("int", self._total)
        lib.TIFFSetField(handle.tiff, _PAGE_NUMBER, number, total)
        lib.TIFFSetField(handle.tiff, _SOFTWARE, ffi.new("char[]", b"faxrelay"))
        written = lib.TIFFWriteEncodedStrip(handle.tiff, 0, ffi.from_buffer(page.rows), len(page.rows))
        if written != len(page.rows) or not lib.TIFFWriteDirectory(handle.tiff) or handle.faults:
            raise Broken(f"libtiff could not write page {len(self._written) + 1}: {handle.last_fault}")
        self._written.append((page.width, page.height, zlib.crc32(page.rows)))

    def close(self) -> list[int]:
        """Finish the file, decode every page of it again and compare; return each page's coded bytes.

        Raises :class:`Broken` if a page is not what was written: a T.30 engine would send the garbage and report
        success.
        """
        self._handle.close()
        if self._handle.faults:
            raise Broken(f"libtiff could not finish the file: {self._handle.last_fault}")
        if len(self._written) < _MANY:
            return self._checked(self._descriptor, 0, len(self._written))
        half = len(self._written) // 2
        with _copied(self._descriptor) as copy, ThreadPoolExecutor(1) as beside:  # two readers share no file position
            rest = beside.submit(self._checked, copy, half, len(self._written))
            return [*self._checked(self._descriptor, 0, half), *rest.result()]

    def _checked(self, descriptor: int, first: int, last: int) -> list[int]:
        """Compare the pages from ``first`` to before ``last`` with what was written; return their coded bytes."""
        sizes: list[int] = []
        with opened(descriptor) as reader:
            for index, tags in enumerate(reader.directories(len(self._written))):
                if index == len(self._written):
                    raise Broken("more pages are in the file than were written")
                if index == last:
                    break
                if index < first:
                    continue
                page = reader.page(tags.height)
                if page.faults:
                    raise Broken(f"page {index + 1} cannot be decoded after writing")
                if (page.width, page.height, zlib.crc32(page.rows)) != self._written[index]:
                    raise Broken(f"page {index + 1} is another one after writing")
                sizes.append(lib.TIFFRawStripSize64(reader._handle.tiff, 0))  # noqa: SLF001  the other half of this module
        if len(sizes) != last - first:
            raise Broken(f"{first + len(sizes)} of {len(self._written)} pages are in the file after writing")
        return sizes


@contextmanager
def _copied(descriptor: int) -> Iterator[int]:
    """Lend a copy of a file in memory."""
    copy = os.memfd_create("copy")
    try:
        offset, size = 0, os.fstat(descriptor).st_size
        while offset < size:
            offset += os.pwrite(copy, os.pread(descriptor, 1 << 20, offset), offset)
        yield copy
    finally:
        os.close(copy)


def verify(descriptor: int, most_pages: int) -> int:
    """Decode every page of a fax document, return their number; a page that is not whole is refused (``DAMAGED``)."""
    count = 0
    with opened(descriptor) as reader:
        for tags in reader.directories(most_pages):
            count += 1
            if tags.bits != 1 or tags.samples != 1 or tags.tiled or reader.page(tags.height).faults:
                raise Refused(Reason.DAMAGED, detail=f" (page {count})")
    return count


def of_strip(width: int, height: int, x_dpi: float, y_dpi: float, strip: bytes) -> Page:
    """Decode a bare T.6 strip (photometric 0, FillOrder 2), which may be anything."""
    descriptor = os.memfd_create("strip")
    try:
        handle = Handle(descriptor, b"w")
        for tag, value in (
            (_WIDTH, width), (_LENGTH, height), (_BITS, 1), (_COMPRESSION, _GROUP4), (_PHOTOMETRIC, 0),
            (_FILL_ORDER, _LSB_FIRST), (_SAMPLES, 1), (_ROWS_PER_STRIP, height), (_RESOLUTION_UNIT, _INCH),
        ):  # fmt: skip
            lib.TIFFSetField(handle.tiff, tag, ffi.cast(_UNSIGNED, value))
        lib.TIFFSetField(handle.tiff, _X_RESOLUTION, ffi.cast("double", x_dpi))
        lib.TIFFSetField(handle.tiff, _Y_RESOLUTION, ffi.cast("double", y_dpi))
        lib.TIFFWriteRawStrip(handle.tiff, 0, ffi.from_buffer(strip), len(strip))
        handle.close()
        with opened(descriptor) as reader:
            return reader.page(height)
    finally:
        os.close(descriptor)


def _clear_padding(data: bytes, width: int) -> bytes:
    """Make the bits beyond the width white: a decoder may leave anything there."""
    spare = -width % 8
    if not spare:
        return data
    stride = (width + 7) // 8
    cleared = bytearray(data)
    last = cleared[stride - 1 :: stride]
    cleared[stride - 1 :: stride] = bytes(byte & (0xFF << spare) & 0xFF for byte in last)
    return bytes(cleared)
