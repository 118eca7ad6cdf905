"""Where text stands in a picture, as a mask."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from vlmaudit.imaging.boxes import Mask
from vlmaudit.imaging.seams import Line

_AROUND: Final = 0.15
"""Of a line's height: letters reach out of the box that was read."""


def text_mask(lines: Sequence[Line], *, width: int, height: int) -> Mask:
    """A mask of all lines, each a little larger than it was read.

    >>> line = Line("A", ((2, 2), (6, 2), (6, 4), (2, 4)), 1.0)
    >>> int((text_mask([line], width=9, height=9) > 0).sum())
    24
    """
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    for line in lines:
        corners = np.array(line.corners, dtype=np.float64)
        middle = corners.mean(axis=0)
        grown = _AROUND * np.linalg.norm(corners[0] - corners[3])
        away = corners - middle
        lengths = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        outer = middle + away * (1 + grown / lengths)
        pen.polygon([(float(x), float(y)) for x, y in outer], fill=255)
    return np.asarray(canvas)
