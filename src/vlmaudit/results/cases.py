"""The cases of a run as it is asked now: which there are, and in which block each stands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from vlmaudit.errors import RunError
from vlmaudit.results.files import write_whole

FILE: Final = "cases.parquet"
_SCHEMA: Final = {
    "case": pl.String,
    "block": pl.Int64,
    "identity": pl.String,
    "image": pl.String,
    "question": pl.String,
}


class Listed(Protocol):
    """What is written down of a case."""

    @property
    def key(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def question(self) -> str: ...


def write_cases(private: Path, blocks: Mapping[int, Sequence[Listed]]) -> None:
    """Write a row a case: ``case, block, identity, image, question``."""
    rows = [
        (case.key, block, case.identity, case.image, case.question)
        for block, cases in blocks.items()
        for case in cases
    ]
    table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    write_whole(private / FILE, table.write_parquet, private=True)


def read_cases(private: Path) -> pl.DataFrame:
    """Read what `write_cases` wrote.

    Raises:
        RunError: The file is missing or damaged.
    """
    path = private / FILE
    try:
        return pl.read_parquet(path)
    except FileNotFoundError as problem:
        raise RunError(
            f"{private.parent}: stopped before it was known what to ask; run the same command "
            "again to go on."
        ) from problem
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise RunError(f"{path}: damaged; run the same command again to have it anew.") from problem
