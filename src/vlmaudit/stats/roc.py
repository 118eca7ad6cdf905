"""Area under the ROC curve over people, with its interval."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy import special

from vlmaudit.stats.intervals import Interval, clopper_pearson
from vlmaudit.stats.ranks import midranks

AucMethod = Literal["DeLong", "exact, disjoint pairs"]
DELONG: Final = "DeLong"
PAIRS: Final = "exact, disjoint pairs"
MIN_GROUP: Final = 10  # fewer people do not estimate DeLong's variance


@dataclass(frozen=True, slots=True)
class AucEstimate:
    """The probability that a member scores above a non-member; a tie counts one half."""

    value: float
    low: float
    high: float
    standard_error: float | None  # None where DeLong's is not defined
    n_members: int
    n_non_members: int
    method: AucMethod


@dataclass(frozen=True, slots=True)
class AucDifference:
    """The AUC of one score minus that of another over the same people."""

    value: float
    low: float
    high: float
    p: float
    standard_error: float | None
    n_members: int
    n_non_members: int
    method: AucMethod


def auc(
    scores: Real[np.ndarray, " people"],
    is_member: Bool[np.ndarray, " people"],
    *,
    level: float = 0.95,
) -> AucEstimate:
    """Mann-Whitney's AUC with DeLong's (1988) interval on the logit scale.

    DeLong's variance is 0 when everybody or nobody is ranked right and when all scores are
    tied, and a handful of people does not estimate it: simulated, the 95 % interval covers
    .90-.98 of the time from 10 people a group up to AUC .95, and .78-.84 with 3. There the
    interval is exact instead: with m the smaller group, m disjoint pairs of a member and a
    non-member are m independent comparisons, and the interval is Clopper-Pearson over them,
    wide but true. A perfect ranking of 10 and 20 people has AUC 1 with the interval [.69, 1].

    Raises:
        ValueError: A score is not finite, or a group is empty.
    """
    areas = _placements(scores, is_member)
    value, pairs = areas.value, min(len(areas.of_members), len(areas.of_non_members))
    error = areas.standard_error(areas.of_members, areas.of_non_members)
    interval = clopper_pearson(value * pairs, pairs, level=level)
    method: AucMethod = PAIRS
    if error is not None:
        half = _normal_quantile(level) * error / (value * (1 - value))
        centre = special.logit(value)
        interval = Interval(
            float(special.expit(centre - half)), float(special.expit(centre + half))
        )
        method = DELONG
    return AucEstimate(
        value,
        interval.low,
        interval.high,
        error,
        len(areas.of_members),
        len(areas.of_non_members),
        method,
    )


def auc_difference(
    scores: Real[np.ndarray, " people"],
    other_scores: Real[np.ndarray, " people"],
    is_member: Bool[np.ndarray, " people"],
    *,
    level: float = 0.95,
) -> AucDifference:
    """AUC of `scores` minus AUC of `other_scores`, paired by person (DeLong 1988).

    Used for what an attack adds to a guess that never asked the model. Where the paired
    variance is 0 or there are few people, disjoint pairs are compared instead, as in `auc`.

    Raises:
        ValueError: A score is not finite, or a group is empty.
    """
    first, second = _placements(scores, is_member), _placements(other_scores, is_member)
    value = first.value - second.value
    n1, n0 = len(first.of_members), len(first.of_non_members)
    error = first.standard_error(
        first.of_members - second.of_members, first.of_non_members - second.of_non_members
    )
    if error is not None:
        half = _normal_quantile(level) * error
        p = 2 * float(special.ndtr(-abs(value) / error))
        return AucDifference(
            value, max(-1.0, value - half), min(1.0, value + half), p, error, n1, n0, DELONG
        )
    pairs = min(n1, n0)
    wins = (1 + value) / 2 * pairs
    interval = clopper_pearson(wins, pairs, level=level)
    low, high = 2 * interval.low - 1, 2 * interval.high - 1
    return AucDifference(value, low, high, _sign_p(wins, pairs), None, n1, n0, PAIRS)


@dataclass(frozen=True, slots=True)
class _Placements:
    """Each person's share of the other group that is ranked on the right side of them."""

    of_members: Float[np.ndarray, " members"]
    of_non_members: Float[np.ndarray, " non_members"]

    @property
    def value(self) -> float:
        return float(self.of_members.mean())

    @staticmethod
    def standard_error(
        of_members: Float[np.ndarray, " members"],
        of_non_members: Float[np.ndarray, " non_members"],
    ) -> float | None:
        """DeLong's standard error of a mean of placements, or of their differences."""
        if min(len(of_members), len(of_non_members)) < MIN_GROUP:
            return None
        variance = of_members.var(ddof=1) / len(of_members)
        variance += of_non_members.var(ddof=1) / len(of_non_members)
        # Placements are multiples of 1/(2n): a variance below rounding is an exact zero.
        return float(np.sqrt(variance)) if variance > 1e-20 else None


def _placements(
    scores: Real[np.ndarray, " people"], is_member: Bool[np.ndarray, " people"]
) -> _Placements:
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: a failed person must be left out beforehand")
    n1 = int(is_member.sum())
    n0 = len(scores) - n1
    if not n1 or not n0:
        raise ValueError(f"an AUC needs both groups; there are {n1} members, {n0} non-members")
    ranks = midranks(scores)
    return _Placements(
        of_members=(ranks[is_member] - midranks(scores[is_member])) / n0,
        of_non_members=1 - (ranks[~is_member] - midranks(scores[~is_member])) / n1,
    )


def _normal_quantile(level: float) -> float:
    return float(special.ndtri((1 + level) / 2))


def _sign_p(wins: float, pairs: int) -> float:
    """Two-sided p-value of a fractional number of wins against one half."""
    at_least = 1.0 if wins <= 0 else float(special.betainc(wins, pairs - wins + 1, 0.5))
    at_most = 1.0 if wins >= pairs else 1 - float(special.betainc(wins + 1, pairs - wins, 0.5))
    return min(1.0, 2 * min(at_least, at_most))
