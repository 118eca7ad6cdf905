"""Faces hidden in their boxes: coarse squares, blur, black; and nothing but the faces."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from vlmaudit.imaging.boxes import Box, Pixels

_GREY: Final = 128
_BLACK: Final = 0


def pixelate(picture: Pixels, boxes: Sequence[Box], grid: int) -> Pixels:
    """Every box cut into `grid` x `grid` squares of one colour each, their mean.

    As in the paper (Caldarella et al. 2024, section 4.4), whose grid is 10. A box that is smaller
    than the grid keeps its pixels in that direction. Pixels outside the boxes stay as they are.

    >>> shown = pixelate(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), [Box(0, 0, 4, 4)], 1)
    >>> len(np.unique(shown.reshape(-1, 3), axis=0))
    1
    """
    shown = picture.copy()
    for box in _within(picture, boxes):
        rows = _edges(box.height, grid)
        columns = _edges(box.width, grid)
        area = shown[box.window].astype(np.float64)
        sums = np.add.reduceat(np.add.reduceat(area, rows, axis=0), columns, axis=1)
        down, across = np.diff([*rows, box.height]), np.diff([*columns, box.width])
        means = np.rint(sums / (down[:, None] * across[None, :])[..., None]).astype(np.uint8)
        shown[box.window] = means.repeat(down, axis=0).repeat(across, axis=1)
    return shown


def blur(picture: Pixels, boxes: Sequence[Box], sigma: float) -> Pixels:
    """Every box blurred by a Gaussian.

    What is mixed into a box comes from it alone: nothing around it changes, and nothing around it
    tells what was in it.

    Args:
        picture: Stays as it is.
        boxes: Where.
        sigma: The Gaussian's standard deviation, in pixels.
    """
    import cv2

    shown = picture.copy()
    for box in _within(picture, boxes):
        area = np.ascontiguousarray(shown[box.window])
        smooth = cv2.GaussianBlur(area, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        shown[box.window] = smooth.reshape(area.shape)
    return shown


def mask(picture: Pixels, boxes: Sequence[Box]) -> Pixels:
    """Every box black."""
    shown = picture.copy()
    for box in _within(picture, boxes):
        shown[box.window] = _BLACK
    return shown


def only(picture: Pixels, boxes: Sequence[Box]) -> Pixels:
    """Nothing but the boxes, on grey."""
    shown = np.full_like(picture, _GREY)
    for box in _within(picture, boxes):
        shown[box.window] = picture[box.window]
    return shown


def _within(picture: Pixels, boxes: Sequence[Box]) -> list[Box]:
    height, width = picture.shape[:2]
    clipped = [box.clipped(width=width, height=height) for box in boxes]
    return [box for box in clipped if box.area]


def _edges(length: int, grid: int) -> list[int]:
    """Where squares begin: as even as whole pixels allow."""
    squares = min(grid, length)
    return [place * length // squares for place in range(squares)]
