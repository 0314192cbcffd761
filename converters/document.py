"""The values of the room: what is converted, how, and the fax document that comes of it.

A fax document is a bilevel TIFF as a fax call sends it (RFC 3949 profile F's tags): 1 bit, ITU-T T.6, one strip a
page, photometric 0, FillOrder 2, 1728 pixels a line of 215 mm, 98, 196 or 391 lines an inch (ITU-T T.4: 3.85, 7.7,
15.4 lines/mm).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: Pixels of a fax line and its dots an inch (ITU-T T.4: 1728 over 215 mm).
WIDTH = 1728
X_DPI = 204
#: The line rate in bit/s that :attr:`PageReport.seconds_at_14400` is counted at.
LINE_RATE = 14400


class Resolution(Enum):
    """Vertical resolution; the value is the setting's, :attr:`dpi` the lines an inch."""

    STANDARD = "standard"
    FINE = "fine"
    SUPERFINE = "superfine"

    @property
    def dpi(self) -> int:
        """Lines an inch, as TIFF's YResolution tags them."""
        return {"standard": 98, "fine": 196, "superfine": 391}[self.value]


class Mode(Enum):
    """How gray becomes black and white.

    By what is on the page, everything as writing, everything as a picture, or by what is on the page with a finer
    screen for pictures, which costs more time of line.
    """

    AUTO = "auto"
    TEXT = "text"
    PHOTO = "photo"
    QUALITY = "quality"


class Paper(Enum):
    """The paper of sources that have no page size of their own; :attr:`size` in millimetres, width and height."""

    A4 = "a4"
    LETTER = "letter"
    LEGAL = "legal"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in millimetres."""
        return {"a4": (210.0, 297.0), "letter": (215.9, 279.4), "legal": (215.9, 355.6)}[self.value]


@dataclass(frozen=True, slots=True)
class Rendering:
    """How sources are drawn. ``max_pages`` counts the pages of the whole fax."""

    resolution: Resolution = Resolution.FINE
    mode: Mode = Mode.AUTO
    paper: Paper = Paper.A4
    max_pages: int = 300

    @classmethod
    def of_settings(cls, resolution: str, mode: str, paper: str, max_pages: str | int) -> Rendering:
        """Return the rendering that settings name; raises :class:`ValueError` for a value that is none of theirs."""
        return cls(Resolution(resolution), Mode(mode), Paper(paper), int(max_pages))


@dataclass(frozen=True, slots=True)
class Source:
    """One file to fax: its name (for people, never opened), the declared media type, and where its bytes are."""

    name: str
    media_type: str
    path: Path


@dataclass(frozen=True, slots=True)
class Cover:
    """What a cover page says, ready to read. ``language``: of its labels; ``sender``: line by line.

    ``date``: ISO 8601, or anything else, which is shown as it is. ``has_text``: the first source of the fax is not
    faxed by itself, but stands on the cover. ``look``: of the templates, ``plain`` if there is none by that name;
    ``company`` and ``phone`` stand in its head, and so does ``logo``, a PNG or JPEG file that is read in the child.
    """

    language: str
    to: str
    sender: tuple[str, ...]
    title: str
    date: str
    has_text: bool
    look: str = "plain"
    company: str = ""
    phone: str = ""
    logo: Path | None = None


@dataclass(frozen=True, slots=True)
class FaxStrip:
    """One received page, not to be trusted: a T.6 strip (photometric 0, FillOrder 2), pixels, and dots an inch."""

    width: int
    height: int
    x_resolution: float
    y_resolution: float
    strip: bytes


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """The line at the top of each transmitted page; "page n of m" is added to it.

    ``when``: the time of the call with its zone, ready to show. ``sender``: name or ident. ``destination``: the number.
    """

    when: str
    sender: str
    destination: str


@dataclass(frozen=True, slots=True)
class PageReport:
    """One page of a fax document.

    ``number`` counts from 1; ``source`` and ``source_page`` (from 1) say where it came from; ``bytes`` is the size of
    its coded image; ``treatment`` is how it became black and white: ``fax`` (as it came), ``text``, ``mixed``,
    ``photo``; or, of a received page, ``received``, ``cut`` (longer than a page may be) or ``damaged`` (rows could not
    be decoded).
    """

    number: int
    source: str
    source_page: int
    width: int
    height: int
    y_dpi: int
    bytes: int
    treatment: str

    @property
    def seconds_at_14400(self) -> float:
        """The least seconds of line time that the page costs at 14,400 bit/s."""
        return self.bytes * 8 / LINE_RATE

    def as_json(self) -> dict[str, Any]:
        """Return the report as an API shows it."""
        return {**asdict(self), "seconds_at_14400": round(self.seconds_at_14400, 1)}


@dataclass(frozen=True, slots=True)
class FaxDocument:
    """A finished fax document, every page decoded again and compared. ``size`` in bytes, ``sha256`` in hexadecimal."""

    pages: tuple[PageReport, ...]
    size: int
    sha256: str
