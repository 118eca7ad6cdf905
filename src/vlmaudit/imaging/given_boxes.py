"""Faces that another detector found, from a table."""

from pathlib import Path
from typing import Final

import polars as pl

from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError
from vlmaudit.imaging.boxes import Box, Pixels
from vlmaudit.imaging.merging import merged
from vlmaudit.imaging.seams import Face
from vlmaudit.results.fingerprint import fingerprint

_NUMBERS: Final = ("left", "top", "width", "height")


class GivenBoxes:
    """Boxes from a table ``image,left,top,width,height`` with an optional ``score``, in pixels.

    ``image`` is folder and file name, as in every table of a run; a picture without a row has no
    face.
    """

    def __init__(self, path: Path) -> None:
        """Read the table.

        Raises:
            InputError: It cannot be used; the first bad row is quoted.
        """
        table = read_table(path, ("image", *_NUMBERS), optional=("score",))
        if "score" not in table.columns:
            table = table.with_columns(pl.lit("1").alias("score"))
        numbers = table.with_columns(
            pl.col(*_NUMBERS, "score").cast(pl.Float64, strict=False)
        ).with_row_index("row", offset=1)
        is_bad = pl.any_horizontal(
            *(~pl.col(column).is_finite().fill_null(value=False) for column in (*_NUMBERS, "score"))
        )
        bad = numbers.filter(is_bad | (pl.col("width") <= 0) | (pl.col("height") <= 0)).head(1)
        if bad.height:
            row = int(bad["row"][0])
            said = ",".join(map(str, table.row(row - 1)))
            raise InputError(
                f'{path}: row {row}: "{said}"; wanted image,left,top,width,height in pixels.'
            )
        self._faces: dict[str, list[Face]] = {}
        for image, *box, score in numbers.select("image", *_NUMBERS, "score").iter_rows():
            face = Face(Box(*map(round, box)), min(1.0, max(0.0, score)))
            self._faces.setdefault(image, []).append(face)
        self._digest = fingerprint(numbers.drop("row").rows())

    @property
    def name(self) -> str:
        return f"a table of boxes ({self._digest[:12]})"

    @property
    def looks(self) -> bool:
        return False

    def find(self, picture: Pixels, image: str) -> list[Face]:
        height, width = picture.shape[:2]
        clipped = [
            Face(face.box.clipped(width=width, height=height), face.score)
            for face in self._faces.get(image, ())
        ]
        return merged([face for face in clipped if face.box.area])
