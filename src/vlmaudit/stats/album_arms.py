"""Doses, coins and how often each record is printed: what the planting draws."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


def deal_doses(
    count: int, doses: Sequence[int], rng: np.random.Generator
) -> Int[np.ndarray, " records"]:
    """A dose for each record: every dose as often as any other, to within one, in random order.

    >>> deal_doses(5, (1, 2), np.random.default_rng(0)).tolist()
    [1, 1, 2, 1, 2]
    """
    dealt = np.resize(np.asarray(doses, dtype=np.int64), count)
    return rng.permutation(dealt)


def toss_coins(count: int, rng: np.random.Generator) -> Bool[np.ndarray, " records"]:
    """Each in with probability one half, independently: a one-run bound rests on nothing else."""
    return rng.random(count) < 0.5


def times_printed(doses: Int[np.ndarray, " records"], total: int) -> Int[np.ndarray, " records"]:
    """How often each record is printed, so that doses are kept in proportion and the sum is met.

    Each gets ``dose * total / sum(doses)``, rounded down or up: up where most is lost by rounding
    down, and of equal losses the first.

    >>> times_printed(np.array([1, 2, 4]), 15).tolist()
    [2, 4, 9]

    Args:
        doses: Positive.
        total: How often records are printed in all.
    """
    weight = int(doses.sum())
    if not weight:
        return np.zeros(len(doses), dtype=np.int64)
    times, lost = np.divmod(doses * total, weight)
    short = total - int(times.sum())
    times[np.argsort(-lost, kind="stable")[:short]] += 1
    return times
