"""Which characters the bytes of a text file are: byte order mark, UTF-8, the declared charset, then the best guess.

Pure. A guess is only made among the charsets of offices that still send plain text without saying its charset: the
right one is that by which most bytes beyond ASCII are common letters of one writing.
"""

from __future__ import annotations

import codecs
import unicodedata

#: (byte order mark, codec): UTF-32 first, because its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: The guesses, each with the commonest letters of the writing that it is made for (of Latin: the commonest beyond
#: ASCII).
_GUESSES = (
    ("windows-1252", "éèàäöüßñçåøóíáãêôæúÄÖÜÉ"),
    ("windows-1251", "оеаинтсрвлкмдп"),
    ("koi8-r", "оеаинтсрвлкмдп"),
    ("windows-1255", "יוהלאמרתבשנד"),
    ("windows-1253", "αοιετσνηυρίόάήκμλέ"),
    ("windows-1256", "اليمونتربعةدفسك"),
)
#: Characters that a guess is judged by, and the control characters that a text may hold.
_SAMPLE = 4000
_CONTROLS = frozenset("\t\n\r\f\v\b\x1a\x1b\x85")
#: Share of bytes of a text that may be other control characters: printers' and terminals' leftovers.
_NOISE = 0.01


def decode(data: bytes, declared: str = "") -> tuple[str, str]:
    """Return the text of ``data`` and the codec that made it. ``declared``: a charset's name, as the sender's claim."""
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return data.decode(codec, "replace"), codec
    if (wide := _wide(data[:_SAMPLE])) is not None:
        return data.decode(wide, "replace"), wide
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    for codec in (declared, _guess(data)):
        try:
            if codec and codecs.lookup(codec)._is_text_encoding:  # noqa: SLF001  the only way to keep "zip" and "hex" out
                return data.decode(codec), codec
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    return data.decode("windows-1252", "replace"), "windows-1252"


def looks_like_text(head: bytes) -> bool:
    """Return whether a file's beginning is text: no NULs outside UTF-16 and UTF-32, few control characters."""
    marked = any(head.startswith(mark) for mark, _ in _MARKS) or _wide(head) is not None
    if b"\0" in head and not marked:
        return False
    text, _ = decode(head[: len(head) // 4 * 4] if marked else head)
    odd = sum(1 for letter in text if unicodedata.category(letter) == "Cc" and letter not in _CONTROLS)
    return odd <= len(text) * _NOISE


def _wide(sample: bytes) -> str | None:
    """Return which UTF-16 a text without a mark is, if any: its ASCII letters and blanks have a NUL beside them."""
    pairs = len(sample) // 2
    if pairs < 8 or b"\0" not in sample:  # noqa: PLR2004  fewer prove nothing
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > pairs * 0.3 and even < pairs * 0.05:
        return "utf-16-le"
    if even > pairs * 0.3 and odd < pairs * 0.05:
        return "utf-16-be"
    return None


def _guess(data: bytes) -> str:
    """Return the charset whose letters come out best."""
    high = bytes(byte for byte in data[: _SAMPLE * 8] if byte >= 0x80)[:_SAMPLE]  # noqa: PLR2004  ASCII is the same in all
    return max(_GUESSES, key=lambda guess: _score(high, *guess))[0]


def _score(high: bytes, codec: str, common: str) -> float:
    """Return which share of the bytes beyond ASCII are common letters."""
    text = high.decode(codec, "replace")
    return sum(letter in common for letter in text) / max(1, len(text))
