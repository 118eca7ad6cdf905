"""Observations on disk: one sealed file a block of cases."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from vlmaudit.errors import RunError
from vlmaudit.results.files import make_private, write_whole

BLOCK_SIZE = 64


class BlockStore:
    """Sealed blocks in a folder: written once, whole or not at all, never changed.

    A run resumes by asking which blocks are not there; who wrote a block changes nothing.
    """

    def __init__(self, folder: Path) -> None:
        """Open the store; the folder is made, for its owner's eyes only."""
        self._folder = make_private(folder)

    def sealed(self) -> set[int]:
        """Numbers of the blocks that are there."""
        return {int(path.stem) for path in self._folder.glob("[0-9]*.parquet")}

    def seal(self, number: int, table: pl.DataFrame) -> None:
        """Write one block."""
        write_whole(self._path(number), table.write_parquet, private=True)

    def read(self) -> Iterator[pl.DataFrame]:
        """All sealed blocks, by number.

        Raises:
            RunError: A block is damaged.
        """
        for number in sorted(self.sealed()):
            path = self._path(number)
            try:
                yield pl.read_parquet(path)
            except (OSError, pl.exceptions.PolarsError) as problem:
                raise RunError(
                    f"{path}: this block is damaged; delete the file and run the same command "
                    "again to have it observed anew."
                ) from problem

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"
