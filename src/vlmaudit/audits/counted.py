"""Whether people whom captions name more often are known better: what both audits say of counts."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from vlmaudit.data.identities import Person
from vlmaudit.results.records import Estimate
from vlmaudit.stats.covariates import Column
from vlmaudit.stats.differences import RankCorrelation, rank_correlation
from vlmaudit.stats.partial import partial_rank_correlation

CORRELATION: Final = "correlation_with_counts"
PARTIAL: Final = "correlation_with_counts_partial"
_METHOD: Final = "Spearman, Bonett-Wright"


def count_correlations(
    counts: Sequence[int | None],
    values: Sequence[float | None],
    covariates: Mapping[str, Column],
) -> dict[str, Estimate]:
    """Spearman's correlation of captions that name people with what an audit found of them.

    Args:
        counts: Captions that name each; None: not counted, which is not none.
        values: What was found of each, such as a leak rate; None: nothing.
        covariates: What else is known of them, one entry a person each.

    Returns:
        ``correlation_with_counts``, and ``correlation_with_counts_partial`` of what covariates
        leave; each only where it can be stated.
    """
    x, y = (np.array([np.nan if one is None else one for one in some]) for some in (counts, values))
    found: dict[str, Estimate] = {}
    if (plain := rank_correlation(x, y)) is not None:
        found[CORRELATION] = _estimate(plain, _METHOD)
        partial = partial_rank_correlation(x, y, covariates)
        if partial is not None:
            found[PARTIAL] = _estimate(partial, f"{_METHOD}, ranks less those of covariates")
    return found


def covariates_of(persons: Sequence[Person]) -> dict[str, Column]:
    """Sex, origin and the further columns of a table of people, one entry a person each."""
    names = sorted({name for person in persons for name in person.covariates})
    return {
        "sex": [person.sex for person in persons],
        "origin": [person.origin for person in persons],
        **{name: [person.covariates.get(name, "") for person in persons] for name in names},
    }


def _estimate(found: RankCorrelation, method: str) -> Estimate:
    return Estimate(value=found.value, low=found.low, high=found.high, n=found.n, method=method)
