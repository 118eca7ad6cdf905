"""The people of a study, from a folder of folders and the table beside them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NoReturn, cast

from vlmaudit.data.csv_tables import read_csv
from vlmaudit.data.images import is_picture
from vlmaudit.data.names import fold_name
from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError, did_you_mean

Sex = Literal["female", "male", ""]
Membership = Literal["member", "non_member", ""]

TABLE_NAME: Final = "people.csv"
TABLE_COLUMNS: Final = (
    "identity",
    "folder",
    "name",
    "aliases",
    "sex",
    "origin",
    "membership",
    "occurrences",
)
_REQUIRED: Final = ("identity", "name")
_MOST_DIGITS: Final = 16  # of a number of captions, and more than there are


@dataclass(frozen=True, slots=True)
class Person:
    """One individual of a study."""

    identity: str
    name: str
    folder: str = ""
    aliases: tuple[str, ...] = ()
    sex: Sex = ""
    origin: str = ""
    membership: Membership = ""
    occurrences: int | None = None
    covariates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class People:
    """People and their pictures, with what the reader of the finding should know of them."""

    root: Path
    persons: tuple[Person, ...]
    pictures: Mapping[str, tuple[Path, ...]]
    notices: tuple[str, ...] = ()


def read_people(root: Path) -> People:
    """Read ``root/Name_With_Underscores/*.jpg`` and, where it exists, ``root/people.csv``.

    Without a table the folder's name, underscores as spaces, is the person's name. A person
    without pictures is kept: that nobody could be asked about them is an outcome.

    Raises:
        InputError: The folder is missing or holds nobody, or the table has an error; its line
            is named.
    """
    try:
        entries = list(root.iterdir())
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise InputError(
            f"{root}: no such folder; wanted a folder with one folder a person."
        ) from problem
    except (OSError, ValueError) as problem:
        raise InputError(f"{root}: the folder cannot be read ({problem}).") from problem
    folders = sorted(
        path.name for path in entries if path.is_dir() and not path.name.startswith(".")
    )
    table = root / TABLE_NAME
    if table.exists():
        persons = _persons_of_table(table, folders)
    else:
        persons = tuple(_person_of_folder(root, name) for name in folders)
    if not persons:
        raise InputError(
            f"{root}: nobody in it; wanted one folder a person, such as Ada_Lovelace/."
        )
    pictures = {
        person.identity: tuple(sorted(filter(is_picture, (root / person.folder).iterdir())))
        for person in persons
    }
    if not any(pictures.values()):
        raise InputError(f"{root}: {len(persons)} people but no picture (.jpg, .png, .webp, …).")
    used = {person.folder for person in persons}
    unused = [name for name in folders if name not in used]
    notices = [*_homonyms(persons), *_few_pictures(pictures)]
    if unused:
        notices.append(
            f"{len(unused)} folders are not in {TABLE_NAME} and were left out, such as "
            f"{spelt(unused[0])}."
        )
    return People(root, persons, pictures, tuple(notices))


def read_people_table(path: Path) -> tuple[Person, ...]:
    """The people of a ``people.csv``, without pictures.

    Raises:
        InputError: The table cannot be read or has an error; its line is named.
    """
    return tuple(person for _, person in _rows(path))


def homonyms(persons: Sequence[Person]) -> dict[str, list[str]]:
    """Names that several people bear, folded, with their identities."""
    bearers: dict[str, list[str]] = {}
    for person in persons:
        bearers.setdefault(fold_name(person.name), []).append(person.identity)
    return {name: identities for name, identities in bearers.items() if len(identities) > 1}


def _homonyms(persons: Sequence[Person]) -> list[str]:
    return [
        f"{' and '.join(identities)} bear the same name: it counts as right for each of them."
        for identities in homonyms(persons).values()
    ]


def _few_pictures(pictures: Mapping[str, tuple[Path, ...]]) -> list[str]:
    notices = []
    for count, words in ((0, "no picture"), (1, "one picture only")):
        people = [identity for identity, paths in pictures.items() if len(paths) == count]
        if people:
            notices.append(f"{len(people)} people have {words}, such as {people[0]}.")
    return notices


def _person_of_folder(root: Path, folder: str) -> Person:
    name = " ".join(folder.replace("_", " ").split())
    if folder != spelt(folder) or not fold_name(name):
        raise InputError(
            f'{root}: the folder "{spelt(folder)}" is nobody\'s name; rename it, or say whose '
            f"it is in {TABLE_NAME}."
        )
    return Person(identity=folder, name=name, folder=folder)


def _persons_of_table(table: Path, folders: Sequence[str]) -> tuple[Person, ...]:
    persons: list[Person] = []
    owners: dict[str, str] = {}
    for line, person in _rows(table):
        if person.folder not in folders:
            hint = did_you_mean(person.folder, folders)
            _fail(table, line, f'folder "{person.folder}" does not exist.{hint}')
        if person.folder in owners:
            _fail(table, line, f'folder "{person.folder}" already is {owners[person.folder]}\'s.')
        owners[person.folder] = person.identity
        persons.append(person)
    return tuple(persons)


def _rows(path: Path) -> Iterator[tuple[int, Person]]:
    seen: dict[str, int] = {}
    for line, cells in read_csv(path, wanted=TABLE_COLUMNS, required=_REQUIRED):
        identity = cells["identity"]
        if not identity:
            _fail(path, line, "identity is empty.")
        if identity in seen:
            _fail(
                path,
                line,
                f'identity "{identity}" appears twice (first on line {seen[identity]}). '
                "Identities must be unique; names may repeat.",
            )
        seen[identity] = line
        yield line, _person(path, line, cells)
    if not seen:
        _fail(path, 1, "no people below the first line.")


def _person(path: Path, line: int, cells: Mapping[str, str]) -> Person:
    name = cells["name"]
    if not fold_name(name):
        _fail(path, line, "name is empty.")
    sex = cells.get("sex", "").lower()
    if sex not in {"female", "male", ""}:
        _fail(path, line, f'sex "{sex}": wanted female, male or empty.')
    membership = cells.get("membership", "").lower()
    if membership not in {"member", "non_member", ""}:
        hint = did_you_mean(membership, ["member", "non_member"])
        _fail(path, line, f'membership "{membership}": wanted member, non_member or empty.{hint}')
    occurrences = cells.get("occurrences", "")
    if occurrences and not (occurrences.isdecimal() and len(occurrences) < _MOST_DIGITS):
        _fail(path, line, f'occurrences "{occurrences}": wanted a whole number or nothing.')
    folder = cells.get("folder") or cells["identity"]
    if Path(folder).name != folder:
        _fail(path, line, f'folder "{folder}" must be a folder beside the table, without a path.')
    return Person(
        identity=cells["identity"],
        name=name,
        folder=folder,
        aliases=tuple(filter(None, (part.strip() for part in cells.get("aliases", "").split("|")))),
        sex=cast("Sex", sex),
        origin=cells.get("origin", ""),
        membership=cast("Membership", membership),
        occurrences=int(occurrences) if occurrences else None,
        covariates={
            column: value for column, value in cells.items() if column not in TABLE_COLUMNS
        },
    )


def _fail(path: Path, line: int, message: str) -> NoReturn:
    raise InputError(f"{path.name}:{line}: {message}")
