"""Gray pages into black and white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.document import Mode


def binarise(gray: NDArray[np.uint8], y_dpi: int, mode: Mode) -> tuple[NDArray[np.bool_], str]:
    """Return the ink of a gray page (true is black) and the treatment that made it."""
    return gray < 128, "text"
