"""What a number's cover pages show beside the fax's own facts, and the check of a logo's file.

A logo is looked at by its first bytes alone; it is decoded only in a converter's confined child. Sources of the
sizes: PNG (ISO/IEC 15948) section 11.2.2, JPEG (ITU-T T.81) B.2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from policies.policy import Source

#: Bytes of a logo's file, and pixels of its longer side.
MAX_LOGO: Final = 256 * 1024
MAX_SIDE: Final = 2000
_SMALLER: Final = f"save it smaller: up to {MAX_LOGO // 1024} KB and {MAX_SIDE} pixels a side"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
#: Frames of JPEG: SOF0 to SOF15 but DHT, JPG and DAC, which share their range.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Look(Enum):
    """How a cover page looks: ``templates/cover/LOOK.html``."""

    PLAIN = "plain"
    OFFICE = "office"
    LETTER = "letter"


@dataclass(frozen=True, slots=True)
class CoverPage:
    """A number's cover page. ``company`` '': the number's header line; ``phone`` and ``logo`` (a path) '': none."""

    look: Look = Look.PLAIN
    company: str = ""
    phone: str = ""
    logo: str = ""
    source: Source | None = None


def logo_fault(path: Path) -> tuple[str, str] | None:
    """Return why a file is no logo, and what would be right; ``None`` for one that is."""
    if not path.is_file():  # a pipe would be waited for
        return f"there is no file {path}", "put the logo beside the policy file"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LOGO + 1)
    except OSError as error:
        return f"the file {path} cannot be read: {error.strerror or error}", "let the service's user read it"
    if len(data) > MAX_LOGO:
        return f"the file {path} has more than {MAX_LOGO // 1024} KB", _SMALLER
    size = _size(data)
    if size is None:
        return f"the file {path} is no PNG or JPEG picture", "save the logo as PNG"
    if max(size) > MAX_SIDE:
        return f"the picture {path} has {size[0]} x {size[1]} pixels", _SMALLER
    return None


def _size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels as the picture's head tells them; ``None``: it is no PNG and no JPEG."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR":
        size = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    elif data.startswith(_JPEG):
        size = _jpeg_size(data)
    else:
        return None
    return size if min(size) > 0 else None


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004  what each marker begins with
        if data[at + 1] in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0, 0
