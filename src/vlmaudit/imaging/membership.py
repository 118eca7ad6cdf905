"""Whose faces are in pictures: similarity to people's own faces, and a threshold that is earned.

A threshold at so many false matches a pair says little about a search: a person who is compared
with 500 faces meets 500 chances of a false match. So the threshold here is set by what a search
makes of it: the share of people who would be found although no picture of theirs is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from vlmaudit.errors import InputError
from vlmaudit.stats.intervals import Interval, clopper_pearson

LEAST_NON_MATCHES: Final = 100
"""Known non-matches below which there is no threshold to speak of."""
_BLOCK: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """Faces whose owners are known.

    Attributes:
        faces: Unit vectors, as a recogniser describes them.
        owners: Whose they are, as numbers from 0.
        n_people: How many people there are; somebody may have no face.
    """

    faces: Float[np.ndarray, "faces dim"]
    owners: Int[np.ndarray, " faces"]
    n_people: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """The cosine above which a face counts as a person's.

    Attributes:
        cosine: A face must be above it.
        wanted: The share of false matches that was aimed at.
        false_matches: Known non-matches above it.
        non_matches: How many it rests on.
    """

    cosine: float
    wanted: float
    false_matches: int
    non_matches: int

    @property
    def rate(self) -> Interval:
        """The 95 % interval of the share of non-matches that pass.

        Too narrow in that it takes comparisons for independent, which share faces.
        """
        return clopper_pearson(self.false_matches, self.non_matches)

    @property
    def is_supported(self) -> bool:
        """Whether there were enough non-matches to tell the share aimed at from none at all."""
        return self.wanted * self.non_matches >= 1


def similarities(
    faces: Float[np.ndarray, "faces dim"], references: References
) -> Float[np.ndarray, "faces people"]:
    """How similar each face is to each person: the cosine of the most similar face of theirs.

    Args:
        faces: Unit vectors.
        references: Everybody's faces.

    Returns:
        Minus infinity for whoever has no face.
    """
    result = np.full((len(faces), references.n_people), -np.inf, dtype=np.float32)
    order = np.argsort(references.owners, kind="stable")
    owners, first = np.unique(references.owners[order], return_index=True)
    if not len(owners):
        return result
    known = references.faces[order]
    for start in range(0, len(faces), _BLOCK):
        cosines = faces[start : start + _BLOCK] @ known.T
        result[start : start + _BLOCK, owners] = np.maximum.reduceat(cosines, first, axis=1)
    return result


def known_non_matches(
    references: References,
    others: Float[np.ndarray, "others dim"] | None = None,
    *,
    which: Bool[np.ndarray, " faces"] | None = None,
) -> Float[np.ndarray, " comparisons"]:
    """Similarities of faces to people whose they are not: everybody's faces to everybody else.

    They are compared as the faces of a search are, so that the highest of several similarities is
    taken on both sides.

    Args:
        references: The study's people.
        others: Faces of people outside the study.
        which: Which of the study's faces are compared with everybody else; None: all.
    """
    within = similarities(references.faces, references)
    within[np.arange(len(within)), references.owners] = -np.inf
    parts = [(within if which is None else within[which]).reshape(-1)]
    if others is not None and len(others):
        parts.append(similarities(others, references).reshape(-1))
    scores = np.concatenate(parts)
    return scores[np.isfinite(scores)]


def refuse_too_few(non_matches: Float[np.ndarray, " comparisons"]) -> None:
    """See to it that there are known non-matches enough for a threshold.

    Raises:
        InputError: They are too few.
    """
    if len(non_matches) < LEAST_NON_MATCHES:
        raise InputError(
            f"{len(non_matches)} comparisons of faces with people whose they are not, fewer than "
            f"{LEAST_NON_MATCHES}: no threshold can be told from them; give more people, or more "
            "pictures of them in which a face is found, or people besides the study (--controls)."
        )


def calibrate(non_matches: Float[np.ndarray, " comparisons"], *, wanted: float) -> Threshold:
    """The lowest threshold that no more than a share of known non-matches passes.

    It is one of the similarities seen, never between two of them. Where a share is smaller than
    one comparison can show, nothing that was seen passes, and `Threshold.is_supported` is false.

    Args:
        non_matches: Similarities of faces to people whose they are not.
        wanted: Share of them that may pass.

    Raises:
        InputError: They are too few.
        ValueError: The share is not between 0 and 1.
    """
    if not 0 < wanted < 1:
        raise ValueError(f"share {wanted} of non-matches")
    refuse_too_few(non_matches)
    ranked = np.sort(non_matches)
    allowed = int(np.floor(wanted * len(ranked)))
    cosine = float(ranked[len(ranked) - 1 - allowed])
    return Threshold(cosine, wanted, int((ranked > cosine).sum()), len(ranked))


def wanted_rate(compared: Sequence[int], *, false_members: float) -> float:
    """The share of false matches at which a share of absent people would be found.

    By the union bound over a person's comparisons, averaged over people: it holds however faces
    depend on one another, as long as they are no more alike than the known non-matches are.

    >>> wanted_rate([100, 300], false_members=0.01)
    5e-05

    Args:
        compared: Faces that each person was compared with.
        false_members: Share of absent people who may be found.
    """
    return min(0.5, false_members * len(compared) / max(1, sum(compared)))


def is_match(
    similarity: Float[np.ndarray, "faces people"],
    is_compared: Bool[np.ndarray, "faces people"],
    threshold: Threshold,
) -> Bool[np.ndarray, "faces people"]:
    """Whose each face is: nobody's, or one person's.

    A face is of one person: only of the most similar of all people, whomever it was found for.
    Where two are equally similar it is nobody's.

    Args:
        similarity: Of each face to everybody.
        is_compared: Whether a face was found in a picture that was a candidate for the person.
        threshold: What similarity it takes.
    """
    best = similarity.max(axis=1, keepdims=True, initial=-np.inf)
    is_nearest = (similarity == best) & ((similarity == best).sum(axis=1, keepdims=True) == 1)
    return is_nearest & is_compared & (similarity > threshold.cosine)
