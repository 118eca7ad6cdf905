"""Random assignment of people to arms, and the test that draws it again.

The same code plants people and permutes later: what is exact about a randomisation test is
that its null is the assignment that was really used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from jaxtyping import Float, Real

from vlmaudit.seeds import stream
from vlmaudit.stats.ranks import midranks

_BLOCK: Final = 1000  # plantings ranked at once: memory stays at some tens of megabytes
_Correlations = Float[np.ndarray, " plantings"]


def assign(
    strata: Sequence[str], arms: Mapping[str, int], *, rng: np.random.Generator
) -> list[str]:
    """An arm for every unit: arms exact in size, and balanced within every stratum.

    A stratum of n units gets n * size / total units of each arm, rounded down or up, and
    which way is drawn such that every unit, whatever its stratum, has exactly the same
    probability size / total of each arm. The same generator state gives the same arms.

    >>> assign(["women", "men", "women", "men"], {"seen": 2, "unseen": 2},
    ...        rng=np.random.default_rng(4))
    ['seen', 'unseen', 'unseen', 'seen']

    Args:
        strata: The stratum of each unit.
        arms: How many units each arm gets, in total.
        rng: Where the randomness comes from.

    Raises:
        ValueError: The arms' sizes are negative or do not add up to the number of units.
    """
    if min(arms.values(), default=0) < 0 or sum(arms.values()) != len(strata):
        raise ValueError(f"arms {dict(arms)} do not share out {len(strata)} units")
    if not strata:
        return []
    kinds = {stratum: place for place, stratum in enumerate(sorted(set(strata)))}
    stratum_of = np.array([kinds[stratum] for stratum in strata])
    table = _balanced_table(np.bincount(stratum_of).tolist(), list(arms.values()), rng)
    # Units by stratum, in random order within it, meet the arms in the table's order.
    shuffled = np.lexsort((rng.random(len(strata)), stratum_of))
    arm_of = np.empty(len(strata), dtype=np.int64)
    arm_of[shuffled] = np.repeat(np.tile(np.arange(len(arms)), len(kinds)), np.ravel(table))
    names = list(arms)
    return [names[arm] for arm in arm_of.tolist()]


def planted_arms(strata: Sequence[str], arms: Mapping[str, int], *, seed: int) -> list[str]:
    """The arms that a study's seed plants: the lab asks when it plants, an audit when it checks."""
    return assign(strata, arms, rng=stream(seed, "arms"))


def latin_square(
    strata: Sequence[str],
    ladders: Mapping[str, Sequence[str]],
    *,
    target: int,
    rng: np.random.Generator,
) -> list[str]:
    """An arm for every unit in one of several targets, so that over all targets each has each.

    A stratum's units stand in random order around a circle of as many arms as there are targets;
    from one target to the next everybody moves on by one arm. Every unit has every arm of its
    stratum's ladder once, and in each target a stratum's arms are equal in size to within one.
    The same generator state gives the same square for all targets.

    >>> square = [latin_square(["a", "a"], {"a": ("0", "5")}, target=target,
    ...                        rng=np.random.default_rng(1)) for target in (0, 1)]
    >>> square
    [['0', '5'], ['5', '0']]

    Args:
        strata: The stratum of each unit.
        ladders: The arms of each stratum, one a target; an arm may stand there more than once.
        target: Which target, from 0.
        rng: Where the randomness comes from.

    Raises:
        ValueError: A stratum has no ladder.
    """
    arms = [""] * len(strata)
    for stratum in sorted(set(strata)):
        if stratum not in ladders:
            raise ValueError(f'stratum "{stratum}" has no ladder')
        ladder = ladders[stratum]
        units = [unit for unit, own in enumerate(strata) if own == stratum]
        first = int(rng.integers(len(ladder)))
        for place, unit in enumerate(rng.permutation(units).tolist(), start=first):
            arms[unit] = ladder[(place + target) % len(ladder)]
    return arms


def laddered_arms(
    strata: Sequence[str], ladders: Mapping[str, Sequence[str]], *, target: int, seed: int
) -> list[str]:
    """The arms that a ladder's seed plants in one target: asked when planting and when checking."""
    return latin_square(strata, ladders, target=target, rng=stream(seed, "ladder"))


def exchange(arms: Sequence[str], strata: Sequence[str], *, rng: np.random.Generator) -> list[str]:
    """Arms after planted units have changed places with units that never were.

    Within each stratum, as many pairs change places as there are of both.

    >>> exchange(["never", "paired 5"], ["a", "a"], rng=np.random.default_rng(0))
    ['paired 5', 'never']
    """
    after = list(arms)
    for stratum in sorted(set(strata)):
        inside = [place for place, own in enumerate(strata) if own == stratum]
        never = [place for place in inside if arms[place] == "never"]
        members = [place for place in inside if arms[place].startswith("paired ")]
        for one, other in zip(
            rng.permutation(never).tolist(), rng.permutation(members).tolist(), strict=False
        ):
            after[one], after[other] = arms[other], arms[one]
    return after


def swapped_arms(
    arms: Sequence[str], strata: Sequence[str], *, target: int, seed: int
) -> list[str]:
    """The arms of a target's swapped twin: asked when planting and when checking."""
    return exchange(arms, strata, rng=stream(seed, "swapped", target))


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """Whether scores rise with the planted dose, tested by planting again on paper."""

    value: float  # Spearman's correlation within strata, from -1 to 1
    p: float  # one-sided: scores rise with the dose
    p_min: float
    null_n: int
    n: int  # units in strata where dose and score both vary


def dose_response(
    doses: Real[np.ndarray, " people"],
    scores: Real[np.ndarray, " people"],
    strata: Sequence[str],
    *,
    redraw: Callable[[np.random.Generator], Real[np.ndarray, " people"]],
    rng: np.random.Generator,
    n_permutations: int = 9999,
) -> DoseResponse:
    """Spearman's correlation of dose and score within strata, against re-drawn plantings.

    Doses and scores are ranked within each stratum, the ranks divided by its size and centred,
    and correlated over everybody: a stratum of large doses and large scores shows nothing by
    itself. The null re-draws the whole assignment by its own code, so that the p-value
    (1 + #{null >= observed}) / (1 + n_permutations) is exact whatever the scores are. A stratum
    without variation says nothing and is not counted in `n`; if none varies, p is 1.

    Args:
        doses: How often each person was really planted.
        scores: What the audit found for each.
        strata: Within which the doses were randomised.
        redraw: Plants again, by the code that planted: new doses for everybody.
        rng: Where the randomness comes from.
        n_permutations: How many plantings are re-drawn.

    Raises:
        ValueError: The arrays differ in length, or a score is not finite.
    """
    if not len(doses) == len(scores) == len(strata):
        raise ValueError(f"{len(doses)} doses, {len(scores)} scores, {len(strata)} strata")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: a failed person must be left out beforehand")
    labels = np.asarray(strata, dtype=str)
    members = [np.flatnonzero(labels == stratum) for stratum in np.unique(labels)]
    score_ranks = [_centred_ranks(scores[inside]) for inside in members]
    score_square = sum(float((ranks**2).sum()) for ranks in score_ranks)

    def correlations(plantings: Real[np.ndarray, "plantings people"]) -> _Correlations:
        products, dose_square = np.zeros(len(plantings)), np.zeros(len(plantings))
        for inside, of_scores in zip(members, score_ranks, strict=True):
            of_doses = _centred_ranks(plantings[:, inside])
            products += of_doses @ of_scores
            dose_square += (of_doses**2).sum(axis=1)
        scale = np.sqrt(dose_square * score_square)
        return np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0)

    observed = float(correlations(doses[None])[0])
    as_large = 0
    for done in range(0, n_permutations, _BLOCK):
        size = min(_BLOCK, n_permutations - done)
        null = correlations(np.stack([redraw(rng) for _ in range(size)]))
        # Correlations are of order 1: nearer than this is a tie, and ties count against.
        as_large += int((null >= observed - 1e-12).sum())
    varying = [
        len(inside)
        for inside, of_scores in zip(members, score_ranks, strict=True)
        if of_scores.any() and np.ptp(doses[inside]) > 0
    ]
    return DoseResponse(
        value=observed,
        p=(1 + as_large) / (1 + n_permutations),
        p_min=1 / (1 + n_permutations),
        null_n=n_permutations,
        n=sum(varying),
    )


def _centred_ranks(values: Real[np.ndarray, "*rows n"]) -> Float[np.ndarray, "*rows n"]:
    """Ranks as shares of the stratum, mean 0; all 0 where nothing varies."""
    n = values.shape[-1]
    return (midranks(values) - (n + 1) / 2) / n


def _balanced_table(
    counts: Sequence[int], sizes: Sequence[int], rng: np.random.Generator
) -> list[list[int]]:
    """Units of each arm in each stratum: exact margins, fair shares rounded down or up at random.

    This is dependent rounding (Gandhi et al. 2006): the fractional parts are shifted around a
    cycle of rows and columns, which keeps all margins, in one of two directions, drawn such that
    no share changes in expectation, until nothing is fractional. Parts are kept as whole numbers
    of 1/total, so nothing is lost to rounding. Lists, because the tables are tiny and a
    permutation test makes thousands of them.
    """
    total = sum(counts)
    table = [[count * size // total for size in sizes] for count in counts]
    parts = [[count * size % total for size in sizes] for count in counts]
    while cycle := _fractional_cycle(parts):
        rising, falling = cycle[0::2], cycle[1::2]
        left = [parts[row][column] for row, column in falling]
        right = [parts[row][column] for row, column in rising]
        up = min(*left, *(total - part for part in right))
        down = min(*right, *(total - part for part in left))
        shift = up if rng.random() * (up + down) < down else -down
        for cells, change in ((rising, shift), (falling, -shift)):
            for row, column in cells:
                carried, parts[row][column] = divmod(parts[row][column] + change, total)
                table[row][column] += carried
    return table


def _fractional_cycle(parts: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Fractional cells on a closed walk that turns alternately in a row and in a column.

    Fractional parts add up to whole numbers in every row and column, so a row or column with
    one of them has two: a walk that never turns back cannot get stuck, and must close. Empty if
    nothing is fractional.
    """
    start = next((row for row, cells in enumerate(parts) if any(cells)), None)
    if start is None:
        return []
    # Rows are the nodes 0, 1, … and columns -1, -2, …; fractional cells are the edges.
    walk, before = [start], None
    while walk[-1] not in walk[:-1]:
        here = walk[-1]
        cells = parts[here] if here >= 0 else [row[-1 - here] for row in parts]
        onward = next(
            node
            for place, part in enumerate(cells)
            if part and (node := -1 - place if here >= 0 else place) != before
        )
        before = here
        walk.append(onward)
    closed = walk[walk.index(walk[-1]) :]
    return [(max(pair), -1 - min(pair)) for pair in pairwise(closed)]
