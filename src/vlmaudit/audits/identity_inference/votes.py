"""Votes: which candidate name each picture and template chose."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Int

from vlmaudit.audits.identity_inference.observed import Choices, Embeddings, Study
from vlmaudit.data.candidates import Candidate, Pool, paper_pool, stratum
from vlmaudit.data.identities import Person
from vlmaudit.data.names import fold_name
from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError
from vlmaudit.stats.similarity import beats, nearest
from vlmaudit.stats.votes import NO_NAME

_COLUMNS: Final = ("identity", "image", "template", "predicted")


@dataclass(frozen=True, slots=True)
class PersonVotes:
    """One person's votes in one pool of names.

    Attributes:
        codes: The chosen name's number, or `NO_NAME` where there is no vote.
        own: The number of the person's true name.
        pool_size: How many names there were to choose from, the true one included.
    """

    codes: Int[np.ndarray, "images templates"]
    own: int
    pool_size: int


def votes_among_decoys(observed: Embeddings, pool: Pool) -> dict[str, PersonVotes]:
    """Everybody's votes among their own name and the decoys of their stratum.

    No other audited name is in the pool: with a name that the model knows beside it, nobody's
    name would be exchangeable with the rest. A tie with a decoy goes to the decoy.
    """
    decoys = decoys_of_strata(observed.study, pool)
    name_of = own_names(observed.study)
    found: dict[str, PersonVotes] = {}
    for key, persons in by_stratum(observed, pool).items():
        rivals = decoys.get(key, np.empty(0, np.int64))
        if rivals.size == 0:
            continue
        texts = np.ascontiguousarray(observed.texts[rivals].transpose(1, 0, 2))
        pictures = np.concatenate([observed.pictures[person.identity] for person in persons])
        best = nearest(pictures, texts)
        start = 0
        for person in persons:
            own = name_of[person.identity]
            mine = observed.pictures[person.identity]
            part = slice(start, start + len(mine))
            start += len(mine)
            is_own = beats(mine, observed.texts[own], best.cosine[part])
            codes = np.where(is_own, own, rivals[best.name[part]])
            found[person.identity] = PersonVotes(codes, own, len(rivals) + 1)
    return found


def votes_in_paper_pool(observed: Embeddings, *, size: int, seed: int) -> dict[str, PersonVotes]:
    """Everybody's votes among the paper's candidates: all study names and some decoys."""
    study = observed.study.candidates[: observed.study.study_names]
    decoys = observed.study.candidates[observed.study.study_names :]
    number = {fold_name(name.name): place for place, name in enumerate(observed.study.candidates)}
    names = paper_pool(study, decoys, size=size, seed=seed)
    chosen = np.array([number[fold_name(name)] for name in names])
    name_of = own_names(observed.study)
    persons = [person for person in observed.study.people if person.identity in observed.pictures]
    if not persons:
        return {}
    pictures = np.concatenate([observed.pictures[person.identity] for person in persons])
    texts = np.ascontiguousarray(observed.texts[chosen].transpose(1, 0, 2))
    codes = chosen[nearest(pictures, texts).name]
    ends = np.cumsum([len(observed.pictures[person.identity]) for person in persons])
    return {
        person.identity: PersonVotes(rows, name_of[person.identity], len(names))
        for person, rows in zip(persons, np.split(codes, ends[:-1]), strict=True)
    }


def by_stratum(observed: Embeddings, pool: Pool) -> dict[str, list[Person]]:
    """The audited people who have answered pictures, by whom they are compared with."""
    found: dict[str, list[Person]] = {}
    for person in observed.study.people:
        if person.identity in observed.pictures:
            found.setdefault(stratum(person.sex, person.origin, pool), []).append(person)
    return found


def decoys_of_strata(study: Study, pool: Pool) -> dict[str, Int[np.ndarray, " names"]]:
    """The numbers of the decoy names of every stratum."""
    found: dict[str, list[int]] = {}
    for place in range(study.study_names, len(study.candidates)):
        candidate = study.candidates[place]
        key = stratum(candidate.sex, candidate.origin, pool)
        found.setdefault(key, []).append(place)
    return {key: np.array(places) for key, places in found.items()}


def own_names(study: Study) -> dict[str, int]:
    """The number of everybody's true name; people of one name share it."""
    number = {
        fold_name(candidate.name): place
        for place, candidate in enumerate(study.candidates[: study.study_names])
    }
    return {person.identity: number[fold_name(person.name)] for person in study.people}


@dataclass(frozen=True, slots=True)
class VoteTable:
    """Votes that were counted elsewhere.

    Attributes:
        votes: Everybody's votes; people without any are missing.
        names: The name behind each code, folded.
        pool: Sex and origin of the pool's names by code; None if the pool is not known.
    """

    votes: Mapping[str, PersonVotes]
    names: tuple[str, ...]
    pool: Mapping[int, Candidate] | None


def read_votes(
    path: Path, persons: Sequence[Person], candidates: Sequence[Candidate] | None
) -> VoteTable:
    """Read a table ``identity,image,template,predicted``, a vote a row.

    An empty `predicted` is a vote that failed. Names are the same if they fold alike.

    Raises:
        InputError: A column is missing, a person is unknown, a vote appears twice, or a
            predicted name is not in the pool.
    """
    table = read_table(path, _COLUMNS)
    name_of = {person.identity: person.name for person in persons}
    if strangers := sorted(set(table["identity"]) - name_of.keys()):
        raise InputError(f'{path.name}: identity "{strangers[0]}" is not in the people table.')
    twice = table.filter(table.select("identity", "image", "template").is_duplicated())
    if len(twice):
        row = twice.row(0, named=True)
        raise InputError(
            f'{path.name}: two votes for identity "{row["identity"]}", image "{row["image"]}", '
            f'template "{row["template"]}".'
        )
    pool = None
    if candidates is not None:
        pool = [*candidates, *(Candidate(one.name, one.sex, one.origin) for one in persons)]
        offered = {fold_name(one.name) for one in pool}
        for predicted in table["predicted"].unique(maintain_order=True):
            folded = fold_name(predicted)
            if folded and folded not in offered:
                raise InputError(f'{path.name}: predicted name "{predicted}" is not in the names.')
    return _vote_table(table, persons, pool, sorted(set(table["template"])))


def votes_of_choices(choices: Choices, pool: Pool, templates: Sequence[str]) -> VoteTable:
    """The votes of a label-only model, which chose among the names of the picture's stratum."""
    study = choices.study
    everyone = [*study.people, *study.controls]
    table = _vote_table(choices.table, everyone, study.candidates, templates)
    sizes = Counter(stratum(one.sex, one.origin, pool) for one in study.candidates)
    votes = {
        person.identity: replace(
            table.votes[person.identity], pool_size=sizes[stratum(person.sex, person.origin, pool)]
        )
        for person in everyone
        if person.identity in table.votes
    }
    return replace(table, votes=votes)


def _vote_table(
    table: pl.DataFrame,
    persons: Sequence[Person],
    offered: Sequence[Candidate] | None,
    templates: Sequence[str],
) -> VoteTable:
    """Votes as numbers, from rows ``identity, image, template, predicted`` of these people."""
    codes: dict[str, int] = {}
    pool: dict[int, Candidate] | None = None
    if offered is not None:
        pool = {}
        for candidate in offered:
            pool.setdefault(codes.setdefault(fold_name(candidate.name), len(codes)), candidate)
    for person in persons:
        codes.setdefault(fold_name(person.name), len(codes))
    code_of = {"": NO_NAME}
    for predicted in table["predicted"].unique(maintain_order=True):
        if folded := fold_name(predicted):
            code_of[predicted] = codes.setdefault(folded, len(codes))
    name_of = {person.identity: person.name for person in persons}
    column = {name: place for place, name in enumerate(templates)}
    votes: dict[str, PersonVotes] = {}
    for (identity,), part in table.group_by("identity"):
        images = {name: place for place, name in enumerate(sorted(set(part["image"])))}
        matrix = np.full((len(images), len(templates)), NO_NAME, np.int64)
        for image, template, predicted in part.select("image", "template", "predicted").iter_rows():
            matrix[images[image], column[template]] = code_of.get(predicted, NO_NAME)
        own = codes[fold_name(name_of[str(identity)])]
        votes[str(identity)] = PersonVotes(matrix, own, len(codes))
    return VoteTable(votes, tuple(codes), pool)


def write_votes(
    path: Path, votes: Mapping[str, PersonVotes], study: Study, templates: Sequence[str]
) -> None:
    """Write votes in the form that `read_votes` reads."""
    names = [candidate.name for candidate in study.candidates]
    rows = [
        (identity, image, template, "" if code == NO_NAME else names[code])
        for identity, part in votes.items()
        for image, codes in zip(study.images[identity], part.codes, strict=True)
        for template, code in zip(templates, codes, strict=True)
    ]
    pl.DataFrame(rows, schema=_COLUMNS, orient="row").write_parquet(path)
