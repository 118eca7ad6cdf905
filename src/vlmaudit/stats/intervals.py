"""Exact intervals for shares of people.

The unit is the person. A person who is flagged in 13 of 20 draws of pictures counts 0.65, and
the interval is Clopper-Pearson with that fractional number of successes. Counting people times
draws instead would treat one person's draws as so many people: at 15 people and a true rate of
2 % such an interval covers 12 % of the time instead of 95 %, and a bootstrap over people 33 %.
"""

import math
from dataclasses import dataclass

from scipy import special

# Sums of fractions such as 20 * 0.05 overshoot by rounding, never by this much.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A range that holds the true value with the level asked for."""

    low: float
    high: float


def clopper_pearson(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """The exact two-sided interval for a rate; `successes` may be fractional.

    With whole successes this is Clopper and Pearson (1934). With fractional ones (a sum of
    people's own rates) the same beta quantiles are conservative for any [0, 1] variables that
    were simulated; Bentkus (2004) bounds the worst case within a factor of e.

    >>> clopper_pearson(0, 3).high.__round__(3)
    0.708
    >>> clopper_pearson(7.5, 15).low.__round__(3)
    0.239

    Args:
        successes: Sum over people of the share of draws in which each was flagged.
        n: How many people.
        level: Probability of holding the true rate.

    Raises:
        ValueError: There is nobody, or more successes than people.
    """
    x = _checked(successes, n, level)
    tail = (1 - level) / 2
    low = 0.0 if x == 0 else float(special.betaincinv(x, n - x + 1, tail))
    high = 1.0 if x == n else float(special.betaincinv(x + 1, n - x, 1 - tail))
    return Interval(low, high)


def upper_limit(successes: float, n: int, *, level: float = 0.95) -> float:
    """The exact one-sided upper limit for a rate: what 0 of n still allows.

    >>> upper_limit(0, 60).__round__(4)
    0.0487

    Raises:
        ValueError: There is nobody, or more successes than people.
    """
    x = _checked(successes, n, level)
    return 1.0 if x == n else float(special.betaincinv(x + 1, n - x, level))


def controls_needed(max_rate: float, *, hits: int = 0, level: float = 0.95) -> int:
    """How many non-members, `hits` of them flagged, support the claim "the rate is <= max_rate".

    It is the smallest number whose one-sided upper limit does not exceed `max_rate`.

    >>> [controls_needed(rate) for rate in (0.05, 0.02, 0.01)]
    [59, 149, 299]

    Raises:
        ValueError: The rate or the level is not strictly between 0 and 1, or hits are negative.
    """
    if not 0 < max_rate < 1 or not 0 < level < 1 or hits < 0:
        raise ValueError(f"no such claim: rate {max_rate}, level {level}, {hits} hits")
    # The upper limit is at most max_rate exactly when so few hits had probability <= 1 - level.
    too_few, enough = hits, hits + 1
    while special.bdtr(hits, enough, max_rate) > 1 - level:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if special.bdtr(hits, middle, max_rate) > 1 - level:
            too_few = middle
        else:
            enough = middle
    return enough


def _checked(successes: float, n: int, level: float) -> float:
    """Successes within 0 and n, freed of rounding."""
    if n < 1:
        raise ValueError("a rate of nobody has no interval")
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not strictly between 0 and 1")
    slack = _ROUNDING * n
    if math.isnan(successes) or not -slack <= successes <= n + slack:
        raise ValueError(f"{successes} successes of {n} people")
    return min(max(float(successes), 0.0), float(n))
