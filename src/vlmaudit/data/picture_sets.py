"""Sets of pictures with or without captions: a folder, or a table that lists them."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import polars as pl

from vlmaudit.data.images import PictureError, is_picture
from vlmaudit.data.paths import spelt
from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class PictureSet:
    """Pictures, not opened yet; some may be missing or damaged.

    Attributes:
        root: What their names are relative to.
        table: A row a picture: ``image`` (unique) and ``caption``, which may be empty.
        notices: What the reader should know of it.
    """

    root: Path
    table: pl.DataFrame
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.table.height

    def path(self, place: int) -> Path:
        """Where a picture lies.

        Raises:
            PictureError: Its name leads out of the set's folder.
        """
        image = self.table["image"][place]
        inner = PurePosixPath(image)
        if not image or inner.is_absolute() or ".." in inner.parts or "\0" in image:
            raise PictureError("its name leads out of the folder of the set")
        return self.root / inner


def read_picture_set(source: Path) -> PictureSet:
    """List the pictures of a set.

    Args:
        source: A folder, which is searched with all folders in it; or a table (``.csv``,
            ``.jsonl`` or ``.parquet``) with a column ``image``, a path relative to the table, and
            maybe ``caption``.

    Raises:
        InputError: There is no such set, or nothing in it.
    """
    if source.is_dir():
        images = _listed(source)
        if not images:
            raise InputError(f"{source}: no picture in it (.jpg, .png, .webp, …).")
        table = pl.DataFrame({"image": images}, schema={"image": pl.String})
        return PictureSet(source, table.with_columns(pl.lit("").alias("caption")))
    if not source.exists():
        raise InputError(
            f"{source}: no such file or folder; wanted a folder of pictures, or a table with a "
            "column image."
        )
    listed = read_table(source, ("image",), optional=("caption",))
    if "caption" not in listed.columns:
        listed = listed.with_columns(pl.lit("").alias("caption"))
    table = listed.unique("image", keep="first", maintain_order=True)
    twice = listed.height - table.height
    notices = (f"{twice} rows name a picture again: the first caption counts.",) if twice else ()
    return PictureSet(source.parent, table.select("image", "caption"), notices)


def _listed(folder: Path) -> list[str]:
    """All pictures below a folder, in order; hidden folders are not entered, links not followed."""
    images = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(place).relative_to(folder)
        # A name that is no UTF-8 cannot be written into a table: it would name no file.
        images += [
            (here / name).as_posix()
            for name in names
            if is_picture(Path(name)) and spelt(name) == name
        ]
    return sorted(images)
