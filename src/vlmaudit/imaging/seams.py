"""What finds faces, people and text in pictures, and tells faces apart: small protocols."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from vlmaudit.imaging.boxes import Box, Mask, Pixels


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was found.

    Attributes:
        box: Where, within the picture.
        score: How sure the finder is, 0 to 1.
        points: Both eyes, nose and the corners of the mouth, as columns and rows; empty where a
            finder gives none.
    """

    box: Box
    score: float
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A person who was found, from head to foot as far as the picture goes.

    Attributes:
        mask: Which pixels are theirs, with soft edges.
        box: The smallest box around the mask.
        score: How sure the finder is, 0 to 1.
    """

    mask: Mask
    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text that was read.

    Attributes:
        text: As it was read.
        corners: Columns and rows of its four corners, clockwise from the upper left as one reads.
        score: How sure the reader is, 0 to 1.
    """

    text: str
    corners: tuple[tuple[float, float], ...]
    score: float


@runtime_checkable
class FaceFinder(Protocol):
    """Finds faces in a picture."""

    @property
    def name(self) -> str:
        """What decides the result: kind, digest of the weights, and settings."""
        ...

    @property
    def looks(self) -> bool:
        """Whether it looks at pixels; a table says the same of a picture whatever is hidden."""
        ...

    def find(self, picture: Pixels, image: str) -> list[Face]:
        """All faces, largest first; boxes lie within the picture.

        Args:
            picture: Of any size.
            image: How tables call the picture: folder and file name.

        Raises:
            PictureError: It could not be looked at, which is not "no face".
        """
        ...


@runtime_checkable
class FigureFinder(Protocol):
    """Finds people in a picture, and which pixels are theirs."""

    @property
    def name(self) -> str:
        """What decides the result: kind, digests of the weights, and settings."""
        ...

    def find(self, picture: Pixels, faces: Sequence[Face], image: str) -> list[Figure]:
        """All people, largest first.

        Args:
            picture: Of any size.
            faces: The faces in it, for finders that start from them.
            image: How tables call the picture: folder and file name.
        """
        ...


@runtime_checkable
class TextReader(Protocol):
    """Reads text in a picture."""

    @property
    def name(self) -> str:
        """What decides the result: kind, version, and settings."""
        ...

    def read(self, picture: Pixels) -> list[Line]:
        """All lines, from top to bottom."""
        ...


@runtime_checkable
class FaceRecogniser(Protocol):
    """Tells faces apart: a vector a face, alike for the same person."""

    @property
    def name(self) -> str:
        """What decides the result: kind and digest of the weights."""
        ...

    def describe(self, picture: Pixels, faces: Sequence[Face]) -> Float[np.ndarray, "faces dim"]:
        """A vector of unit length a face, in their order."""
        ...
