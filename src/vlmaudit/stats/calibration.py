"""Thresholds and operating points learnt from known non-members.

Everything here is exact whatever the scores' distribution, as long as a new non-member is like
the known ones (exchangeable). Where membership was not randomised that is an assumption, and
the numbers are descriptive.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy import special

from vlmaudit.stats.intervals import clopper_pearson, controls_needed

# Two scores nearer than this, relative to the largest, are tied; ties count against a detection.
TIE_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Refusal:
    """A number that is not computed, and what would be needed for it."""

    reason: str
    non_members_needed: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cut that keeps the false-positive rate, with assurance; declare strictly above it."""

    value: float
    exceedances: int  # known non-members above the cut, fewer if some are tied with it
    n_non_members: int
    max_fpr: float
    assurance: float
    mean_fpr: float  # of a new non-member, over all the sets of non-members one may have drawn
    upper_fpr: float  # the true FPR is below this with probability `assurance`


@dataclass(frozen=True, slots=True)
class CrossFittedFpr:
    """A false-positive rate measured on non-members that did not set the threshold."""

    value: float
    low: float
    high: float
    n: int
    thresholds: tuple[float, float]


@dataclass(frozen=True, slots=True)
class TprAtFpr:
    """The share of members above an operating point whose mean false-positive rate is known.

    `low` and `high` hold the threshold fixed; how well it keeps the false-positive rate is said
    beside them by `mean_fpr` (at most `max_fpr`) and `upper_fpr` (with 95 % assurance).
    """

    value: float
    low: float
    high: float
    n: int
    threshold: float
    max_fpr: float
    n_non_members: int
    mean_fpr: float
    upper_fpr: float


def conformal_p(
    scores: Real[np.ndarray, " people"], is_non_member: Bool[np.ndarray, " people"]
) -> Float[np.ndarray, " people"]:
    """How unlike the known non-members each person is: a p-value from ranks.

    With n0 non-members, everybody else has p = (1 + #{non-member scores >= own}) / (n0 + 1).
    A non-member is compared with the other n0 - 1 (leave-one-out), so there the denominator is
    n0. Benjamini-Hochberg over people is valid on these p-values (Bates et al. 2023). Ties
    count against; the smallest attainable p is 1 / (n0 + 1).

    >>> conformal_p(np.array([5.0, 1.0, 2.0]), np.array([False, True, True])).round(3).tolist()
    [0.333, 1.0, 0.5]

    Raises:
        ValueError: A score is not finite.
    """
    _require_finite(scores)
    n0 = int(is_non_member.sum())
    at_or_above = _count_at_or_above(scores, scores[is_non_member])
    # A non-member's own score is among those counted: it is the 1 of the formula.
    return np.where(is_non_member, at_or_above / max(n0, 1), (1 + at_or_above) / (n0 + 1))


def fpr_excess_probability(max_fpr: float, *, exceedances: int, n_non_members: int) -> float:
    """How probably the true FPR exceeds `max_fpr` when a cut leaves so many non-members above.

    For a cut at the (k+1)-th largest of n0 non-member scores the true FPR is distributed as
    Beta(k + 1, n0 - k). Hence "at most 5 % of our 60 non-members are above" is wrong more
    often than not:

    >>> fpr_excess_probability(0.05, exceedances=3, n_non_members=60).__round__(2)
    0.65
    """
    return float(special.bdtr(exceedances, n_non_members, max_fpr))


def threshold_for_fpr(
    non_member_scores: Real[np.ndarray, " people"], max_fpr: float, *, assurance: float = 0.95
) -> Threshold | Refusal:
    """The lowest cut whose true false-positive rate is <= `max_fpr` with `assurance`.

    It is the (k+1)-th largest non-member score, k being the largest number for which
    P(Beta(k + 1, n0 - k) > max_fpr) <= 1 - assurance. With `max_fpr` of 5 %, 59 non-members
    give k = 0, 120 give 1, 299 give 8.

    Raises:
        ValueError: A score is not finite, or a rate is not strictly between 0 and 1.
    """
    _require_finite(non_member_scores)
    needed = controls_needed(max_fpr, level=assurance)
    n0 = len(non_member_scores)
    if n0 < needed:
        return Refusal(
            f"a false-positive rate of at most {max_fpr:.3g} cannot be assured with {n0} "
            f"non-members; it takes {needed}",
            needed,
        )
    k = 0
    while (
        k + 1 < n0
        and fpr_excess_probability(max_fpr, exceedances=k + 1, n_non_members=n0) <= 1 - assurance
    ):
        k += 1
    return Threshold(
        value=float(np.sort(non_member_scores)[n0 - 1 - k]),
        exceedances=k,
        n_non_members=n0,
        max_fpr=max_fpr,
        assurance=assurance,
        mean_fpr=(k + 1) / (n0 + 1),
        upper_fpr=float(special.betaincinv(k + 1, n0 - k, assurance)),
    )


def cross_fitted_fpr(
    non_member_scores: Real[np.ndarray, " people"],
    max_fpr: float,
    *,
    rng: np.random.Generator,
    assurance: float = 0.95,
) -> CrossFittedFpr | Refusal:
    """The false-positive rate of `threshold_for_fpr`, measured where it was not set.

    The non-members are split at random into two halves; each is judged by the threshold of the
    other, and the two rates are averaged. The interval holds the two thresholds fixed.

    Raises:
        ValueError: A score is not finite, or a rate is not strictly between 0 and 1.
    """
    n0 = len(non_member_scores)
    order = rng.permutation(n0)
    halves = (non_member_scores[order[: n0 // 2]], non_member_scores[order[n0 // 2 :]])
    cuts = [threshold_for_fpr(half, max_fpr, assurance=assurance) for half in halves]
    fitted = [cut for cut in cuts if isinstance(cut, Threshold)]
    if len(fitted) < 2:
        needed = 2 * controls_needed(max_fpr, level=assurance)
        return Refusal(
            f"a cross-fitted false-positive rate at {max_fpr:.3g} takes {needed} non-members, "
            f"half of them to set each threshold; there are {n0}",
            needed,
        )
    rates = [
        float(np.mean(_above(half, cut.value)))
        for half, cut in zip(halves, reversed(fitted), strict=True)
    ]
    value = float(np.mean(rates))
    interval = clopper_pearson(value * n0, n0)
    return CrossFittedFpr(
        value, interval.low, interval.high, n0, (fitted[0].value, fitted[1].value)
    )


def tpr_at_fpr(
    scores: Real[np.ndarray, " people"], is_member: Bool[np.ndarray, " people"], max_fpr: float
) -> TprAtFpr | Refusal:
    """The share of members whose conformal p-value is at most `max_fpr`.

    Nothing is interpolated and no "nearest" threshold is taken: either would report a rate at
    a false-positive rate above the one promised.

    Raises:
        ValueError: A score is not finite, there is no member, or `max_fpr` is not strictly
            between 0 and 1.
    """
    _require_finite(scores)
    if not 0 < max_fpr < 1:
        raise ValueError(f"false-positive rate {max_fpr} is not strictly between 0 and 1")
    members, non_members = scores[is_member], scores[~is_member]
    if not len(members):
        raise ValueError("a true-positive rate needs at least one member")
    n0 = len(non_members)
    # Counts, not p-values, are compared: 3 / 60 <= 0.05 must not hang on the last bit.
    allowed = math.floor((n0 + 1) * max_fpr * (1 + TIE_TOLERANCE)) - 1
    if allowed < 0:
        least = math.ceil((1 - TIE_TOLERANCE) / max_fpr) - 1
        return Refusal(
            f"with {n0} non-members no person's p-value reaches {max_fpr:.3g}: it takes {least} "
            f"of them, and {controls_needed(max_fpr)} to claim that the false-positive rate is "
            f"not above it",
            least,
        )
    value = float(np.mean(_count_at_or_above(members, non_members, scale_of=scores) <= allowed))
    interval = clopper_pearson(value * len(members), len(members))
    return TprAtFpr(
        value=value,
        low=interval.low,
        high=interval.high,
        n=len(members),
        threshold=float(np.sort(non_members)[n0 - 1 - allowed]),
        max_fpr=max_fpr,
        n_non_members=n0,
        mean_fpr=(allowed + 1) / (n0 + 1),
        upper_fpr=float(special.betaincinv(allowed + 1, n0 - allowed, 0.95)),
    )


def structural_fpr(
    distinct_winners: Int[np.ndarray, " people"] | Sequence[int], pool_size: int
) -> float:
    """The share of people detected by tau = 1 in a model that ties nobody's face to a name.

    A person's templates elect W different names. If the true name is any of the K names of the
    pool, it is among the elected with probability W / K; no non-members are needed for this.

    Raises:
        ValueError: There is nobody, or more winners than names.
    """
    winners = np.asarray(distinct_winners)
    if not len(winners) or winners.min() < 0 or winners.max() > pool_size:
        raise ValueError(f"{len(winners)} people's winners do not fit a pool of {pool_size} names")
    return float(winners.mean() / pool_size)


def hits_against_chance(hits: int, n: int, rate: float) -> float:
    """Two-sided exact binomial p-value of `hits` of `n` against a known `rate`.

    The probability of all counts that are no more probable than the one seen (the method of
    small p-values, as in R's binom.test). What is too small for a number is the smallest one: only
    what is impossible has a p-value of 0.

    >>> hits_against_chance(4, 600, 0.0052).__round__(2)
    0.56
    >>> hits_against_chance(600, 600, 0.0052) > 0
    True

    Raises:
        ValueError: There is nobody, more hits than people, or no such rate.
    """
    if not 0 <= hits <= n or n < 1 or not 0 <= rate <= 1:
        raise ValueError(f"{hits} hits of {n} at rate {rate}")
    counts = np.arange(n + 1)
    log_ways = -special.betaln(counts + 1, n - counts + 1) - math.log(n + 1)
    probability = np.exp(
        log_ways + special.xlogy(counts, rate) + special.xlog1py(n - counts, -rate)
    )
    # Equally probable counts on the other side differ by rounding only.
    as_rare = probability <= probability[hits] * (1 + 1e-7)
    p = float(min(1.0, probability[as_rare].sum()))
    return max(sys.float_info.min, p) if 0 < rate < 1 else p


def _count_at_or_above(
    scores: Real[np.ndarray, " people"],
    references: Real[np.ndarray, " references"],
    *,
    scale_of: Real[np.ndarray, " everyone"] | None = None,
) -> Int[np.ndarray, " people"]:
    """How many references reach each score, ties included."""
    everyone = scores if scale_of is None else scale_of
    tolerance = TIE_TOLERANCE * float(np.max(np.abs(everyone), initial=0.0))
    below = np.searchsorted(np.sort(references), scores - tolerance, side="left")
    return len(references) - below


def _above(scores: Real[np.ndarray, " people"], cut: float) -> Bool[np.ndarray, " people"]:
    """Who is strictly above a cut; a tie is not above."""
    return scores > cut + TIE_TOLERANCE * max(abs(cut), float(np.max(np.abs(scores))))


def _require_finite(scores: Real[np.ndarray, " people"]) -> None:
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: a failed person must be left out beforehand")
