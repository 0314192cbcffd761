"""What reading pages (OCR, :mod:`converters.tesseract`) needs of the machine: Debian's Tesseract and its languages.

Nothing is loaded here: the service asks this, and reading is done in confined children.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

LIBRARY: Final = "libtesseract.so.5"
#: Languages as Tesseract names them, joined: ``eng+heb``.
LANGUAGES: Final = re.compile(r"[a-z]{3}(_[a-z]{3,8})?(\+[a-z]{3}(_[a-z]{3,8})?){0,7}")
_LIBRARIES: Final = Path("/usr/lib")
_MODELS: Final = Path("/usr/share/tesseract-ocr")


def there(languages: str) -> str:
    """Return those of ``languages`` that can be read on this machine, joined; '' where none can."""
    if not any(_LIBRARIES.glob(f"*/{LIBRARY}")):
        return ""
    return "+".join(one for one in languages.split("+") if any(_MODELS.glob(f"*/tessdata/{one}.traineddata")))


def missing(languages: str) -> str:
    """Return the Debian packages that reading ``languages`` lacks on this machine, '' where nothing is missing."""
    found = there(languages).split("+")
    lacking = [f"tesseract-ocr-{one.replace('_', '-')}" for one in languages.split("+") if one not in found]
    return " ".join(["tesseract-ocr", *lacking]) if lacking else ""
