"""Who cuts people out, and whose picture it is when there are several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.imaging.boxes import Mask
from vlmaudit.imaging.seams import Face, Figure, FigureFinder

Why = Literal["only", "face", "central", "largest"]
"""Why somebody is taken to be whom a picture is of."""

_INSIDE: Final = 127
_CLEARLY_LARGER: Final = 1.5
_KINDS: Final = ("grabcut", "grounded", "masks")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a picture is of.

    Attributes:
        place: Their place among all people in it.
        why: What says so.
    """

    place: int
    why: Why


def choose_subject(
    figures: Sequence[Figure], faces: Sequence[Face], *, width: int, height: int
) -> Subject | None:
    """Whom a picture is of: the only person, or who has the largest face, or else the largest.

    A face says more than a body: whoever stands in front with their back to the camera is seldom
    whom a picture is of. Of people without faces who are about as large as one another, the one
    nearest to the middle.

    Args:
        figures: All people, largest first.
        faces: All faces, largest first.
        width: The picture's, in pixels.
        height: The picture's, in pixels.

    Returns:
        None where there is nobody.
    """
    if not figures:
        return None
    if len(figures) == 1:
        return Subject(0, "only")
    for face in faces:
        bearers = [place for place, one in enumerate(figures) if _holds(one.mask, face)]
        if len(bearers) == 1:
            return Subject(bearers[0], "face")
    rivals = [
        place
        for place, one in enumerate(figures)
        if one.box.area * _CLEARLY_LARGER >= figures[0].box.area
    ]
    if len(rivals) == 1:
        return Subject(rivals[0], "largest")

    def distance(place: int) -> float:
        x, y = figures[place].box.center
        return ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) ** 0.5

    return Subject(min(rivals, key=distance), "central")


def _holds(mask: Mask, face: Face) -> bool:
    x, y = face.box.center
    return bool(mask[int(y), int(x)] > _INSIDE)


def load_figure_finder(spec: str, *, device: str = "cpu") -> FigureFinder:
    """Who cuts people out: ``grabcut``, ``grounded:DINO,SAM`` or ``masks:FOLDER``.

    Args:
        spec: As on the command line.
        device: Where networks run.

    Raises:
        InputError: There is none of that name, or its files cannot be used.
    """
    kind, _, rest = spec.partition(":")
    if spec == "grabcut":
        from vlmaudit.imaging.cutting import CutFromFaces

        return CutFromFaces()
    if kind == "masks" and rest:
        from vlmaudit.imaging.given_masks import GivenMasks

        return GivenMasks(Path(rest).expanduser())
    detector, comma, segmenter = rest.partition(",")
    if kind == "grounded" and comma and detector and segmenter:
        from vlmaudit.imaging.grounded import GroundedPeople

        return GroundedPeople(detector, segmenter, device=device)
    raise InputError(
        f'--figures "{spec}": wanted grabcut, masks:FOLDER or grounded:DINO,SAM, such as '
        "grounded:IDEA-Research/grounding-dino-base,facebook/sam-vit-base."
        f"{did_you_mean(kind, _KINDS)}"
    )
