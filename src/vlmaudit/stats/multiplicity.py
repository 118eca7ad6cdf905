"""Many people are tested at once: what a family of p-values lets us declare."""

import math

import numpy as np
from jaxtyping import Float


def benjamini_hochberg(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Adjusted p-values; declaring those up to alpha keeps the false discovery rate at alpha.

    Benjamini and Hochberg (1995): the k-th smallest of m is multiplied by m / k, and none may
    exceed a larger one's. (Written out, since importing `scipy.stats` takes a second.)

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    if not ((p >= 0) & (p <= 1)).all():  # also false for NaN
        raise ValueError("p-values must lie between 0 and 1")
    n_tests = len(p)
    order = np.argsort(p)
    scaled = p[order] * n_tests / np.arange(1, n_tests + 1)
    adjusted = np.empty(n_tests)
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return adjusted


def joint_discoveries_needed(n_tests: int, p_min: float, alpha: float) -> int:
    """How many people must be detected together before any of them can be.

    A randomisation p-value cannot fall below `p_min`, so Benjamini-Hochberg rejects nothing until
    ``n_tests * p_min / alpha`` tests reach it together. More than `n_tests` means that this
    family can never declare anybody.

    >>> [joint_discoveries_needed(200, 1 / (1 + decoys), 0.05) for decoys in (1000, 4000)]
    [4, 1]
    """
    if n_tests < 1 or not 0 < p_min <= 1 or not 0 < alpha < 1:
        raise ValueError(f"no such family: n_tests={n_tests}, p_min={p_min}, alpha={alpha}")
    needed = n_tests * p_min / alpha
    # Rounding must not ask for one person more: 7 * 0.01 / 0.01 is 7.000000000000001.
    return math.ceil(needed * (1 - 1e-12))
