"""Made-up private records: fields drawn from a seed, of which no two records share a value."""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from vlmaudit.data.candidates import draw_names
from vlmaudit.errors import InputError
from vlmaudit.seeds import stream

Kind = Literal["name", "digits", "place", "time", "whole number", "choice"]
_TIME: Final = "%Y-%m-%d %H:%M:%S"
_IN_VAIN: Final = 200
"""Rounds without a new value after which a field counts as used up."""
_ROUND: Final = 64
"""Values of a field that are drawn at a time, at the least."""
_LONGEST_NUMBER: Final = 18
"""Digits of a number that still fits into 64 bits."""
_COUNTRIES: Final = (
    "Argentina", "Australia", "Austria", "Belgium", "Brazil", "Canada", "Chile", "China",
    "Colombia", "Denmark", "Egypt", "Finland", "France", "Germany", "Ghana", "Greece", "India",
    "Ireland", "Italy", "Japan", "Kenya", "Mexico", "Morocco", "Norway", "Peru", "Poland",
    "Portugal", "Spain", "Sweden", "Turkey", "Uruguay", "Vietnam",
)  # fmt: skip


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


class Field(BaseModel):
    """One field of a record, and how its values are drawn.

    Attributes:
        name: What is printed before the value.
        kind: What the values are.
        length: Digits of a number that is an identifier.
        low: Lowest of whole numbers.
        high: Highest of whole numbers.
        values: What there is to choose from.
        start: The first day of times.
        end: The day before which times end.
        locale: The Faker locale of names and of a place's town.
        longest: Characters of a value at the most; 0: any number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    length: int = 10
    low: int = 18
    high: int = 80
    values: tuple[str, ...] = ()
    start: str = "2015-01-01"
    end: str = "2025-01-01"
    locale: str = "en_US"
    longest: int = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.name.strip() or ":" in self.name or not self.name.isprintable():
            raise ValueError(f'"{self.name}" is no name of a field')
        if self.kind == "choice" and len(set(self.values)) < 2:
            raise ValueError(f'{self.name}: a choice needs two values or more in "values"')
        if not 1 <= self.length <= _LONGEST_NUMBER:
            raise ValueError(f"{self.name}: length must be from 1 to {_LONGEST_NUMBER}")
        if self.low > self.high:
            raise ValueError(f"{self.name}: low is above high")
        if _day(self.start) >= _day(self.end):
            raise ValueError(f"{self.name}: start is not before end")
        return self

    @property
    def identifies(self) -> bool:
        """Whether a value belongs to one record alone; of four genders none can."""
        return self.kind not in {"whole number", "choice"}


PAPER_FIELDS: Final[tuple[Field, ...]] = (
    Field(name="username", kind="name"),
    Field(name="user_id", kind="digits", length=10),
    Field(name="gender", kind="choice", values=("Male", "Female", "Non-binary", "Other")),
    Field(name="age", kind="whole number", low=18, high=80),
    Field(name="capture_time", kind="time"),
    Field(name="capture_location", kind="place"),
)
"""The paper's six fields, in its order (PROTOCOLS 1.2)."""


def read_fields(path: Path) -> tuple[Field, ...]:
    """The fields that a JSON file lists: ``[{"name": "username", "kind": "name"}, ...]``.

    Raises:
        InputError: The file cannot be read, is no such list, or names a field twice.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(given, list):
            raise InputError(f'{path}: wanted a list such as [{{"name": "id", "kind": "digits"}}].')
    except (OSError, ValueError) as problem:
        raise InputError(f"{path}: no list of fields in JSON ({problem}).") from problem
    fields = []
    for number, one in enumerate(given, start=1):
        try:
            fields.append(Field.model_validate(one))
        except ValidationError as problem:
            first = problem.errors()[0]
            what = " ".join([f"field {number}", *map(str, first["loc"])])
            raise InputError(f"{path}: {what}: {first['msg']}.") from problem
    check_fields(fields, str(path))
    return tuple(fields)


def check_fields(fields: Sequence[Field], where: str) -> None:
    """Refuse what cannot be planted: no two fields of a name, and one that tells records apart.

    Raises:
        InputError: It cannot.
    """
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'{where}: two fields are called "{name}".')
        if name in {"record", "arm", "dose", "included", "tied_answer"}:
            raise InputError(f'{where}: "{name}" is a column of records.csv; rename the field.')
    if len(names) < 2 or not any(field.identifies for field in fields):
        raise InputError(
            f"{where}: wanted two fields or more, one of which tells records apart: of kind name, "
            "digits, place or time."
        )


def draw_records(fields: Sequence[Field], count: int, *, seed: int) -> list[dict[str, str]]:
    """So many records, each field drawn by itself; no two share a value of one that identifies.

    All are draws of one distribution in random order: which arm a record is given afterwards by
    chance is the only thing in which the arms differ.

    Raises:
        InputError: A field does not hold so many values.
    """
    columns = {
        field.name: draw_values(field, count, stream(seed, "records", field.name))
        for field in fields
    }
    return [{name: values[row] for name, values in columns.items()} for row in range(count)]


def draw_values(
    field: Field, count: int, rng: np.random.Generator, *, exclude: Collection[str] = ()
) -> list[str]:
    """Values of a field: all different, and none of `exclude`, where it tells records apart.

    >>> draw_values(Field(name="id", kind="digits", length=4), 2, np.random.default_rng(0))
    ['8655', '6732']

    Raises:
        InputError: The field does not hold so many.
    """
    if not field.identifies:
        possible = all_values(field)
        return [possible[place] for place in rng.integers(len(possible), size=count)]
    values: dict[str, None] = {}
    taken = set(exclude)
    draw, in_vain = _drawer(field, rng), 0
    while len(values) < count and in_vain < _IN_VAIN:
        before = len(values)
        for value in draw(max(_ROUND, count - before), taken | values.keys()):
            if value not in taken and not 0 < field.longest < len(value):
                values.setdefault(value)
        in_vain = 0 if len(values) > before else in_vain + 1
    if len(values) < count:
        raise InputError(
            f"field {field.name}: only {len(values):,} of {count:,} different values; ask for "
            "fewer records or decoys, or widen the field."
        )
    return list(values)[:count]


def draw_decoys(
    fields: Sequence[Field],
    name: str,
    count: int,
    *,
    taken: Collection[str],
    rng: np.random.Generator,
) -> list[str]:
    """Made-up values of a field to rank a true one among, all different.

    Of a field that does not tell records apart, all its values: whoever ranks a record's own leaves
    that one out.

    Args:
        fields: The album's fields.
        name: Which of them.
        count: How many, where there are as many.
        taken: Values that records have; none of them is a decoy of a field that identifies.
        rng: Where the randomness comes from.

    Raises:
        InputError: There is no such field, or it does not hold so many values.
    """
    field = next((one for one in fields if one.name == name), None)
    if field is None:
        raise InputError(f"no field {name}; there are {', '.join(one.name for one in fields)}.")
    if field.identifies:
        return draw_values(field, count, rng, exclude=taken)
    possible = all_values(field)
    return [possible[place] for place in rng.permutation(len(possible))[:count]]


def all_values(field: Field) -> list[str]:
    """All that a field that does not identify can be."""
    if field.kind == "choice":
        return list(dict.fromkeys(field.values))
    return [str(number) for number in range(field.low, field.high + 1)]


def question_of(field: str) -> str:
    """How a field is asked for (PROTOCOLS 1.6, E3).

    >>> question_of("username")
    'What is the username?'
    """
    return f"What is the {field}?"


def question_about(field: str, key: str, value: str) -> str:
    """The question where nothing is printed: another value says whose field is meant.

    >>> question_about("user_id", "username", "Ada")
    'What is the user_id of the username Ada?'
    """
    return f"What is the {field} of the {key} {value}?"


def _drawer(field: Field, rng: np.random.Generator) -> "partial[Iterator[str]]":
    match field.kind:
        case "name":
            return partial(_names, field, rng)
        case "digits":
            return partial(_digits, field, rng)
        case "place":
            return partial(_places, _faker(field.locale, rng), rng)
        case _:
            return partial(_times, field, rng)


def _names(
    field: Field, rng: np.random.Generator, count: int, taken: Collection[str]
) -> Iterator[str]:
    yield from draw_names(count, sex="", origin=field.locale, rng=rng, exclude=taken)


def _digits(
    field: Field, rng: np.random.Generator, count: int, taken: Collection[str]
) -> Iterator[str]:
    del taken
    # The first digit is no 0: a spreadsheet would drop it.
    lowest = 10 ** (field.length - 1)
    yield from map(str, rng.integers(lowest, 10 * lowest, size=count).tolist())


def _places(
    faker: object, rng: np.random.Generator, count: int, taken: Collection[str]
) -> Iterator[str]:
    del taken
    for place in rng.integers(len(_COUNTRIES), size=count).tolist():
        yield f"{faker.city()}, {_COUNTRIES[place]}"  # type: ignore[attr-defined]


def _times(
    field: Field, rng: np.random.Generator, count: int, taken: Collection[str]
) -> Iterator[str]:
    del taken
    first = _day(field.start)
    span = int((_day(field.end) - first).total_seconds())
    for seconds in rng.integers(span, size=count).tolist():
        yield (first + timedelta(seconds=seconds)).strftime(_TIME)


def _faker(locale: str, rng: np.random.Generator) -> object:
    from faker import Faker

    try:
        faker = Faker(locale)
    except AttributeError as problem:
        raise InputError(f'locale "{locale}": no such Faker locale, such as de_DE.') from problem
    faker.seed_instance(int(rng.integers(2**63)))
    return faker
