"""Shares of people, with intervals that cluster by person."""

import math
from collections.abc import Sequence
from typing import Final

from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson

FRACTIONAL: Final = "fractional Clopper-Pearson"


def share(values: Sequence[float], *, sd: float | None = None) -> Estimate:
    """The mean of shares of people, with an interval that clusters by person.

    Each value is one person's: 0 or 1, or the share of draws. Exact-method limits stay honest
    for few people and rates near 0, where a bootstrap over people covers a third of what it says.
    """
    n = len(values)
    if n == 0:
        return Estimate(value=None, low=None, high=None, n=0, method=FRACTIONAL)
    # Added exactly: the order of the people shall not show in the last digit.
    total = math.fsum(values)
    limits = clopper_pearson(total, n)
    return Estimate(
        value=total / n, low=limits.low, high=limits.high, n=n, method=FRACTIONAL, sd=sd
    )
