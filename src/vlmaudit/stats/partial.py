"""Rank correlation of two values a person, less what covariates explain of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

from vlmaudit.stats.covariates import Column, design
from vlmaudit.stats.differences import RankCorrelation
from vlmaudit.stats.ranks import midranks

_NORMAL_95: Final = 1.959963984540054
_LEAST_LEFT: Final = 4
"""People, less covariates, below which nothing is said."""


def partial_rank_correlation(
    x: Float[np.ndarray, " people"],
    y: Float[np.ndarray, " people"],
    covariates: Mapping[str, Column],
) -> RankCorrelation | None:
    """Spearman's correlation of what covariates leave of two values a person.

    Ranks of both are regressed on the covariates (`covariates.design`: ranks of numbers, indicators
    of words), and what is left is correlated. The interval is that of `rank_correlation` with as
    many people fewer as there are columns. Covariates take away what follows *them*; fame that no
    column measures stays in.

    Args:
        x: A value a person; NaN: none.
        y: Another.
        covariates: One entry a person each.

    Returns:
        None without covariates that vary, with too few people for them, and where nothing is left.
    """
    both = ~(np.isnan(x) | np.isnan(y))
    n = int(np.count_nonzero(both))
    kept = {name: _some(column, both) for name, column in covariates.items()}
    columns = design(kept).values if n else np.zeros((0, 0))
    if not columns.shape[1] or n - columns.shape[1] < _LEAST_LEFT:
        return None
    basis = np.column_stack([np.ones(n), columns])
    left = []
    for values in (x[both], y[both]):
        ranks = midranks(values) - (n + 1) / 2
        fitted = basis @ np.linalg.lstsq(basis, ranks, rcond=None)[0]
        rest = ranks - fitted
        if float(rest @ rest) <= 1e-9 * float(ranks @ ranks):
            return None
        left.append(rest)
    norm = math.sqrt(float((left[0] @ left[0]) * (left[1] @ left[1])))
    value = min(max(float(left[0] @ left[1]) / norm, -1.0), 1.0)
    within = math.atanh(min(max(value, -1 + 1e-9), 1 - 1e-9))
    freedom = n - int(np.linalg.matrix_rank(columns)) - 3
    half = _NORMAL_95 * math.sqrt((1 + value * value / 2) / freedom)
    return RankCorrelation(
        value=value,
        low=min(value, math.tanh(within - half)),
        high=max(value, math.tanh(within + half)),
        n=n,
    )


def _some(column: Column, wanted: Sequence[bool]) -> Column:
    return [value for value, is_wanted in zip(column, wanted, strict=True) if is_wanted]
