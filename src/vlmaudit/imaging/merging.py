"""Boxes that lie on one another are one face."""

from collections.abc import Sequence
from typing import Final

from vlmaudit.imaging.seams import Face

_SAME_FACE: Final = 0.45


def merged(faces: Sequence[Face]) -> list[Face]:
    """Each face once, largest first: of two boxes in one place the surer one stays."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda one: (-one.score, one.box)):
        if all(face.box.overlap(other.box) < _SAME_FACE for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda one: (-one.box.area, one.box))
