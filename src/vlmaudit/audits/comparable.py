"""The association test in a study: who is compared with whom, and who is declared (section 1)."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float

from vlmaudit.data.candidates import Candidate, Pool, stratum
from vlmaudit.data.identities import Person
from vlmaudit.seeds import stream
from vlmaudit.stats.association import NoEvidence
from vlmaudit.stats.multiplicity import benjamini_hochberg

MIN_FACES: Final = 19
MIN_NAMES: Final = 199
"""Fewer cannot carry a claim at 5 %, however clear the picture (1 / (1 + F) = .05)."""


def matched_strata(everyone: Sequence[Person | Candidate], pool: Pool) -> set[str]:
    """The strata in which sex and origin are known and one: only there are names exchangeable."""
    kinds: dict[str, set[tuple[str, str]]] = {}
    for one in everyone:
        kinds.setdefault(stratum(one.sex, one.origin, pool), set()).add((one.sex, one.origin))
    return {key for key, kind in kinds.items() if len(kind) == 1 and all(*kind)}


def too_few(n_faces: int, n_names: int) -> NoEvidence | None:
    """Why so few cannot be compared with; None where they are enough."""
    if n_faces >= MIN_FACES and n_names >= MIN_NAMES:
        return None
    return NoEvidence(
        f"too few matched people or names ({n_faces} people, {n_names} names; "
        f"at least {MIN_FACES} and {MIN_NAMES} are needed)"
    )


class Ranked(Protocol):
    """A test of one person: its p-value, how small it could be, and the finer rank."""

    @property
    def p(self) -> float: ...
    @property
    def p_min(self) -> float: ...
    @property
    def p_cell(self) -> float | None: ...


def declare(tests: Sequence[Ranked], alpha: float) -> list[tuple[bool, float]]:
    """Whom a family of tests declares, each with an adjusted p-value.

    Where too few controls make p too coarse for so many people, Benjamini-Hochberg goes over
    p_cell, which is finer, and a person must reach alpha by the test itself as well.
    """
    if not tests:
        return []
    p = np.array([test.p for test in tests])
    is_coarse = max(test.p_min for test in tests) > alpha / len(tests)
    cells = [test.p_cell for test in tests if test.p_cell is not None]
    ranked = np.array(cells) if is_coarse and len(cells) == len(tests) else p
    adjusted = benjamini_hochberg(ranked)
    return [
        (bool(q <= alpha and own <= alpha), float(q)) for q, own in zip(adjusted, p, strict=True)
    ]


class Faces:
    """Mean embeddings of a person's first pictures, in a seeded order."""

    def __init__(
        self, pictures: Mapping[str, Float[np.ndarray, "pictures dim"]], seed: int
    ) -> None:
        """Take everybody's vectors, a row a picture."""
        self._pictures = pictures
        self._seed = seed

    def count(self, identity: str) -> int:
        """How many pictures somebody has."""
        return len(self._pictures[identity])

    def shared(self, identity: str, bank: Sequence[str]) -> int:
        """How many pictures to use: as many as the person has and nine of ten controls have.

        The mean of few pictures is noisier than that of many, so a face and its controls must
        rest on the same number.
        """
        counts = sorted(self.count(one) for one in bank if one != identity)
        nearly_all = counts[len(counts) // 10] if counts else self.count(identity)
        return min(self.count(identity), nearly_all)

    def means(self, identities: Sequence[str], n_pictures: int) -> Float[np.ndarray, "people dim"]:
        """The mean of so many pictures of each person."""
        return np.stack([self._mean(identity, n_pictures) for identity in identities])

    def _mean(self, identity: str, n_pictures: int) -> Float[np.ndarray, " dim"]:
        pictures = self._pictures[identity]
        order = stream(self._seed, "pictures", identity).permutation(len(pictures))
        return pictures[order[:n_pictures]].mean(axis=0, dtype=np.float64)
