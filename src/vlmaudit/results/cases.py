"""The cases of a run as it is asked now: which there are, and in which block each stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from vlmaudit.errors import RunError
from vlmaudit.results.sealed import read_table, write_table

Role = Literal["audited", "control"]

FILE: Final = "cases.parquet"
_SCHEMA: Final = {
    "case": pl.String,
    "block": pl.Int64,
    "identity": pl.String,
    "image": pl.String,
    "condition": pl.String,
    "question": pl.String,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing put to the model: a picture under a condition, and a question about it.

    Attributes:
        key: What makes it the same case in every run.
        question: What is asked about the picture; empty where the picture alone is the question.
    """

    key: str
    identity: str
    image: str
    role: Role
    condition: str
    path: Path
    question: str = ""


def write_cases(private: Path, blocks: Mapping[int, Sequence[Case]]) -> None:
    """Write a row a case: ``case, block, identity, image, condition, question``."""
    # Block by block: Python's rows take ten times the room of the table's.
    tables = [
        pl.DataFrame(
            [
                (case.key, block, case.identity, case.image, case.condition, case.question)
                for case in cases
            ],
            schema=_SCHEMA,
            orient="row",
        )
        for block, cases in blocks.items()
    ]
    write_table(private / FILE, pl.concat([pl.DataFrame(schema=_SCHEMA), *tables]))


def read_cases(private: Path) -> pl.DataFrame:
    """Read what `write_cases` wrote.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        table = read_table(private / FILE, mend="run the same command again to have it anew.")
    except FileNotFoundError as problem:
        raise RunError(
            f"{private.parent}: stopped before it was known what to ask; run the same command "
            "again to go on."
        ) from problem
    if table.columns != list(_SCHEMA):
        raise RunError(
            f"{private.parent}: made by an earlier version; run the same command again, and what "
            "was answered is taken over."
        )
    return table
