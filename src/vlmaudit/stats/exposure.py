"""How high true values rank among made-up ones, and what ranks mean when nothing is known."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from vlmaudit.stats.ranks import midranks

_FEWEST: Final = 3
_TIE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class MeanExposure:
    """The mean exposure of several records.

    Attributes:
        mean: In bits; 1.443 where nothing is known.
        p: How often the mean of so many records that nobody knows comes as high.
        critical: The mean at which p is .05.
    """

    mean: float
    p: float
    critical: float


@dataclass(frozen=True, slots=True)
class CanaryTest:
    """Records that were in by coin against those that were left out.

    Attributes:
        auc: Chance that one that is in scores above one that is not; a tie counts one half.
        p: One-sided, of throwing the same numbers of coins anew.
        p_min: The smallest p that can come out.
    """

    auc: float
    p: float
    p_min: float


@dataclass(frozen=True, slots=True)
class DoseSlope:
    """How exposure rises with how often a record was printed.

    Attributes:
        slope: What a doubling of the dose adds, in bits.
        low: Lower limit of its 95 % interval.
        high: Upper limit.
        p: One-sided, of dealing the doses anew.
        p_min: The smallest p that can come out.
    """

    slope: float
    low: float
    high: float
    p: float
    p_min: float


def exposure_bits(
    higher: Int[np.ndarray, " records"],
    equal: Int[np.ndarray, " records"],
    decoys: Int[np.ndarray, " records"],
) -> Float[np.ndarray, " records"]:
    """Exposure in bits: log2(D + 1) - log2(rank), ties against the true value (Carlini 2019).

    >>> exposure_bits(np.array([0, 3]), np.array([0, 4]), np.array([1023, 1023])).tolist()
    [10.0, 7.0]

    Raises:
        ValueError: More decoys rank at or above the value than there are.
    """
    if ((higher < 0) | (equal < 0) | (higher + equal > decoys)).any():
        raise ValueError("a rank is not among its decoys")
    return np.log2(decoys + 1.0) - np.log2(1.0 + higher + equal)


def record_p(bits: Float[np.ndarray, " records"]) -> Float[np.ndarray, " records"]:
    """How often a record that nobody knows ranks as high: its rank among its decoys and itself.

    >>> record_p(exposure_bits(np.array([4]), np.array([0]), np.array([99]))).round(6).tolist()
    [0.05]
    """
    return np.exp2(-bits)


def mean_exposure(bits: Float[np.ndarray, " records"]) -> MeanExposure:
    """Whether records rank higher than such that nobody knows.

    There, P(bits ≥ t) is 2^-t at most, so that the sum of n independent records is bounded by a
    Gamma(n) over ln 2 (STATISTICS section 9). Records that share a decoy set are independent given
    the decoys; the bound takes decoys for many.

    >>> round(mean_exposure(np.full(20, 2.011)).p, 3)
    0.05

    Raises:
        ValueError: There is no record.
    """
    n = len(bits)
    if not n:
        raise ValueError("no record has an exposure")
    total = float(bits.sum()) * math.log(2)
    return MeanExposure(
        mean=float(bits.mean()),
        p=float(special.gammaincc(n, max(0.0, total))),
        critical=float(special.gammainccinv(n, 0.05)) / (n * math.log(2)),
    )


def dose_slope(
    bits: Float[np.ndarray, " records"],
    doses: Float[np.ndarray, " records"],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> DoseSlope:
    """What a doubling of the dose adds, tested by permuting the doses as they were dealt.

    The interval is Student's with errors that hold where records of a larger dose vary more
    (HC3): records that are known do, the others have the variance of chance.

    Args:
        bits: One a record.
        doses: How often each was printed; more than 0.
        permutations: How many (B).
        rng: Draws them.

    Raises:
        ValueError: Fewer than three records, no two doses, or a dose that is not above 0.
    """
    n = len(bits)
    if n < _FEWEST or not (doses > 0).all() or len(np.unique(doses)) < 2:
        raise ValueError(f"{n} records with doses {sorted(set(doses.tolist()))} have no slope")
    x = np.log2(doses)
    x -= x.mean()
    total = float(x @ x)
    centred = bits - bits.mean()
    slope = float(x @ centred) / total
    leverage = 1 / n + x**2 / total
    # A single record of its dose has leverage 1, and nothing to vary from.
    residual = np.where(leverage < 1 - _TIE, (centred - slope * x) / (1 - leverage + _TIE), 0.0)
    half = float(special.stdtrit(n - 2, 0.975)) * float(np.linalg.norm(x * residual)) / total
    null = rng.permuted(np.tile(x, (permutations, 1)), axis=1) @ centred / total
    as_large = int(np.count_nonzero(null >= slope - _TIE * max(1.0, abs(slope))))
    p = (1 + as_large) / (1 + permutations)
    return DoseSlope(slope, slope - half, slope + half, p, 1 / (1 + permutations))


def canary_test(
    scores: Float[np.ndarray, " canaries"],
    included: Bool[np.ndarray, " canaries"],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> CanaryTest:
    """Whether canaries that were in score above those that were left out.

    Given how many are in, every choice of them was as likely: p is exact whatever model and
    training are.

    Args:
        scores: One a canary, higher for what the model knows better.
        included: What its coin said.
        permutations: How many (B).
        rng: Draws them.

    Raises:
        ValueError: All are in, or none is.
    """
    n1 = int(included.sum())
    n0 = len(included) - n1
    if not n1 or not n0:
        raise ValueError(f"{n1} canaries are in and {n0} are not; a test needs both")
    ranks = midranks(scores)
    orders = rng.permuted(np.tile(included, (permutations, 1)), axis=1)
    sums = orders @ ranks
    observed = float(ranks[included].sum())
    # Sums of midranks are multiples of one half.
    p = (1 + int(np.count_nonzero(sums >= observed - 0.25))) / (1 + permutations)
    return CanaryTest((observed - n1 * (n1 + 1) / 2) / (n1 * n0), p, 1 / (1 + permutations))
