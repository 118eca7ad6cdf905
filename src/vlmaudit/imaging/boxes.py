"""Places in a picture: boxes of whole pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

Pixels = UInt8[np.ndarray, "height width 3"]
"""A picture: red, green and blue, 0 to 255."""
Mask = UInt8[np.ndarray, "height width"]
"""How much of every pixel belongs to something: 0 nothing, 255 all."""


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A rectangle of whole pixels; the right and lower edges are outside.

    >>> Box(2, 3, 10, 5).clipped(width=8, height=100)
    Box(left=2, top=3, width=6, height=5)

    Attributes:
        left: Column of its first pixel.
        top: Row of its first pixel.
        width: Columns.
        height: Rows.
    """

    left: int
    top: int
    width: int
    height: int

    @property
    def area(self) -> int:
        """Pixels in it."""
        return max(0, self.width) * max(0, self.height)

    @property
    def center(self) -> tuple[float, float]:
        """Column and row of its middle."""
        return self.left + self.width / 2, self.top + self.height / 2

    @property
    def window(self) -> tuple[slice, slice]:
        """What indexes a picture's rows and columns; the box must lie within the picture."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def clipped(self, *, width: int, height: int) -> "Box":
        """The part of it that lies within a picture of this size; its area may be 0."""
        left, top = min(max(self.left, 0), width), min(max(self.top, 0), height)
        right = min(max(self.left + self.width, left), width)
        bottom = min(max(self.top + self.height, top), height)
        return Box(left, top, right - left, bottom - top)

    def grown(self, share: float) -> "Box":
        """The box with so much of its size added on every side.

        >>> Box(10, 10, 20, 10).grown(0.1)
        Box(left=8, top=9, width=24, height=12)
        """
        across, down = round(self.width * share), round(self.height * share)
        return Box(
            self.left - across, self.top - down, self.width + 2 * across, self.height + 2 * down
        )

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        shared = max(0, width) * max(0, height)
        both = self.area + other.area - shared
        return shared / both if both else 0.0

    def __iter__(self) -> Iterator[int]:
        return iter((self.left, self.top, self.width, self.height))
