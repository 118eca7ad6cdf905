"""How often prompts make the model say names: the paper's tables, with their nulls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Float

from vlmaudit.audits.name_leakage.finding import GroupRow, Outcome, RateRow
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.audits.name_leakage.tally import Tally
from vlmaudit.audits.shares import share
from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson
from vlmaudit.stats.multiplicity import benjamini_hochberg
from vlmaudit.stats.swapping import Lift, Swaps

MOVER: Final = "MOVER, fractional Clopper-Pearson and t"
WRONG: Final[tuple[Outcome, ...]] = ("wrong_name",)
REFUSED: Final[tuple[Outcome, ...]] = ("refused",)
LEAKS: Final[tuple[Outcome, ...]] = ("named", "hedged")


@dataclass(frozen=True, slots=True)
class Counts:
    """Leaks by both readings, by condition and prompt."""

    by_paper: Mapping[tuple[str, str], int]
    by_audit: Mapping[tuple[str, str], int]


def rate_rows(tally: Tally, swaps: Swaps, counts: Counts, settings: NameLeakage) -> list[RateRow]:
    """A row a condition and prompt, with lift and p."""
    rows = []
    for cell, (condition, prompt) in enumerate(tally.cells):
        n, leaks = int(tally.answers[cell].sum()), int(tally.leaks(cell).sum())
        if not n:
            continue
        lift = swaps.lift(tally.said([cell]))
        rate, low, high = lift.rate, lift.low, lift.high
        if settings.protocol == "paper":
            rate = leaks / n
            limits = clopper_pearson(rate * lift.n, lift.n)
            low, high = limits.low, limits.high
        rows.append(
            RateRow(
                condition=condition,
                prompt=prompt,
                leaks=leaks,
                n=n,
                people=lift.n,
                rate=rate,
                low=low,
                high=high,
                null=lift.null,
                lift=lift.lift,
                lift_low=lift.lift_low,
                lift_high=lift.lift_high,
                p=lift.p,
                outcomes=_summed(tally, [cell]),
                by_paper=counts.by_paper.get((condition, prompt), 0),
                by_audit=counts.by_audit.get((condition, prompt), 0),
            )
        )
    return [
        row.model_copy(update={"p_adjusted": q})
        for row, q in zip(rows, adjusted([row.p for row in rows]), strict=True)
    ]


def group_rows(tally: Tally, rates: Sequence[RateRow], swaps: Swaps) -> list[GroupRow]:
    """A row a condition and prompt category: the paper's Table 1."""
    rows = []
    for (condition, group), members in groupby(rates, key=_group):
        mine = list(members)
        cells = tally.places(condition, [row.prompt for row in mine])
        values = [row.rate for row in mine]
        variance = float(np.var(values, ddof=1)) if len(values) > 1 else None
        lift = swaps.lift(tally.said(cells))
        refused = tally.share_of(REFUSED, cells)
        leaked = tally.share_of(LEAKS, cells)
        rows.append(
            GroupRow(
                condition=condition,
                group=group,
                prompts=len(mine),
                mean=float(np.mean(values)),
                variance=variance,
                sd=None if variance is None else variance**0.5,
                rate=rate_estimate(lift),
                lift=lift_estimate(lift),
                p=lift.p,
                refused=_share(refused),
                given_answered=_given_answered(leaked, refused),
                wrong=_share(tally.share_of(WRONG, cells)),
            )
        )
    return [
        row.model_copy(update={"p_adjusted": q})
        for row, q in zip(rows, adjusted([row.p for row in rows]), strict=True)
    ]


def _group(row: RateRow) -> tuple[str, str]:
    return row.condition, row.prompt.partition("/")[0]


def _summed(tally: Tally, cells: Sequence[int]) -> dict[Outcome, int]:
    return {
        outcome: number
        for outcome, counts in sorted(tally.outcomes(cells).items())
        if (number := int(counts.sum()))
    }


def _given_answered(
    leaked: Float[np.ndarray, " people"], refused: Float[np.ndarray, " people"]
) -> Estimate | None:
    """Conditional disclosure: those who are refused every time have none."""
    answered = refused < 1 - 1e-12
    if not answered.any() or not np.nanmax(refused, initial=0) > 0:
        return None
    return _share(np.minimum(1.0, leaked[answered] / (1 - refused[answered])))


def _share(values: Float[np.ndarray, " people"]) -> Estimate:
    return share([float(value) for value in values if not np.isnan(value)])


def rate_estimate(lift: Lift) -> Estimate:
    """The leak rate over people, with its interval."""
    return Estimate(
        value=lift.rate,
        low=lift.low,
        high=lift.high,
        n=lift.n,
        method="fractional Clopper-Pearson",
    )


def lift_estimate(lift: Lift) -> Estimate | None:
    """The lift over swapped people; None where nobody can be compared."""
    if lift.lift is None:
        return None
    return Estimate(
        value=lift.lift, low=lift.lift_low, high=lift.lift_high, n=lift.n_compared, method=MOVER
    )


def adjusted(values: Sequence[float | None]) -> list[float | None]:
    """Benjamini-Hochberg over those that are there."""
    there = [value for value in values if value is not None]
    if not there:
        return list(values)
    q = iter(benjamini_hochberg(np.array(there)).tolist())
    return [None if value is None else float(next(q)) for value in values]


def count_leaks(table: pl.DataFrame, column: str) -> dict[tuple[str, str], int]:
    """Answers that give away the name of the person shown, by condition and prompt.

    Args:
        table: ``condition, prompt`` and a column that says of each answer whether it does.
        column: That column.
    """
    counts = table.filter(pl.col(column)).group_by("condition", "prompt").len()
    return {(condition, prompt): n for condition, prompt, n in counts.iter_rows()}
