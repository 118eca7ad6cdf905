"""What the model says where nobody of the study is to be seen."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import polars as pl
from jaxtyping import Float

from vlmaudit.audits.name_leakage.finding import NullRow
from vlmaudit.audits.name_leakage.observed import FAILED
from vlmaudit.audits.name_leakage.settings import DRAWN, GREY, NO_IMAGE
from vlmaudit.audits.name_leakage.tally import Tally
from vlmaudit.audits.shares import share
from vlmaudit.results.records import Estimate
from vlmaudit.stats.differences import mover_difference

DIFFERENCE = "MOVER of two fractional Clopper-Pearson intervals"


def null_rows(table: pl.DataFrame, tally: Tally, cells: Sequence[int]) -> list[NullRow]:
    """A row a null that was asked for.

    Args:
        table: ``image, condition, prompt, status, affirmed`` of questions that show nobody of the
            study.
        tally: The counts on pictures of people.
        cells: The prompts on pictures as they are, with which nulls are compared.
    """
    answered = table.filter(pl.col("status") != FAILED)
    prompts = [tally.cells[cell][1] for cell in cells]
    rows = []
    for kind in (NO_IMAGE, GREY):
        mine = answered.filter(pl.col("condition") == kind, pl.col("prompt").is_in(prompts))
        if mine.height:
            rates = _named_anyway(mine, len(tally.cohort.persons))
            rows.append(
                NullRow(
                    kind=kind,
                    answers=mine.height,
                    rate=share(rates.tolist()),
                    difference=_difference(rates, mine, tally, cells),
                )
            )
    drawn = answered.filter(pl.col("condition") == DRAWN)
    if drawn.height:
        faces = drawn.group_by("image").agg((pl.col("affirmed").list.len() > 0).mean())
        rate = share(faces["affirmed"].sort().to_list())
        rows.append(
            NullRow(
                kind=DRAWN,
                answers=drawn.height,
                rate=rate.model_copy(update={"unit": "drawn face"}),
                difference=None,
            )
        )
    return rows


def _named_anyway(answers: pl.DataFrame, n_people: int) -> Float[np.ndarray, " people"]:
    """How often each person's name is said although nobody is shown; every prompt weighs alike."""
    prompts = answers["prompt"].n_unique()
    weights = answers.with_columns(weight=1 / pl.len().over("prompt") / prompts)
    said = weights.explode("affirmed").drop_nulls("affirmed")
    rates = np.zeros(n_people)
    for person, weight in said.group_by("affirmed").agg(pl.col("weight").sum()).iter_rows():
        rates[cast("int", person)] = weight
    return np.minimum(rates, 1.0)


def _difference(
    rates: Float[np.ndarray, " people"],
    answers: pl.DataFrame,
    tally: Tally,
    cells: Sequence[int],
) -> Estimate | None:
    """The leak rate on pictures minus this one, of the same people and the same prompts."""
    asked = set(answers["prompt"])
    shared = [cell for cell in cells if tally.cells[cell][1] in asked]
    said = tally.said(shared)
    shown = share(said.shares.diagonal()[said.answered].tolist())
    blind = share(rates[said.answered].tolist())
    if not shown.n:
        return None
    assert shown.value is not None and shown.low is not None and shown.high is not None
    assert blind.value is not None and blind.low is not None and blind.high is not None
    limits = mover_difference(
        shown.value, shown.low, shown.high, blind.value, blind.low, blind.high
    )
    return Estimate(
        value=shown.value - blind.value,
        low=limits.low,
        high=limits.high,
        n=shown.n,
        method=DIFFERENCE,
    )
