"""What speaks for each person being known: votes, and a test of face against name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float

from vlmaudit.audits.comparable import Faces, matched_strata, too_few
from vlmaudit.audits.identity_inference.observed import Choices, Embeddings
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.identity_inference.votes import (
    PersonVotes,
    VoteTable,
    by_stratum,
    decoys_of_strata,
    own_names,
    votes_among_decoys,
    votes_in_paper_pool,
    votes_of_choices,
)
from vlmaudit.data.candidates import stratum
from vlmaudit.data.identities import Person
from vlmaudit.stats.association import Association, NoEvidence, associate, associate_many
from vlmaudit.stats.votes import NO_NAME, vote_counts

NOT_ASKED: Final = NoEvidence("no picture of theirs could be asked")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one audited person.

    Attributes:
        votes: Votes in the protocol's own pool; None if there are none.
        paper_votes: Votes in the paper's pool; None if there are none.
        test: The test of face against name, or why it could not be made.
        is_matched: Whether the names and people compared with are of the person's own sex and
            origin, all of them.
        pictures: Answered pictures.
        failed: Pictures without an answer.
        audit_votes: Votes among the decoys of the person's own stratum; None if there are none.
    """

    person: Person
    votes: PersonVotes | None
    paper_votes: PersonVotes | None
    test: Association | NoEvidence
    is_matched: bool
    pictures: int
    failed: int
    audit_votes: PersonVotes | None = None


def weigh_embeddings(observed: Embeddings, settings: IdentityInference) -> list[Evidence]:
    """The evidence on everybody, from embeddings."""
    paper = votes_in_paper_pool(observed, size=settings.paper_pool, seed=settings.seed)
    decoys = votes_among_decoys(observed, settings.pool)
    own = {"audit": decoys, "paper": paper}[settings.protocol]
    tests = _associate_all(observed, settings)
    matched = matched_strata(
        [*observed.study.people, *observed.study.controls, *observed.study.candidates],
        settings.pool,
    )
    failed = observed.study.failed()
    return [
        Evidence(
            person=person,
            votes=own.get(person.identity),
            paper_votes=paper.get(person.identity),
            test=tests.get(person.identity, NOT_ASKED),
            is_matched=stratum(person.sex, person.origin, settings.pool) in matched,
            pictures=len(observed.study.images[person.identity]),
            failed=failed.get(person.identity, 0),
            audit_votes=decoys.get(person.identity),
        )
        for person in observed.study.people
    ]


def weigh_choices(choices: Choices, settings: IdentityInference) -> list[Evidence]:
    """The evidence on everybody, from the choices of a label-only model."""
    study = choices.study
    return weigh_votes(
        votes_of_choices(choices, settings.pool, settings.templates),
        study.people,
        settings,
        controls=study.controls,
        failed=study.failed(),
    )


def weigh_votes(
    table: VoteTable,
    persons: Sequence[Person],
    settings: IdentityInference,
    *,
    controls: Sequence[Person] = (),
    failed: Mapping[str, int] = MappingProxyType({}),
) -> list[Evidence]:
    """The evidence on everybody, from votes.

    The paper's part is whole. The test is made on vote counts instead of similarities, and only
    if the pool of names is known.

    Args:
        table: The votes of these people, and of the controls.
        persons: The audited.
        settings: The protocol and its parameters.
        controls: Whom faces are compared with; without any, the study's other people.
        failed: How much of everybody's could not be asked.
    """
    tests = _associate_counts(table, persons, settings, controls)
    pool = table.pool.values() if table.pool is not None else ()
    matched = matched_strata([*persons, *controls, *pool], settings.pool)
    return [
        Evidence(
            person=person,
            votes=votes,
            paper_votes=votes,
            test=tests.get(person.identity, NOT_ASKED),
            is_matched=stratum(person.sex, person.origin, settings.pool) in matched,
            pictures=0 if votes is None else len(votes.codes),
            failed=failed.get(person.identity, 0),
            audit_votes=votes,
        )
        for person in persons
        for votes in [table.votes.get(person.identity)]
    ]


def _associate_all(
    observed: Embeddings, settings: IdentityInference
) -> dict[str, Association | NoEvidence]:
    """The test of everybody who has answered pictures, or why it cannot be made."""
    pool = settings.pool
    decoys = decoys_of_strata(observed.study, pool)
    own_name = own_names(observed.study)
    texts = observed.texts.mean(axis=1, dtype=np.float64)
    faces = Faces(observed.pictures, settings.seed)
    found: dict[str, Association | NoEvidence] = {}
    for key, persons in by_stratum(observed, pool).items():
        names = texts[decoys.get(key, np.empty(0, np.int64))]
        bank = [
            control.identity
            for control in (observed.study.controls or persons)
            if stratum(control.sex, control.origin, pool) == key
            and control.identity in observed.pictures
        ]
        alike: dict[int, list[Person]] = {}
        for person in persons:
            alike.setdefault(faces.shared(person.identity, bank), []).append(person)
        for n_pictures, group in alike.items():
            enough = [one for one in bank if faces.count(one) >= n_pictures]
            n_others = len(enough) - (0 if observed.study.controls else 1)
            if refusal := too_few(n_others, len(names)):
                found |= {person.identity: refusal for person in group}
                continue
            rows = faces.means([person.identity for person in group], n_pictures)
            controls = faces.means(enough, n_pictures)
            own = texts[[own_name[person.identity] for person in group]]
            tests = (
                _against_controls(rows, own, controls, names)
                if observed.study.controls
                else _against_each_other(rows, own, controls, names)
            )
            found |= {person.identity: test for person, test in zip(group, tests, strict=True)}
    return found


def _against_controls(
    faces: Float[np.ndarray, "people dim"],
    own: Float[np.ndarray, "people dim"],
    controls: Float[np.ndarray, "controls dim"],
    names: Float[np.ndarray, "names dim"],
) -> list[Association | NoEvidence]:
    return associate_many(
        controls @ names.T,
        faces @ names.T,
        own @ controls.T,
        np.einsum("pd,pd->p", faces, own),
        cells=True,
    )


def _against_each_other(
    faces: Float[np.ndarray, "people dim"],
    own: Float[np.ndarray, "people dim"],
    everyone: Float[np.ndarray, "others dim"],
    names: Float[np.ndarray, "names dim"],
) -> list[Association | NoEvidence]:
    """Where no control people were given: the study's other people stand in."""
    tests: list[Association | NoEvidence] = []
    for face, name in zip(faces, own, strict=True):
        others = everyone[~(everyone == face).all(axis=1)]
        scores = np.vstack([face, others]) @ np.vstack([name, names]).T
        tests.append(associate(scores, cells=True))
    return tests


def _associate_counts(
    table: VoteTable,
    persons: Sequence[Person],
    settings: IdentityInference,
    controls: Sequence[Person],
) -> dict[str, Association | NoEvidence]:
    """The test on shares of votes, against control people or the study's other people."""
    present = [person for person in persons if person.identity in table.votes]
    if table.pool is None:
        missing = NoEvidence("the pool's names were not given (--names): nothing to rank among")
        return {person.identity: missing for person in present}
    pool = settings.pool
    study = {table.votes[person.identity].own for person in present}
    bank = [person for person in controls or present if person.identity in table.votes]
    strata = [stratum(person.sex, person.origin, pool) for person in bank]
    shares = {person.identity: _vote_shares(table, person.identity) for person in (*present, *bank)}
    found: dict[str, Association | NoEvidence] = {}
    for person in present:
        key = stratum(person.sex, person.origin, pool)
        names = [
            code
            for code, name in table.pool.items()
            if code not in study and stratum(name.sex, name.origin, pool) == key
        ]
        others = [
            shares[other.identity]
            for other, group in zip(bank, strata, strict=True)
            if group == key and other.identity != person.identity
        ]
        columns = [table.votes[person.identity].own, *names]
        found[person.identity] = too_few(len(others), len(names)) or associate(
            np.stack([shares[person.identity], *others])[:, columns], cells=True
        )
    return found


def _vote_shares(table: VoteTable, identity: str) -> Float[np.ndarray, " names"]:
    codes = table.votes[identity].codes
    return vote_counts(codes, len(table.names)) / max(1, int((codes != NO_NAME).sum()))
