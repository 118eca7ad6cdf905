"""Votes: which candidate name each picture and template chose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Int

from vlmaudit.audits.identity_inference.observed import Observed
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


def votes_among_decoys(observed: Observed, pool: Pool) -> dict[str, PersonVotes]:
    """Everybody's votes among their own name and the decoys of their stratum.

    No other audited name is in the pool: with a name that the model knows beside it, nobody's
    name would be exchangeable with the rest. A tie with a decoy goes to the decoy.
    """
    decoys = decoys_of_strata(observed, pool)
    name_of = own_names(observed)
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


def votes_in_paper_pool(observed: Observed, *, size: int, seed: int) -> dict[str, PersonVotes]:
    """Everybody's votes among the paper's candidates: all study names and some decoys."""
    study = observed.candidates[: observed.study_names]
    decoys = observed.candidates[observed.study_names :]
    number = {fold_name(name.name): place for place, name in enumerate(observed.candidates)}
    names = paper_pool(study, decoys, size=size, seed=seed)
    chosen = np.array([number[fold_name(name)] for name in names])
    name_of = own_names(observed)
    persons = [person for person in observed.people if person.identity in observed.pictures]
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


def by_stratum(observed: Observed, pool: Pool) -> dict[str, list[Person]]:
    """The audited people who have answered pictures, by whom they are compared with."""
    found: dict[str, list[Person]] = {}
    for person in observed.people:
        if person.identity in observed.pictures:
            found.setdefault(stratum(person.sex, person.origin, pool), []).append(person)
    return found


def decoys_of_strata(observed: Observed, pool: Pool) -> dict[str, Int[np.ndarray, " names"]]:
    """The numbers of the decoy names of every stratum."""
    found: dict[str, list[int]] = {}
    for place in range(observed.study_names, len(observed.candidates)):
        candidate = observed.candidates[place]
        key = stratum(candidate.sex, candidate.origin, pool)
        found.setdefault(key, []).append(place)
    return {key: np.array(places) for key, places in found.items()}


def own_names(observed: Observed) -> dict[str, int]:
    """The number of everybody's true name; people of one name share it."""
    number = {
        fold_name(candidate.name): place
        for place, candidate in enumerate(observed.candidates[: observed.study_names])
    }
    return {person.identity: number[fold_name(person.name)] for person in observed.people}


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
    codes: dict[str, int] = {}
    pool: dict[int, Candidate] | None = None
    if candidates is not None:
        pool = {}
        for candidate in [*candidates, *(Candidate(p.name, p.sex, p.origin) for p in persons)]:
            pool.setdefault(codes.setdefault(fold_name(candidate.name), len(codes)), candidate)
    for person in persons:
        codes.setdefault(fold_name(person.name), len(codes))
    for predicted in table["predicted"].unique(maintain_order=True):
        folded = fold_name(predicted)
        if folded and folded not in codes:
            if pool is not None:
                raise InputError(f'{path.name}: predicted name "{predicted}" is not in the names.')
            codes[folded] = len(codes)
    templates = {name: place for place, name in enumerate(sorted(set(table["template"])))}
    votes: dict[str, PersonVotes] = {}
    for (identity,), part in table.group_by("identity"):
        images = {name: place for place, name in enumerate(sorted(set(part["image"])))}
        matrix = np.full((len(images), len(templates)), NO_NAME, np.int64)
        for image, template, predicted in part.select("image", "template", "predicted").iter_rows():
            folded = fold_name(predicted)
            if folded:
                matrix[images[image], templates[template]] = codes[folded]
        own = codes[fold_name(name_of[str(identity)])]
        votes[str(identity)] = PersonVotes(matrix, own, len(codes))
    return VoteTable(votes, tuple(codes), pool)


def write_votes(
    path: Path, votes: Mapping[str, PersonVotes], observed: Observed, templates: Sequence[str]
) -> None:
    """Write votes in the form that `read_votes` reads."""
    names = [candidate.name for candidate in observed.candidates]
    rows = [
        (identity, image, template, names[code])
        for identity, part in votes.items()
        for image, codes in zip(observed.images[identity], part.codes, strict=True)
        for template, code in zip(templates, codes, strict=True)
    ]
    pl.DataFrame(rows, schema=_COLUMNS, orient="row").write_parquet(path)
