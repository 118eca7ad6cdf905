"""Whom a run asks about, under which names: tables that every audit keeps in its private folder."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar, cast

import polars as pl

from vlmaudit.data.candidates import Candidate
from vlmaudit.data.identities import Membership, Person, Sex
from vlmaudit.errors import RunError
from vlmaudit.results.sealed import read_json, read_table, write_table

PEOPLE: Final = "people.parquet"
NAMES: Final = "names.parquet"
DESIGN: Final = "design.json"
NOTICES: Final = "notices.json"
UNASKED: Final = "not asked yet"

Content = TypeVar("Content")


def write_people(private: Path, audited: Sequence[Person], controls: Sequence[Person]) -> None:
    """Write who is asked about: a row a person."""
    rows = [
        {
            "identity": person.identity,
            "name": person.name,
            "folder": person.folder,
            "aliases": list(person.aliases),
            "sex": person.sex,
            "origin": person.origin,
            "membership": person.membership,
            "occurrences": person.occurrences,
            "covariates": json.dumps(dict(person.covariates), ensure_ascii=False),
            "role": role,
        }
        for role, group in (("audited", audited), ("control", controls))
        for person in group
    ]
    schema: dict[str, pl.DataType | pl.datatypes.DataTypeClass] = {
        "aliases": pl.List(pl.String),
        "occurrences": pl.Int64,
    }
    table = pl.DataFrame(rows, schema_overrides=schema)
    write_table(private / PEOPLE, table)


def write_names(
    private: Path,
    study: Sequence[Candidate],
    decoys: Sequence[Candidate],
    *,
    outdated: Path | None = None,
) -> None:
    """Write the pool: study names first, then decoys.

    Args:
        private: The run's private folder.
        study: The names of the study, each once.
        decoys: Names that are nobody's.
        outdated: What was asked of the pool that is there, and goes where this is another.
    """
    everyone = [*study, *decoys]
    table = pl.DataFrame(
        {
            "name": [candidate.name for candidate in everyone],
            "sex": [candidate.sex for candidate in everyone],
            "origin": [candidate.origin for candidate in everyone],
            "role": ["study"] * len(study) + ["decoy"] * len(decoys),
        },
        schema=dict.fromkeys(("name", "sex", "origin", "role"), pl.String),
    )
    with contextlib.suppress(RunError):
        if table.equals(read_names(private)):
            return
    if outdated is not None:
        outdated.unlink(missing_ok=True)
    write_table(private / NAMES, table)


def read_people_asked(private: Path) -> pl.DataFrame:
    """What `write_people` wrote.

    Raises:
        RunError: It is missing or damaged.
    """
    return there(private, PEOPLE, read_table)


def read_names(private: Path) -> pl.DataFrame:
    """What `write_names` wrote.

    Raises:
        RunError: It is missing or damaged.
    """
    return there(private, NAMES, read_table)


def read_persons(private: Path) -> tuple[tuple[Person, ...], tuple[Person, ...]]:
    """The audited people and the control people of a run.

    Raises:
        RunError: The table is missing or damaged.
    """
    rows = read_people_asked(private).rows(named=True)
    audited, controls = (
        tuple(_person(row) for row in rows if row["role"] == role) for role in _ROLES
    )
    return audited, controls


def read_notices(private: Path) -> tuple[str, ...]:
    """What was noticed on the way, for the reader; raises as `read_names` does."""
    return tuple(cast("list[str]", there(private, NOTICES, read_json)))


def read_planted(private: Path) -> Mapping[str, object] | None:
    """The record of who was planted, None where there is none; raises as `read_names` does."""
    return cast("Mapping[str, object] | None", there(private, DESIGN, read_json))


def there(private: Path, name: str, read: Callable[..., Content]) -> Content:
    """A file that every run has which got so far.

    Raises:
        RunError: It is missing or damaged.
    """
    try:
        return read(private / name, mend=_ANEW)
    except FileNotFoundError as problem:
        raise stopped_early(private) from problem


_ANEW: Final = "run the same command again to have it anew."


def stopped_early(private: Path) -> RunError:
    """What to say of a run that did not get so far."""
    return RunError(
        f"{private.parent}: stopped before everything that all pictures need was asked, or what "
        "was is damaged; run the same command again to go on."
    )


_ROLES: Final = ("audited", "control")


def _person(row: Mapping[str, object]) -> Person:
    return Person(
        identity=cast("str", row["identity"]),
        name=cast("str", row["name"]),
        folder=cast("str", row["folder"]),
        aliases=tuple(cast("list[str]", row["aliases"])),
        sex=cast("Sex", row["sex"]),
        origin=cast("str", row["origin"]),
        membership=cast("Membership", row["membership"]),
        occurrences=cast("int | None", row["occurrences"]),
        covariates=json.loads(cast("str", row["covariates"])),
    )
