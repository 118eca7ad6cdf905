"""People from masks: the box around one, and whether it is a person at all."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from vlmaudit.imaging.boxes import Box, Mask
from vlmaudit.imaging.seams import Figure

LEAST_SHARE: Final = 0.002
MOST_SHARE: Final = 0.97
"""Of a picture: a mask that covers less, or more, cuts nobody out."""

_INSIDE: Final = 127


def figure_of(mask: Mask, score: float) -> Figure | None:
    """The person that a mask covers; None where it covers nothing or everything."""
    inside = mask > _INSIDE
    if not LEAST_SHARE <= inside.mean() <= MOST_SHARE:
        return None
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    box = Box(left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)
    return Figure(mask, box, score)


def in_order(figures: Sequence[Figure | None]) -> list[Figure]:
    """Those who are there, largest first."""
    there = [one for one in figures if one is not None]
    return sorted(there, key=lambda one: (-one.box.area, one.box))
