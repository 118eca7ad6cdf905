"""A lower bound on ε from one training run (Steinke, Nasr and Jagielski 2023, appendix D).

It holds only for records that were each in with probability one half, independently, by coins that
were thrown before the training, and for a number of guesses that was fixed before looking.
"""

import math
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

_LARGEST: Final = 40.0
_STEPS: Final = 60


def guess_canaries(
    scores: Float[np.ndarray, " canaries"],
    included: Bool[np.ndarray, " canaries"],
    guesses: int,
) -> int:
    """How many guesses agree with the coins: the top half in, the bottom half out.

    Args:
        scores: One a canary, higher for what the model knows better. Ties are broken by order,
            which knows nothing of coins.
        included: What its coin said.
        guesses: How many (r), fixed beforehand; an odd one leaves the last undecided one out.

    Raises:
        ValueError: More guesses than canaries.
    """
    if not 0 < guesses <= len(scores):
        raise ValueError(f"{guesses} guesses on {len(scores)} canaries")
    order = np.argsort(-scores, kind="stable")
    half = guesses // 2
    return int(included[order[:half]].sum() + (~included[order[len(order) - half :]]).sum())


def epsilon_lower_bound(
    right: int, guesses: int, canaries: int, *, delta: float = 0.0, alpha: float = 0.05
) -> float:
    """The largest ε that so many right guesses rule out at level `alpha`; 0 for none.

    >>> [round(epsilon_lower_bound(r, r, r), 3) for r in (20, 40, 100, 1000)]
    [1.823, 2.554, 3.493, 5.809]
    >>> round(epsilon_lower_bound(75, 100, 100), 3)
    0.702

    Args:
        right: Guesses that agree with the coins (v).
        guesses: Guesses made (r).
        canaries: All canaries (m).
        delta: The δ of (ε, δ).
        alpha: Level of the test.

    Raises:
        ValueError: These numbers cannot be.
    """
    if not 0 <= right <= guesses <= canaries or not guesses or not 0 <= delta < 1:
        raise ValueError(f"{right} right of {guesses} guesses on {canaries} canaries, δ {delta}")
    if _p_value(0.0, right, guesses, canaries, delta) > alpha:
        return 0.0
    low, high = 0.0, _LARGEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _p_value(middle, right, guesses, canaries, delta) <= alpha:
            low = middle
        else:
            high = middle
    return low


def _p_value(epsilon: float, right: int, guesses: int, canaries: int, delta: float) -> float:
    """Most probable extent to which an (ε, δ)-private training lets so many guesses be right."""
    q = 1 / (1 + math.exp(-epsilon))
    # P[Bin(r, q) ≥ k] for k from 0 to v.
    at_least = np.ones(right + 1)
    if right:
        k = np.arange(1, right + 1)
        at_least[1:] = special.betainc(k, guesses - k + 1, q)
    p = float(at_least[right])
    if delta and right:
        i = np.arange(1, right + 1)
        between = at_least[right - i] - at_least[right]
        p += 2 * canaries * delta * float((between / i).max())
    return min(1.0, p)
