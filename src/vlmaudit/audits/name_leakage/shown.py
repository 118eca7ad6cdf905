"""The answers that a report quotes: few enough for a page, and those that matter first."""

from pathlib import Path
from typing import Final

import polars as pl

from vlmaudit.audits.name_leakage.rates import LEAKS
from vlmaudit.errors import RunError
from vlmaudit.results.sealed import read_table, write_table
from vlmaudit.seeds import stream

FILE: Final = "answers-shown.parquet"
MOST: Final = 2000
COLUMNS: Final = (
    "identity",
    "image",
    "condition",
    "prompt",
    "outcome",
    "answer",
    "start",
    "end",
)


def choose_answers(outcomes: pl.DataFrame, seed: int) -> pl.DataFrame:
    """At most 2,000 answers, in this order: leaks, wrong names, a seeded sample of the rest.

    Where there are more leaks than that, they are a sample as well.
    """
    told = outcomes.filter(pl.col("outcome") != "failed")
    kinds = (
        pl.col("outcome").is_in(LEAKS),
        pl.col("outcome") == "wrong_name",
        ~pl.col("outcome").is_in([*LEAKS, "wrong_name"]),
    )
    rng = stream(seed, "answers shown")
    chosen: list[pl.DataFrame] = []
    left = MOST
    for kind in kinds:
        rows = told.filter(kind)
        taken = rows.sample(min(left, rows.height), seed=int(rng.integers(2**31)))
        # Who is nobody of the study comes last.
        chosen.append(
            taken.sort(pl.col("identity") == "", "identity", "image", "condition", "prompt")
        )
        left -= taken.height
    return pl.concat(chosen).select(COLUMNS)


def write_shown(private: Path, answers: pl.DataFrame) -> None:
    """Keep them in a private folder."""
    write_table(private / FILE, answers)


def read_shown(private: Path) -> pl.DataFrame | None:
    """What `write_shown` wrote; None where there is nothing.

    Raises:
        RunError: The file is damaged.
    """
    try:
        return read_table(private / FILE, mend=f"have it anew: vlmaudit conclude {private.parent}.")
    except FileNotFoundError:
        return None
    except NotADirectoryError as problem:
        raise RunError(f"{private.parent}: no folder of a run.") from problem
