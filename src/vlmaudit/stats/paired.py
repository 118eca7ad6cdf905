"""Paired differences: the same people under two models, or under two conditions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

from vlmaudit.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Whether differences lie on one side of 0, tested by flipping their signs."""

    mean: float
    p: float  # one-sided: the mean is above 0
    p_min: float
    null_n: int
    n: int


def sign_flip(
    differences: Float[np.ndarray, " people"],
    *,
    rng: np.random.Generator,
    n_permutations: int = 9999,
) -> SignFlip:
    """The mean difference, and how often flipped signs give one as large.

    Where nothing but chance decided under which of the two somebody was planted, each difference
    could as well have had the other sign (STATISTICS section 4). p is (1 + #{null >= observed}) /
    (1 + n_permutations); ties count against.

    >>> found = sign_flip(np.array([1.0, 2.0, 3.0]), rng=np.random.default_rng(0))
    >>> found.mean, 0.1 < found.p < 0.15  # an eighth of all flips
    (2.0, True)

    Raises:
        ValueError: There is no difference, or one is not finite.
    """
    if differences.size == 0 or not np.isfinite(differences).all():
        raise ValueError("differences must be finite, and there must be one")
    observed = float(differences.mean())
    scale = float(np.abs(differences).max())
    signs = rng.integers(0, 2, (n_permutations, len(differences)), np.int8) * 2 - 1
    null = signs @ differences / len(differences)
    as_large = int((null >= observed - 1e-12 * scale).sum())
    return SignFlip(
        mean=observed,
        p=(1 + as_large) / (1 + n_permutations),
        p_min=1 / (1 + n_permutations),
        null_n=n_permutations,
        n=len(differences),
    )


def mean_interval(
    differences: Float[np.ndarray, " people"], confidence: float = 0.95
) -> Interval | None:
    """Student's interval of a mean of differences; None for fewer than two.

    >>> limits = mean_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(limits.low, 3), round(limits.high, 3)
    (-0.484, 4.484)
    """
    n = len(differences)
    if n < 2:
        return None
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * float(
        differences.std(ddof=1) / np.sqrt(n)
    )
    mean = float(differences.mean())
    return Interval(mean - half, mean + half)
