"""Answers of a run that somebody judges by hand: the only honest correction of its rates.

A two-phase sample (Tenenbein 1970; STATISTICS section 6): of what the matcher calls a leak, of
what comes near one, and of the rest, some are drawn at random and judged by somebody who is not
told what the matcher said.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from vlmaudit.audits.name_leakage.finding import LabelledSample
from vlmaudit.audits.name_leakage.observed import FAILED
from vlmaudit.audits.name_leakage.settings import NULLS
from vlmaudit.audits.shares import share
from vlmaudit.data.identities import Person
from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError
from vlmaudit.results.records import Estimate
from vlmaudit.seeds import stream
from vlmaudit.stats.matcher_error import rest_upper, two_phase_rate

SHEET: Final = "labels.csv"
"""Where a run keeps the sheet, in its private folder."""
SIZES: Final = {"matched": 150, "near": 150, "rest": 200}
"""Answers that are drawn of each kind."""

_KEYS: Final = ("identity", "image", "condition", "prompt")
_NEAR: Final = ("surname", "negated", "list")
_YES: Final = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True, eq=False)
class LabelSheet:
    """Judgements: ``identity, image, condition, prompt, leaks``, those not judged left out."""

    table: pl.DataFrame


def _with_strata(outcomes: pl.DataFrame) -> pl.DataFrame:
    return outcomes.filter(
        pl.col("status") != FAILED, ~pl.col("condition").is_in(NULLS)
    ).with_columns(
        stratum=pl.when(pl.col("leaks_by_audit"))
        .then(pl.lit("matched"))
        .when(pl.col("outcome").is_in(_NEAR))
        .then(pl.lit("near"))
        .otherwise(pl.lit("rest"))
    )


def draw_sheet(outcomes: pl.DataFrame, people: tuple[Person, ...], seed: int) -> pl.DataFrame:
    """Answers to judge, in random order: ``…, name, answer, leaks``, the last one empty."""
    rng = stream(seed, "labels")
    names = {person.identity: person.name for person in people}
    rows = _with_strata(outcomes)
    drawn = [
        rows.filter(pl.col("stratum") == kind).sample(
            min(size, rows.filter(pl.col("stratum") == kind).height),
            seed=int(rng.integers(2**31)),
            shuffle=True,
        )
        for kind, size in SIZES.items()
    ]
    sheet = pl.concat(drawn).sample(fraction=1.0, shuffle=True, seed=int(rng.integers(2**31)))
    return sheet.select(
        *_KEYS,
        pl.col("identity").replace_strict(names, return_dtype=pl.String).alias("name"),
        "answer",
        pl.lit("").alias("leaks"),
    )


def read_sheet(path: Path) -> LabelSheet:
    """Read a sheet in which ``leaks`` was filled in with yes or no; rows left empty are skipped.

    Raises:
        InputError: It is no such sheet, or nothing in it was judged.
    """
    table = read_table(path, (*_KEYS, "leaks")).with_row_index("row", offset=2)
    table = table.with_columns(pl.col("leaks").str.to_lowercase())
    wrong = table.filter(~pl.col("leaks").is_in([*_YES, ""])).head(1)
    if wrong.height:
        raise InputError(
            f'{path}:{wrong["row"][0]}: leaks "{wrong["leaks"][0]}": wanted yes or no, or nothing.'
        )
    judged = table.filter(pl.col("leaks") != "")
    if judged.is_empty():
        raise InputError(f"{path}: nothing is judged in it; fill in yes or no below leaks.")
    return LabelSheet(judged.select(*_KEYS, (pl.col("leaks") == "yes").alias("leaks")))


def labelled_sample(outcomes: pl.DataFrame, sheet: LabelSheet, seed: int) -> LabelledSample:
    """What the judgements say of the run.

    Raises:
        InputError: The sheet is about another run, or nothing of a kind was judged.
    """
    rows = _with_strata(outcomes)
    judged = sheet.table.join(rows, on=list(_KEYS), how="inner")
    if judged.height < sheet.table.height:
        raise InputError(
            f"{sheet.table.height - judged.height} labelled answers are not in this run; "
            "have a sheet drawn anew (vlmaudit label RUN)."
        )
    counts = {kind: _counts(rows, judged, kind) for kind in SIZES}
    for kind in ("matched", "near"):
        size, labelled, _ = counts[kind]
        if size and not labelled:
            raise InputError(f"no answer of the kind {kind} was judged; judge more of the sheet.")
    sizes, labelled, positive = np.array([counts[kind] for kind in ("matched", "near")]).T
    found = two_phase_rate(
        sizes, labelled, positive, rng=stream(seed, "label draws"), n_answers=rows.height
    )
    _, rest, missed = counts["rest"]
    agrees = (judged["leaks"] == judged["leaks_by_audit"]).cast(pl.Float64)
    return LabelledSample(
        labelled=judged.height,
        sampled=sum(min(size, counts[kind][0]) for kind, size in SIZES.items()),
        rate=Estimate(
            value=found.value,
            low=found.low,
            high=found.high,
            n=rows.height,
            method="two-phase sample, posterior draws",
            unit="answer",
        ),
        apparent=float(rows["leaks_by_audit"].mean() or 0.0),  # type: ignore[arg-type]
        agreement=share(agrees.to_list()).model_copy(update={"unit": "answer"}),
        rest_upper=rest_upper(missed, rest) if rest else None,
    )


def _counts(rows: pl.DataFrame, judged: pl.DataFrame, kind: str) -> tuple[int, int, int]:
    """Answers of a kind, those judged, and those judged to leak."""
    mine = judged.filter(pl.col("stratum") == kind)
    return rows.filter(pl.col("stratum") == kind).height, mine.height, int(mine["leaks"].sum())
