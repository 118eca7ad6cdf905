"""What errors of the matcher do to rates and lifts, and what may be done about them.

The matcher decides which answers give a name away. Its errors on a shipped set of hard cases are
not its errors on a run's answers, so that set corrects no rate: from a true rate of 0.5 %,
Rogan and Gladen's (1978) correction makes 0.01 %. It may correct a lift, marked as carried over;
rates are corrected by a labelled sample of the run itself. p-values need neither, for the same
matcher judges a person's own name and the names of others (STATISTICS section 6).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Int
from scipy import special

from vlmaudit.stats.intervals import upper_limit

_NORMAL_95: Final = float(special.ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Corrected:
    """A number freed of the matcher's errors, with its 95 % interval."""

    value: float
    low: float
    high: float


def corrected_lift(
    lift: float,
    low: float,
    high: float,
    *,
    sensitivity: float,
    n_positive: int,
    specificity: float,
    n_negative: int,
) -> Corrected | None:
    """The lift divided by J = sensitivity + specificity - 1; None where J is not above 0.

    Right if errors do not depend on whose name it is: what the matcher invents for own names
    and for others' alike cancels in the lift. The variance is that of the lift over J², plus
    lift² var(J) / J⁴; each limit of the lift stands for its own side. The variance of J counts
    half a success and half a failure besides those seen: no errors in 150 cases are not proof
    that there are none.

    Args:
        lift: What the matcher says, with the limits of its 95 % interval.
        low: Lower limit.
        high: Upper limit.
        sensitivity: Share of true leaks that the matcher sees.
        n_positive: Labelled answers that are leaks.
        specificity: Share of other answers in which it sees none.
        n_negative: Labelled answers that are none.

    Raises:
        ValueError: A share is not between 0 and 1, or there is no label of a kind.
    """
    variance = 0.0
    for share, n in ((sensitivity, n_positive), (specificity, n_negative)):
        if not 0 <= share <= 1 or n < 1:
            raise ValueError(f"share {share} of {n} labelled answers")
        shrunk = (share * n + 0.5) / (n + 1)
        variance += shrunk * (1 - shrunk) / n
    J = sensitivity + specificity - 1
    if J <= 0:
        return None
    value = lift / J
    of_matcher = _NORMAL_95 * lift * math.sqrt(variance) / J**2
    return Corrected(
        value=max(-1.0, min(1.0, value)),
        low=max(-1.0, min(1.0, value - math.hypot((lift - low) / J, of_matcher))),
        high=max(-1.0, min(1.0, value + math.hypot((high - lift) / J, of_matcher))),
    )


def two_phase_rate(
    sizes: Int[np.ndarray, " strata"],
    labelled: Int[np.ndarray, " strata"],
    positive: Int[np.ndarray, " strata"],
    *,
    rng: np.random.Generator,
    n_answers: int | None = None,
    draws: int = 9999,
) -> Corrected:
    """The share of a run's answers that leak, from labels drawn at random in each stratum.

    Tenenbein's (1970) double sampling: sum over strata of N_h / N · x_h / m_h, such as matched
    answers and near misses. The interval is of draws from the posterior under Jeffreys' prior:
    what is labelled is known, and leaks in the rest of a stratum are binomial with a rate from
    Beta(x + ½, m − x + ½). (The rate alone in their place would cover 90 % where a quarter to a
    third of a stratum is labelled; this covers 95 %, as it is about these answers.)
    Answers weigh alike here, not people. Wrong if labels were not drawn at random from this
    run, if the labeller knew what the matcher said, or, the interval, if many labelled answers
    are of one person: they count as independent.

    Args:
        sizes: Answers in each stratum (N_h).
        labelled: Of them, how many were judged (m_h).
        positive: Of these, how many leak (x_h).
        rng: Draws from the posterior.
        n_answers: All answers of the run (N), if there are some in no stratum: they count as no
            leaks, and `rest_upper` says how far that may be wrong.
        draws: From the posterior.

    Raises:
        ValueError: Counts do not fit each other, or a stratum has answers and no label.
    """
    total = int(sizes.sum()) if n_answers is None else n_answers
    fit = (positive >= 0) & (positive <= labelled) & (labelled <= sizes)
    if total < 1 or total < sizes.sum() or not fit.all():
        raise ValueError("of all answers some are in strata, some of them labelled, some positive")
    if (empty := np.flatnonzero((labelled == 0) & (sizes > 0))).size:
        raise ValueError(f"stratum {empty[0]} has {sizes[empty[0]]} answers and no label")
    used = sizes > 0
    sizes, labelled, positive = sizes[used], labelled[used], positive[used]
    value = float((sizes * (positive / labelled)).sum()) / total
    rates = rng.beta(positive + 0.5, labelled - positive + 0.5, size=(draws, len(sizes)))
    drawn = (positive + rng.binomial(sizes - labelled, rates)).sum(axis=1) / total
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Corrected(value, min(value, float(low)), max(value, float(high)))


def rest_upper(positive: int, labelled: int) -> float:
    """What 95 % one-sided still allows among answers that look like no leak at all.

    It stands beside the two-phase rate and is not added to it: the rest is large, and a bound
    on it would drown what was found.

    >>> round(rest_upper(0, 200), 3)
    0.015

    Raises:
        ValueError: There is no label, or more leaks than labels.
    """
    return upper_limit(positive, labelled)
