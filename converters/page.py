"""Where a source's page goes on a fax page: scale, turn, margins, cuts. Pure geometry in millimetres and pixels.

A fax line is 1728 pixels of 1/204 inch, 215 mm (ITU-T T.4); lines are 1/98, 1/196 or 1/391 inch. A page that fits
keeps its true size and is centred; a wider one is shrunk to the line; a landscape one is turned first, so that its
writing stays large. A page keeps its own length, up to :data:`LONGEST`; a longer one is cut into pages of the paper's
length, up to :data:`MOST_CUTS` of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.document import WIDTH, X_DPI
from converters.errors import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.document import Paper

MM = 25.4
LINE = WIDTH / X_DPI * MM
#: The longest page in millimetres that is sent in one piece: legal paper (355.6) and what goes through most machines.
LONGEST = 380.0
MOST_CUTS = 20
#: White around pictures, in millimetres: fax machines print to about 4 mm of the edge.
MARGIN = 8.0
#: Wider than this in proportion to its height, a page is landscape.
_LANDSCAPE = 1.15
#: A scan of a page is about as wide as the paper: scanners' beds are a little wider, sheets a little narrower.
_SCAN = (0.95, 1.06)
#: Letter paper is 0.4 % wider than the line: it is squeezed so much in width alone, so that it keeps its 11 inches.
_SQUEEZED = 0.99

Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Placement:
    """How a source page is drawn: turned a quarter or not, to ``width`` by ``height`` pixels.

    It stands ``left`` and ``top`` pixels in. ``length``: rows of the fax page, or, where ``pieces`` is more than 1, of
    each piece.
    """

    turned: bool
    width: int
    height: int
    left: int
    top: int
    length: int
    pieces: int


def place_page(width: float, height: float, y_dpi: int, paper: Paper) -> Placement:
    """Place a page that has a size of its own, in millimetres; it brings its own margins.

    Raises :class:`Refused` (``TOO_LARGE``) for a page without area or too long even to be cut.
    """
    _check(width, height)
    turned = width > LINE and width > height * _LANDSCAPE
    if turned:
        width, height = height, width
    scale = min(1.0, LINE / width)
    tall = height if scale > _SQUEEZED else height * scale
    return _placed(width * scale, tall, y_dpi, paper, turned=turned)


def place_picture(width: float, height: float, y_dpi: int, paper: Paper) -> Placement:
    """Place a picture of a natural size in millimetres: within the margins of the paper, never enlarged.

    A picture as large as the paper is a scan of a page and needs no margins. A long narrow one (a screenshot of a
    conversation, a receipt) keeps its width and is cut.
    """
    _check(width, height)
    paper_width, paper_height = paper.size
    turned = width > paper_width - 2 * MARGIN and width > height * _LANDSCAPE
    if turned:
        width, height = height, width
    if _SCAN[0] < width / paper_width < _SCAN[1] and paper_height * _SCAN[0] < height < LONGEST:
        scale = min(1.0, LINE / width)
        return _placed(width * scale, height * scale, y_dpi, paper, turned=turned)
    box_width, box_height = paper_width - 2 * MARGIN, paper_height - 2 * MARGIN
    scale = min(1.0, box_width / width)
    if height * scale > box_height and height < 2.2 * width:
        scale = box_height / height
    return _placed(width * scale, height * scale, y_dpi, paper, turned=turned, margin=MARGIN)


def _placed(width: float, height: float, y_dpi: int, paper: Paper, *, turned: bool, margin: float = 0.0) -> Placement:
    columns = min(WIDTH, max(1, round(width / MM * X_DPI)))
    rows = max(1, round(height / MM * y_dpi))
    room = paper.size[1] - 2 * margin
    longest = LONGEST if margin == 0.0 else room
    pieces = 1 if height <= longest + 0.5 else -(-rows // _rows(room, y_dpi))
    if pieces > MOST_CUTS:
        raise Refused(Reason.TOO_LARGE, detail=f" ({height / 10:.0f} cm long)")
    whole = pieces == 1 and not margin
    length = rows if whole else _rows(paper.size[1], y_dpi)
    return Placement(
        turned, columns, rows, (WIDTH - columns) // 2, _rows(margin, y_dpi) if margin else 0, length, pieces
    )


def blank(placement: Placement) -> tuple[Gray, Gray]:
    """Return a white fax page and the part of it that a drawing of one piece fills: what draws there need not be laid.

    There is a row more behind the page, so that whoever writes whole rows from the part's left edge stays inside.
    """
    sheet = np.full((placement.length + 1, WIDTH), 255, np.uint8)
    rows = slice(placement.top, placement.top + placement.height)
    return sheet[:-1], sheet[rows, placement.left : placement.left + placement.width]


def lay(drawn: Gray, placement: Placement) -> Iterator[Gray]:
    """Yield the fax pages (``length`` rows of 1728 gray pixels) of a drawing of the placement's size."""
    whole = placement.pieces == 1 and placement.length == placement.height and placement.width == WIDTH
    if whole:
        yield drawn
        return
    room = placement.length - 2 * placement.top
    for piece in range(placement.pieces):
        part = drawn[piece * room : (piece + 1) * room]
        sheet = np.full((placement.length, WIDTH), 255, np.uint8)
        sheet[placement.top : placement.top + len(part), placement.left : placement.left + placement.width] = part
        yield sheet


def _rows(millimetres: float, y_dpi: int) -> int:
    return max(1, round(millimetres / MM * y_dpi))


def _check(width: float, height: float) -> None:
    """Refuse a size without area, not a number, or absurd (also a damaged file's)."""
    if not (0.1 <= width <= 1e6 and 0.1 <= height <= 1e6):  # noqa: PLR2004  a tenth of a millimetre, a kilometre
        raise Refused(Reason.TOO_LARGE, detail=f" ({width:g} x {height:g} mm)")
