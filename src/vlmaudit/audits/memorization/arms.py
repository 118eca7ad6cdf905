"""Seen against unseen records in any number of columns: the tests that every mean shares.

The unit is the record, and what is permuted is which records were seen, as the planting drew it.
Columns (ways to ask, conditions) share the permutations, and their p-values are adjusted by the
maximum (Westfall and Young 1993).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson
from vlmaudit.stats.paired import mean_interval
from vlmaudit.stats.roc import auc

RECORD: Final = "record"
STUDENT: Final = "t over records"
FRACTIONAL: Final = "fractional Clopper-Pearson over records"
_ONE_SIDED: Final = 0.90
"""Level of a two-sided interval whose upper limit is a one-sided 95 % limit."""
_TIE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class AucLimits:
    """Chance that a seen record has the higher value, with 95 % limits of both kinds."""

    value: float
    low: float
    high: float
    upper: float


@dataclass(frozen=True, slots=True)
class ArmContrast:
    """One column: seen minus unseen."""

    difference: float
    auc: AucLimits
    p: float
    p_adjusted: float


def contrast_arms(
    values: Float[np.ndarray, "records columns"],
    seen: Bool[np.ndarray, " records"],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[ArmContrast, ...]:
    """Whether seen records have higher values than unseen ones, column by column.

    Args:
        values: Finite; a row a record.
        seen: Which records were seen; there are some of both.
        permutations: How many (B).
        rng: Draws them.
    """
    n = len(seen)
    labels = np.stack([rng.permutation(seen) for _ in range(permutations)])
    n_seen = int(seen.sum())
    total = values.sum(axis=0)
    # The difference of means is a line of the seen records' sum: one product serves all.
    sums = labels.astype(np.float64) @ values
    null = sums / n_seen - (total - sums) / (n - n_seen)
    observed = values[seen].mean(axis=0) - values[~seen].mean(axis=0)
    spread = null.std(axis=0)
    scale = np.where(spread > _TIE, spread, np.inf)
    null_z = (null - null.mean(axis=0)) / scale
    observed_z = (observed - null.mean(axis=0)) / scale
    largest = null_z.max(axis=1)
    return tuple(
        ArmContrast(
            difference=float(observed[column]),
            auc=auc_limits(values[:, column], seen),
            p=_share(null_z[:, column], observed_z[column]),
            p_adjusted=_share(largest, observed_z[column]),
        )
        for column in range(values.shape[1])
    )


def slope_on_dose(
    values: Float[np.ndarray, " records"],
    doses: Float[np.ndarray, " records"],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """What a doubling of the dose adds, and the one-sided p of permuting doses over records.

    None where all doses are one, or there are fewer than three records.
    """
    if len(values) < 3 or len(set(doses.tolist())) < 2:
        return None
    x = np.log2(doses) - np.log2(doses).mean()
    orders = np.stack([rng.permutation(x) for _ in range(permutations)])
    centred = values - values.mean()
    slope = float(x @ centred / (x @ x))
    null = orders @ centred / (x @ x)
    return slope, _share(null, slope)


def auc_limits(
    values: Float[np.ndarray, " records"], seen: Bool[np.ndarray, " records"]
) -> AucLimits:
    """AUC over records with its two-sided interval and its one-sided upper limit."""
    both = auc(values, seen)
    return AucLimits(both.value, both.low, both.high, auc(values, seen, level=_ONE_SIDED).high)


def share_of_records(values: Float[np.ndarray, " records"]) -> Estimate:
    """The mean of records' shares, each between 0 and 1."""
    n = len(values)
    if not n:
        return Estimate(value=None, low=None, high=None, n=0, method=FRACTIONAL, unit=RECORD)
    limits = clopper_pearson(float(values.sum()), n)
    return Estimate(
        value=float(values.mean()),
        low=limits.low,
        high=limits.high,
        n=n,
        method=FRACTIONAL,
        unit=RECORD,
    )


def mean_of_records(values: Float[np.ndarray, " records"]) -> Estimate:
    """The mean of any number that each record has one of."""
    limits = mean_interval(values)
    return Estimate(
        value=float(values.mean()) if len(values) else None,
        low=limits.low if limits else None,
        high=limits.high if limits else None,
        n=len(values),
        method=STUDENT,
        unit=RECORD,
    )


def wide(
    table: pl.DataFrame, column: str, value: str, columns: Sequence[str | bool]
) -> tuple[list[str], list[str], Float[np.ndarray, "records columns"]]:
    """A row a record, a column each of `columns`: the mean of `value`; incomplete records go.

    Returns:
        The records, their arms and the values.
    """
    means = table.group_by("record", "arm", column).agg(pl.col(value).mean()).sort("arm", "record")
    found: dict[tuple[str, str], dict[str | bool, float]] = {}
    for record, arm, where, mean in means.select("record", "arm", column, value).iter_rows():
        found.setdefault((record, arm), {})[where] = mean
    complete = {key: row for key, row in found.items() if all(each in row for each in columns)}
    values = np.array(
        [[row[each] for each in columns] for row in complete.values()], dtype=np.float64
    ).reshape(len(complete), len(columns))
    return [key[0] for key in complete], [key[1] for key in complete], values


def _share(null: Float[np.ndarray, " permutations"], observed: float) -> float:
    as_large = int(np.count_nonzero(null >= observed - _TIE * max(1.0, abs(observed))))
    return (1 + as_large) / (1 + len(null))
