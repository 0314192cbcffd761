"""The words of a fax page, by Debian's Tesseract 5 (``libtesseract.so.5``), by cffi: no program is started for it.

The page is drawn in true proportion, as the far machine prints it, on half as many dots again: about 300 an inch, for
which Tesseract is made (measured: fewer mistakes than on the fax's own dots or on twice as many). Words come in the
order in which a person reads them, their letters in logical order, also from right to left. A page that makes little
sense is read upside down, too: many are fed in so.

Meant for a confined child that reads one page and ends, at the lowest priority that the kernel has (SCHED_IDLE,
sched(7)): calls are timed to 20 ms, and a page that is searchable a second later costs nobody anything. What it
returns is as little to be believed as the page.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cffi import FFI
from PIL import Image

from converters.errors import Broken, Reason, Refused
from converters.ocr import LANGUAGES, LIBRARY
from converters.textlayer import Word
from converters.thumbnails import MOST_ROWS
from converters.tiff import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.tiff import Page

ffi = FFI()
ffi.cdef("""
    typedef struct TessBaseAPI TessBaseAPI;
    typedef struct TessResultIterator TessResultIterator;
    typedef struct TessPageIterator TessPageIterator;
    TessBaseAPI *TessBaseAPICreate(void);
    int TessBaseAPIInit2(TessBaseAPI *, const char *, const char *, int);
    int TessBaseAPISetVariable(TessBaseAPI *, const char *, const char *);
    void TessBaseAPISetPageSegMode(TessBaseAPI *, int);
    void TessBaseAPISetImage(TessBaseAPI *, const unsigned char *, int, int, int, int);
    void TessBaseAPISetSourceResolution(TessBaseAPI *, int);
    int TessBaseAPIRecognize(TessBaseAPI *, void *);
    int TessBaseAPIMeanTextConf(TessBaseAPI *);
    TessResultIterator *TessBaseAPIGetIterator(TessBaseAPI *);
    TessPageIterator *TessResultIteratorGetPageIterator(TessResultIterator *);
    int TessResultIteratorNext(TessResultIterator *, int);
    char *TessResultIteratorGetUTF8Text(const TessResultIterator *, int);
    int TessPageIteratorIsAtBeginningOf(const TessPageIterator *, int);
    int TessPageIteratorBoundingBox(const TessPageIterator *, int, int *, int *, int *, int *);
    int TessPageIteratorBaseline(const TessPageIterator *, int, int *, int *, int *, int *);
    void TessDeleteText(const char *);
""")

#: Dots of the picture that is read for one of the fax.
_SCALE: Final = 1.5
#: How sure Tesseract is of a page, of 100: printed text has 85 to 95, upside down 40 to 50. Below the first figure the
#: page is read turned, too, and taken so if that is better by the second.
_DOUBTFUL, _SURER = 65, 15
#: Words of a page that are kept: a page of the smallest print has two thousand, one of noise any number.
_MOST_WORDS: Final = 20_000
_LONGEST_WORD: Final = 200
_LSTM, _AUTO, _LINE, _WORD = 1, 3, 2, 3  # of capi.h: the engine, the layout, levels of the iterator


def read(fax: int, number: int, languages: str) -> list[Word]:
    """Return the words of page ``number`` (1 is the first) of the fax document on descriptor ``fax``.

    Raises :class:`Refused` (``DAMAGED``) for a page that is not there, :class:`Broken` without Tesseract or one of
    ``languages``.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with opened(fax) as reader:
        reader.select(number - 1)
        page = reader.page(MOST_ROWS)
    if not any(page.rows):
        return []
    picture, across, down = _picture(page)
    dpi = round((page.x_dpi or 204) * _SCALE)
    words, confidence = _recognised(picture, languages, dpi)
    if confidence < _DOUBTFUL:
        others, other = _recognised(picture.rotate(180), languages, dpi)
        if other > confidence + _SURER:
            words = [_turned(word, *picture.size) for word in others]
    return [_on_page(word, across, down) for word in words]


def _picture(page: Page) -> tuple[Image.Image, float, float]:
    """Return the page in gray and in true proportion, and how many of its dots one of the page's is across and down."""
    x_dpi, y_dpi = page.x_dpi or 204.0, page.y_dpi or 196.0
    size = (max(1, round(page.width * _SCALE)), max(1, round(page.height * x_dpi / y_dpi * _SCALE)))
    if max(size) > 32_767:  # noqa: PLR2004  Tesseract's own limit
        raise Refused(Reason.TOO_LARGE)
    drawn = Image.frombytes("1", (page.width, page.height), page.rows, "raw", "1;I").convert("L")
    return drawn.resize(size, Image.Resampling.BICUBIC), size[0] / page.width, size[1] / page.height


def _recognised(picture: Image.Image, languages: str, dpi: int) -> tuple[list[Word], int]:
    """Return the words in the picture's dots, and how sure Tesseract is of them, of 100.

    The library's memory goes with the child.
    """
    lib = _library()
    api = lib.TessBaseAPICreate()
    lib.TessBaseAPISetVariable(api, b"debug_file", b"/dev/null")
    if not LANGUAGES.fullmatch(languages) or lib.TessBaseAPIInit2(api, ffi.NULL, languages.encode(), _LSTM):
        raise Broken(f"Tesseract does not know the languages {languages}")
    lib.TessBaseAPISetPageSegMode(api, _AUTO)
    pixels = picture.tobytes()
    lib.TessBaseAPISetImage(api, pixels, *picture.size, 1, picture.width)
    lib.TessBaseAPISetSourceResolution(api, dpi)
    if lib.TessBaseAPIRecognize(api, ffi.NULL):
        raise Broken("Tesseract could not read the page")
    return list(_words(lib, lib.TessBaseAPIGetIterator(api))), lib.TessBaseAPIMeanTextConf(api)


def _words(lib: Any, words: Any) -> Iterator[Word]:
    if words == ffi.NULL:
        return
    place = lib.TessResultIteratorGetPageIterator(words)
    line = 0
    for _ in range(_MOST_WORDS):
        line += bool(lib.TessPageIteratorIsAtBeginningOf(place, _LINE))
        word = _word(lib, words, place, line)
        if word is not None:
            yield word
        if not lib.TessResultIteratorNext(words, _WORD):
            return


def _word(lib: Any, words: Any, place: Any, line: int) -> Word | None:
    box, base = ffi.new("int[4]"), ffi.new("int[4]")
    told = lib.TessResultIteratorGetUTF8Text(words, _WORD)
    if told == ffi.NULL or not lib.TessPageIteratorBoundingBox(place, _WORD, box, box + 1, box + 2, box + 3):
        return None
    text = ffi.buffer(told, len(ffi.string(told, 4 * _LONGEST_WORD)))[:].decode("utf-8", "ignore").strip()
    lib.TessDeleteText(told)
    if not text:
        return None
    found = lib.TessPageIteratorBaseline(place, _WORD, base, base + 1, base + 2, base + 3)
    baseline = (base[1] + base[3]) / 2 if found else box[3]
    return Word(line, box[0], box[1], box[2], box[3], baseline, text)


def _on_page(word: Word, across: float, down: float) -> Word:
    """Return a word in the dots of the fax page."""
    return replace(
        word, left=word.left / across, right=word.right / across, top=word.top / down, bottom=word.bottom / down,
        baseline=word.baseline / down,
    )  # fmt: skip


def _turned(word: Word, width: int, height: int) -> Word:
    """Return where a word of the turned picture stands on the picture."""
    return replace(
        word, left=width - word.right, right=width - word.left, top=height - word.bottom, bottom=height - word.top,
        baseline=height - word.baseline, turned=True,
    )  # fmt: skip


def _library() -> Any:
    try:
        return ffi.dlopen(LIBRARY)
    except OSError as fault:
        raise Broken(f"{LIBRARY} is not there (apt-get install tesseract-ocr)") from fault
