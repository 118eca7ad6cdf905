"""People that another program cut out, from a folder of masks."""

from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from PIL import Image

from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import InputError
from vlmaudit.imaging.boxes import Mask, Pixels
from vlmaudit.imaging.figures import figure_of, in_order
from vlmaudit.imaging.seams import Figure
from vlmaudit.results.fingerprint import fingerprint

_SURE: Final = 1.0


class GivenMasks:
    """Masks as PNG files: for ``Ada_Lovelace/003.jpg`` that is ``Ada_Lovelace/003.png``.

    White is the person, black is not, and greys are soft edges. A picture without a mask shows
    nobody.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; masks are read when a picture is looked at.

        Raises:
            InputError: There is no mask in it.
        """
        files = sorted(folder.glob("*/*.png"))
        if not files:
            raise InputError(f"--figures masks:{folder}: no masks there; wanted FOLDER/NAME.png.")
        self._folder = folder
        self._digest = fingerprint(
            [[str(file.relative_to(folder)), _stamp(file)] for file in files]
        )

    @property
    def name(self) -> str:
        return f"a folder of masks ({self._digest[:12]})"

    def find(self, picture: Pixels, faces: object, image: str) -> list[Figure]:
        """See `FigureFinder`.

        Raises:
            InputError: A mask cannot be read, has another size than the picture, or is none.
        """
        del faces
        path = self._folder / PurePosixPath(image).with_suffix(".png")
        if not path.exists():
            return []
        try:
            mask = open_picture(path).convert("L")
        except PictureError as problem:
            raise InputError(f"{path}: {problem}; make the mask anew.") from problem
        height, width = picture.shape[:2]
        if mask.size != (width, height):
            raise InputError(
                f"{path}: a mask of {mask.width} x {mask.height} pixels for a picture of {width} x "
                f"{height}; they must be of one size."
            )
        if said := _no_mask(path, np.asarray(mask)):
            raise InputError(f"{path}: {said}; wanted white (255) for the person, on black (0).")
        return in_order([figure_of(np.asarray(mask), _SURE)])


def _no_mask(path: Path, mask: Mask) -> str:
    """What other programs write and would pass for a picture of nobody; empty where it is none."""
    with Image.open(path) as header:
        if "A" in header.getbands() or "transparency" in header.info:
            return "a picture with transparent parts"
    return "a mask of ones and zeros" if mask.max() == 1 else ""


def _stamp(file: Path) -> list[int]:
    """What tells that a mask was changed, without reading thousands of files."""
    facts = file.stat()
    return [facts.st_size, facts.st_mtime_ns]
