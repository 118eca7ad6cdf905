"""Permutations of people within strata, drawn once and used for any subset of the people."""

import itertools
import math
from typing import Final

import numpy as np
from jaxtyping import Bool, Int, UInt

# Permutations drawn at a time: numpy draws 64-bit numbers, which are kept as 16 or 32 bits.
_CHUNK: Final = 1024
# More permutations than anybody draws: it is not counted how many there are beyond.
_MANY: Final = 20


class Permutations:
    """Uniform permutations within groups of people, kept person by person.

    Takes 2 bytes a person and permutation (4 above 65,536 people): 100 MB for 5,000 people and
    9,999 permutations. Few enough people are permuted in all ways but the one that changes
    nothing, which makes a test exact.
    """

    def __init__(
        self,
        groups: list[Int[np.ndarray, " members"]],
        n_people: int,
        *,
        n: int,
        rng: np.random.Generator,
    ) -> None:
        """Draw `n` permutations; people of no group stay where they are."""
        if n_ways(groups) <= n + 1:
            self._to = _all(groups, n_people)
        else:
            self._to = _drawn(groups, n_people, n, rng)
        self.n = self._to.shape[1]

    def places_of(
        self, person: int, present: Bool[np.ndarray, " people"]
    ) -> UInt[np.ndarray, " permutations"]:
        """Whose place a person takes in each permutation, among those who are present.

        Who is absent is passed over, on to where that person goes. What is left of a uniform
        permutation is a uniform permutation of the rest, so one drawing serves all subsets.
        """
        to: UInt[np.ndarray, " permutations"] = self._to[person]
        absent = np.flatnonzero(~present.take(to))
        if absent.size:
            to = to.copy()
        while absent.size:
            to[absent] = self._to[to[absent], absent]
            absent = absent[~present.take(to[absent])]
        return to


def exchangeable_groups(
    strata: Int[np.ndarray, " people"], present: Bool[np.ndarray, " people"]
) -> list[Int[np.ndarray, " members"]]:
    """Who can be swapped with whom: those present of every stratum, if there are two."""
    groups = [np.flatnonzero(present & (strata == stratum)) for stratum in np.unique(strata)]
    return [group for group in groups if len(group) > 1]


def n_ways(groups: list[Int[np.ndarray, " members"]]) -> int:
    """How many permutations there are, counted no further than 20! a group."""
    return math.prod(math.factorial(min(len(group), _MANY)) for group in groups)


def _drawn(
    groups: list[Int[np.ndarray, " members"]],
    n_people: int,
    permutations: int,
    rng: np.random.Generator,
) -> UInt[np.ndarray, "people permutations"]:
    """Uniform permutations within groups; people of no group stay where they are."""
    dtype = np.min_scalar_type(max(n_people - 1, 256))
    to = np.repeat(np.arange(n_people, dtype=dtype)[:, np.newaxis], permutations, axis=1)
    for group in groups:
        for start in range(0, permutations, _CHUNK):
            stop = min(start + _CHUNK, permutations)
            orders = np.tile(group.astype(dtype), (stop - start, 1))
            to[group, start:stop] = rng.permuted(orders, axis=1).T
    return to


def _all(
    groups: list[Int[np.ndarray, " members"]], n_people: int
) -> UInt[np.ndarray, "people permutations"]:
    """Every permutation within groups but the one that changes nothing."""
    within = [list(itertools.permutations(group)) for group in groups]
    to = np.arange(n_people, dtype=np.uint32)
    columns = []
    for choice in itertools.islice(itertools.product(*within), 1, None):
        column = to.copy()
        for group, order in zip(groups, choice, strict=True):
            column[group] = order
        columns.append(column)
    return np.array(columns, dtype=np.uint32).reshape(len(columns), n_people).T
