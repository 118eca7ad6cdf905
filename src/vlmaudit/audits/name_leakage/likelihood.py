"""Names by their likelihood as answers: identity inference for models that speak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Final

import numpy as np
from jaxtyping import Float

from vlmaudit.audits.comparable import Faces, declare, matched_strata, too_few
from vlmaudit.audits.name_leakage.finding import Likelihoods, PersonRow
from vlmaudit.audits.name_leakage.observed import Scored
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.audits.shares import share
from vlmaudit.data.candidates import stratum
from vlmaudit.data.identities import Person
from vlmaudit.data.names import fold_name
from vlmaudit.stats.association import Association, NoEvidence, associate

HARDLY: Final = 0.05
"""Named in fewer answers than that, somebody is hardly named."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What the likelihoods of names say of one person.

    Attributes:
        rank: Of the true name among decoys of its stratum, by mean log-likelihood; ties count
            against it.
        exposure: log2 of the names over the rank (Carlini et al. 2019).
        test: Face against name, beside what either does by itself; None where it cannot be made.
        note: Why not.
        p_adjusted: Over everybody tested.
        known: Whether the person is declared known by it; None without a test.
    """

    rank: int
    exposure: float
    test: Association | None
    note: str = ""
    p_adjusted: float | None = None
    known: bool | None = None


def weigh(
    scored: Scored, persons: Sequence[Person], settings: NameLeakage
) -> dict[str, Likelihood]:
    """What the likelihoods say of everybody who has some (STATISTICS section 1).

    Decoys are names of nobody in the study; the faces compared with are the study's other people
    of the stratum, with equally many pictures.
    """
    faces = Faces(scored.pictures, settings.seed)
    matched = matched_strata(
        [*persons, *(name for names in scored.candidates.values() for name in names)],
        settings.pool,
    )
    strata: dict[str, list[Person]] = {}
    for person in persons:
        if person.identity in scored.pictures:
            key = stratum(person.sex, person.origin, settings.pool)
            strata.setdefault(key, []).append(person)
    taken = {fold_name(name) for person in persons for name in (person.name, *person.aliases)}
    found: dict[str, Likelihood] = {}
    for key, members in strata.items():
        folded = [fold_name(candidate.name) for candidate in scored.candidates[key]]
        decoys = [place for place, name in enumerate(folded) if name not in taken]
        own = {person.identity: folded.index(fold_name(person.name)) for person in members}
        for person in members:
            found[person.identity] = _weigh_one(
                person, members, faces, [own[person.identity], *decoys], is_matched=key in matched
            )
    return _declared(found, settings.alpha)


def _weigh_one(
    person: Person,
    members: Sequence[Person],
    faces: Faces,
    columns: Sequence[int],
    *,
    is_matched: bool,
) -> Likelihood:
    names: Float[np.ndarray, " names"] = faces.means(
        [person.identity], faces.count(person.identity)
    )[0, columns]
    rank = 1 + int(np.count_nonzero(names[1:] >= names[0]))
    exposure = log2(len(names)) - log2(rank)
    bank = [one.identity for one in members]
    n_pictures = faces.shared(person.identity, bank)
    others = [one for one in bank if one != person.identity and faces.count(one) >= n_pictures]
    if refusal := too_few(len(others), len(names) - 1):
        return Likelihood(rank, exposure, None, refusal.reason)
    scores = faces.means([person.identity, *others], n_pictures)[:, columns]
    test = associate(scores, cells=True)
    if isinstance(test, NoEvidence):
        return Likelihood(rank, exposure, None, test.reason)
    note = "" if is_matched else "not matched by sex and origin: p may be too small"
    return Likelihood(rank, exposure, test, note)


def _declared(found: dict[str, Likelihood], alpha: float) -> dict[str, Likelihood]:
    tests = {key: one.test for key, one in found.items() if one.test and not one.note}
    for key, (known, q) in zip(tests, declare(list(tests.values()), alpha), strict=True):
        found[key] = replace(found[key], p_adjusted=q, known=known)
    return found


def summed_up(
    found: Mapping[str, Likelihood],
    people: Sequence[PersonRow],
    scored: Scored,
    prompts: Sequence[str],
) -> Likelihoods | None:
    """What the likelihoods say of the study as a whole."""
    if not found:
        return None
    decided = [one for one in found.values() if one.known is not None]
    return Likelihoods(
        prompts=list(prompts),
        candidates=sum(map(len, scored.candidates.values())),
        people=len(found),
        known=share([float(bool(one.known)) for one in decided]),
        first=share([float(one.rank == 1) for one in found.values()]),
        mean_exposure=float(np.mean([one.exposure for one in found.values()])),
        hidden=sum(
            bool(row.known_by_likelihood) and (row.rate is None or row.rate < HARDLY)
            for row in people
        ),
    )
