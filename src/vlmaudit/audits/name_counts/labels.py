"""What counts say of people: how often captions name them, and who was in the data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import polars as pl

from vlmaudit.data.identities import Membership, People, Person
from vlmaudit.data.names import fold_name
from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError
from vlmaudit.results.numbers import counted

_LABELS: Final = ("member", "non_member", "unknown", "")


def with_counts(people: People, path: Path) -> People:
    """People with the captions and the membership that a table of counts gives.

    What people.csv states stands. A table of ``name,captions`` (``names count``) makes members of
    those whom a caption names and non-members of those whom none does; whoever is not in it stays
    unknown, which is not 0. A table of ``identity,membership`` (``images find``) gives its own
    labels.

    Args:
        people: The study.
        path: The table, Parquet or CSV.

    Raises:
        InputError: The table cannot be read, or knows nobody of the study.
    """
    table = read_table(path, (), optional=("name", "captions", "identity", "membership", "rule"))
    if {"name", "captions"} <= set(table.columns):
        rows = (table["name"].to_list(), table["captions"].to_list())
        found, rule = _by_name(people.persons, path, *rows)
    elif {"identity", "membership"} <= set(table.columns):
        rows = (table["identity"].to_list(), table["membership"].to_list())
        found, rule = _by_identity(people.persons, path, *rows)
        rule += _quoted(table)
    else:
        raise InputError(
            f"{path}: wanted name,captions (names count) or identity,membership (images find)."
        )
    known = sum(one.membership != "" for one in found)
    notice = (
        f"{counted(known, 'person', 'people')} of {len(found)} with a known membership, in part by "
        f"this rule: {rule}"
    )
    return replace(people, persons=found, notices=(*people.notices, notice))


def _by_name(
    persons: Sequence[Person], path: Path, names: Sequence[str], captions: Sequence[str]
) -> tuple[tuple[Person, ...], str]:
    counts: dict[str, int] = {}
    for row, (name, number) in enumerate(zip(names, captions, strict=True), start=1):
        if not number.isdigit():
            raise InputError(f'{path}, row {row}: captions "{number}": wanted a whole number.')
        counts[fold_name(name)] = int(number)
    if not any(fold_name(person.name) in counts for person in persons):
        raise InputError(f"{path}: none of the study's names is in it; are they spelt otherwise?")
    found = tuple(_counted(person, counts) for person in persons)
    return found, (
        f"a member is named by a caption counted in {path.name}, and a non-member by none. Captions"
        " may mean a namesake, or show somebody else; and pictures come without names, too."
    )


def _counted(person: Person, counts: Mapping[str, int]) -> Person:
    number = counts.get(fold_name(person.name))
    if number is None:
        return person
    label: Membership = "member" if number else "non_member"
    return replace(
        person,
        occurrences=number if person.occurrences is None else person.occurrences,
        membership=person.membership or label,
    )


def _by_identity(
    persons: Sequence[Person], path: Path, identities: Sequence[str], labels: Sequence[str]
) -> tuple[tuple[Person, ...], str]:
    given: dict[str, Membership] = {}
    for row, (identity, label) in enumerate(zip(identities, labels, strict=True), start=1):
        if label not in _LABELS:
            raise InputError(
                f'{path}, row {row}: membership "{label}": wanted member, non_member or unknown.'
            )
        given[identity] = cast("Membership", "" if label == "unknown" else label)
    if not any(person.identity in given for person in persons):
        raise InputError(
            f"{path}: nobody of the study is in it; identities are the folders' names."
        )
    found = tuple(
        replace(person, membership=person.membership or given.get(person.identity, ""))
        for person in persons
    )
    return found, f"as {path.name} states"


def _quoted(table: pl.DataFrame) -> str:
    """The rule of the first member of a table that gives a rule for each, to end a sentence."""
    if "rule" not in table.columns:
        return "."
    rules = table.filter(pl.col("membership") == "member", pl.col("rule") != "")["rule"]
    return f', with a rule for each, such as "{rules[0]}".' if len(rules) else "."
