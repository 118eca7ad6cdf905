"""Differences of rates: the same people asked in two ways, and rates of two kinds of pictures.

Persons are the unit: `contrast` takes one difference a person (STATISTICS section 5).
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from vlmaudit.stats.intervals import Interval, clopper_pearson
from vlmaudit.stats.paired import mean_interval
from vlmaudit.stats.ranks import midranks

ContrastMethod = Literal["gains and losses, MOVER", "t"]
GAINS_AND_LOSSES: Final = "gains and losses, MOVER"
STUDENT: Final = "t"
# With fewer people, or with more of them alike, the spread of the differences is not estimated.
MIN_PEOPLE_FOR_T: Final = 60
MAX_SHARE_ALIKE_FOR_T: Final = 0.8

_TIE_TOLERANCE: Final = 1e-12
_NORMAL_95: Final = float(special.ndtri(0.975))
# Cells of sign flips held at a time: 64 MB of floats.
_CELLS: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class Contrast:
    """The mean over people of a difference of two rates, -1 to 1, and a test that it is 0."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided: share of sign flips as far from 0, the observed signs included."""
    p_min: float
    """The smallest `p` that so many differences other than 0 can give."""
    null_n: int
    n: int
    method: ContrastMethod


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether a mean difference was shown to be smaller than a margin, on both sides."""

    value: float
    low: float
    """Limits of the 90 % interval: each side is tested at 5 %."""
    high: float
    margin: float
    holds: bool
    """False is no proof of a difference: there may be too few people to tell."""
    n: int


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's rank correlation of two values a person."""

    value: float
    low: float
    high: float
    n: int


def contrast(
    first: Float[np.ndarray, " people"],
    second: Float[np.ndarray, " people"],
    *,
    rng: np.random.Generator,
    flips: int = 9999,
) -> Contrast | None:
    """The mean of `first - second` over people who have both; None if nobody has.

    The test flips the signs of people's differences: right if, were there no difference, it
    would be chance which of a person's two rates is the larger. Few enough differences are
    flipped in all ways, and p is exact. The interval is Student's, or `gain_and_loss_interval`
    below 60 people and where more than 80 % of the differences are alike (nearly all are 0 where
    a model hardly ever names anybody): STATISTICS' fractional Clopper-Pearson on (1 + d) / 2 is
    valid there and three times as wide. It describes this checkpoint: two checkpoints differ for
    reasons besides what they were trained on.

    >>> found = contrast(np.array([0.5, 1, 0.2]), np.zeros(3), rng=np.random.default_rng(0))
    >>> round(found.value, 3), found.p, found.n
    (0.567, 0.25, 3)

    Args:
        first: Rates from 0 to 1, one a person; NaN: no answer.
        second: The other rates of the same people, in the same order.
        rng: Draws the flips.
        flips: How many.

    Raises:
        ValueError: Lengths differ, or a rate is not between 0 and 1.
    """
    differences = _paired(first, second)
    n = len(differences)
    if n == 0:
        return None
    value = float(differences.mean())
    nonzero = differences[np.abs(differences) > _TIE_TOLERANCE]
    null = _sign_flips(nonzero, flips, rng)
    as_far = np.count_nonzero(np.abs(null) >= abs(nonzero.sum()) - _TIE_TOLERANCE * n)
    p_min = max(1 / (1 + len(null)), min(1.0, 2.0 ** (1 - len(nonzero))))
    _, alike = np.unique(differences.round(12), return_counts=True)
    method: ContrastMethod = STUDENT
    interval = mean_interval(differences)
    if interval is None or n < MIN_PEOPLE_FOR_T or alike.max() > MAX_SHARE_ALIKE_FOR_T * n:
        interval, method = gain_and_loss_interval(differences), GAINS_AND_LOSSES
    return Contrast(
        value=value,
        low=max(-1.0, interval.low),
        high=min(1.0, interval.high),
        p=max(p_min, (1 + int(as_far)) / (1 + len(null))),
        p_min=p_min,
        null_n=len(null),
        n=n,
        method=method,
    )


def equivalent(
    first: Float[np.ndarray, " people"],
    second: Float[np.ndarray, " people"],
    *,
    margin: float = 0.10,
) -> Equivalence | None:
    """Whether `first` and `second` differ by less than `margin`; None if nobody has both.

    Two one-sided tests at 5 %: the 90 % interval of `gain_and_loss_interval` lies within the
    margins. Student's would not do: where a tenth of 60 people lose what they had, it declares
    14 % of the samples equivalent (this one: 2 %), since three losses have hardly any spread.

    >>> same = np.full(60, 0.3)
    >>> equivalent(same, same).holds, equivalent(same[:20], same[:20]).holds
    (True, False)

    Raises:
        ValueError: Lengths differ, a rate is not between 0 and 1, or the margin is not.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin} is not strictly between 0 and 1")
    differences = _paired(first, second)
    n = len(differences)
    if n == 0:
        return None
    limits = gain_and_loss_interval(differences, level=0.90)
    return Equivalence(
        value=float(differences.mean()),
        low=limits.low,
        high=limits.high,
        margin=margin,
        holds=-margin < limits.low and limits.high < margin,
        n=n,
    )


def gain_and_loss_interval(
    differences: Float[np.ndarray, " people"], *, level: float = 0.95
) -> Interval:
    """The interval of a mean difference of rates, however few people differ.

    A difference is what a person gains or what they lose, never both. Each mean has its
    fractional Clopper-Pearson interval, and MOVER joins them; that nobody gains and loses at once
    correlates the two by -sqrt(gain loss / ((1 - gain) (1 - loss))), as in a multinomial.

    >>> limits = gain_and_loss_interval(np.array([1.0, 1, -1] + [0.0] * 57))
    >>> round(limits.low, 3), round(limits.high, 3)
    (-0.062, 0.101)

    Raises:
        ValueError: There is no difference.
    """
    n = len(differences)
    gain = float(np.maximum(differences, 0.0).sum()) / max(n, 1)
    loss = float(np.maximum(-differences, 0.0).sum()) / max(n, 1)
    of_gain, of_loss = (clopper_pearson(mean * n, n, level=level) for mean in (gain, loss))
    correlation = 0.0
    if gain < 1 and loss < 1:
        correlation = math.sqrt(gain * loss / ((1 - gain) * (1 - loss)))
    below = gain - of_gain.low, of_loss.high - loss
    above = of_gain.high - gain, loss - of_loss.low
    down, up = (math.sqrt(x * x + y * y + 2 * correlation * x * y) for x, y in (below, above))
    return Interval(max(-1.0, gain - loss - down), min(1.0, gain - loss + up))


def mover_difference(  # noqa: PLR0917 (two estimates, each with its limits)
    rate: float, low: float, high: float, other: float, other_low: float, other_high: float
) -> Interval:
    """The interval of `rate - other` from the interval of each (Zou and Donner 2008).

    Assumes that the two estimates are independent. Rates of the same people, on their pictures
    and without, mostly rise together; then the interval is wider than it need be. Where one
    falls as the other rises it is too narrow: where the differences themselves are at hand,
    `contrast` does not assume this.

    >>> limits = mover_difference(0.5, 0.4, 0.6, 0.1, 0.05, 0.2)
    >>> round(limits.low, 3), round(limits.high, 3)
    (0.259, 0.512)
    """
    difference = rate - other
    return Interval(
        max(-1.0, difference - math.hypot(rate - low, other_high - other)),
        min(1.0, difference + math.hypot(high - rate, other - other_low)),
    )


def rank_correlation(
    x: Float[np.ndarray, " people"], y: Float[np.ndarray, " people"]
) -> RankCorrelation | None:
    """Spearman's correlation, such as of leak rates with how often captions give the name.

    People without one of the values (NaN) are left out; None below 4 people, and where all have
    the same value. The interval has Bonett and Wright's (2000) standard error on Fisher's
    scale, sqrt((1 + r²/2) / (n - 3)). It asks for people drawn independently: counts and rates
    of famous people also rise together because both follow fame. Fisher's scale has no place
    for a perfect order, which is taken to be one swap of neighbours short of it.

    Raises:
        ValueError: Lengths differ, or a value is infinite.
    """
    if x.shape != y.shape or np.isinf(x).any() or np.isinf(y).any():
        raise ValueError("two finite values a person are needed, or NaN")
    both = ~(np.isnan(x) | np.isnan(y))
    n = int(np.count_nonzero(both))
    if n < 4:
        return None
    ranks = [midranks(values[both]) - (n + 1) / 2 for values in (x, y)]
    norm = math.sqrt(float(np.square(ranks[0]).sum() * np.square(ranks[1]).sum()))
    if norm == 0:
        return None
    value = min(max(float(ranks[0] @ ranks[1]) / norm, -1.0), 1.0)
    most = 1 - 12 / (n * (n * n - 1))
    centre = math.atanh(min(max(value, -most), most))
    half = _NORMAL_95 * math.sqrt((1 + value * value / 2) / (n - 3))
    return RankCorrelation(
        value=value,
        low=min(value, math.tanh(centre - half)),
        high=max(value, math.tanh(centre + half)),
        n=n,
    )


def _paired(
    first: Float[np.ndarray, " people"], second: Float[np.ndarray, " people"]
) -> Float[np.ndarray, " both"]:
    """The differences of people who have both rates."""
    if first.shape != second.shape:
        raise ValueError(f"rates of {first.size} and of {second.size} people cannot be paired")
    for rates in (first, second):
        if not (np.isnan(rates) | ((rates >= 0) & (rates <= 1 + _TIE_TOLERANCE))).all():
            raise ValueError("a rate is not between 0 and 1")
    differences = first.astype(np.float64) - second
    return differences[~np.isnan(differences)]


def _sign_flips(
    differences: Float[np.ndarray, " people"], flips: int, rng: np.random.Generator
) -> Float[np.ndarray, " null"]:
    """Sums of the differences with random signs; with all other signs where these are few."""
    n = len(differences)
    if n < 60 and 2**n <= flips + 1:
        signs = _all_signs(n)[1:]
        return signs @ differences
    null = np.empty(flips)
    chunk = max(1, _CELLS // n)
    for start in range(0, flips, chunk):
        stop = min(start + chunk, flips)
        signs = rng.integers(0, 2, (stop - start, n), np.int8) * 2 - 1
        null[start:stop] = signs @ differences
    return null


def _all_signs(n: int) -> Int[np.ndarray, "ways people"]:
    """All 2**n rows of signs; the first changes none."""
    return 1 - 2 * (np.arange(2**n)[:, np.newaxis] >> np.arange(n) & 1)
