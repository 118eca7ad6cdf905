"""Lists of names to look for: a text file with a name a line, a table, or a folder of people."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vlmaudit.data.csv_tables import read_csv
from vlmaudit.data.identities import TABLE_NAME, read_people, read_people_table
from vlmaudit.data.known_words import common_words
from vlmaudit.data.name_matching import Known
from vlmaudit.data.names import fold_name
from vlmaudit.errors import InputError

_COLUMNS: Final = ("name", "aliases")
_SHORT: Final = 4
"""Letters up to which a name of one word is likely to be something else as well."""


@dataclass(frozen=True, slots=True)
class NameList:
    """Whose mentions are counted.

    Attributes:
        people: Each name once, in the order of the list.
        notices: What whoever reads the counts should know of the names.
    """

    people: tuple[Known, ...]
    notices: tuple[str, ...]


def read_name_list(path: Path) -> NameList:
    """Names of a text file, of a CSV table with ``name`` and maybe ``aliases``, or of people.

    Names that are the same but for case, accents and blanks are one, with the aliases of all.

    Args:
        path: A file, or a folder of people as the audits take it.

    Raises:
        InputError: It cannot be read, or holds no name.
    """
    if path.is_dir():
        table = path / TABLE_NAME
        persons = read_people_table(table) if table.exists() else read_people(path).persons
        return _listed(path, [(person.name, person.aliases) for person in persons])
    if path.suffix.lower() == ".csv":
        rows = [row for _, row in read_csv(path, wanted=_COLUMNS, required=("name",))]
        return _listed(path, [(row["name"], _aliases(row.get("aliases", ""))) for row in rows])
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as problem:
        raise InputError(
            f"{path}: the names cannot be read ({problem}); wanted a name a line, or name,aliases "
            "in a .csv."
        ) from problem
    return _listed(path, [(line.strip(), ()) for line in lines])


def _aliases(cell: str) -> tuple[str, ...]:
    return tuple(alias.strip() for alias in cell.split("|") if alias.strip())


def _listed(path: Path, rows: Sequence[tuple[str, tuple[str, ...]]]) -> NameList:
    spelt: dict[str, str] = {}
    aliases: dict[str, dict[str, None]] = {}
    twice: list[str] = []
    empty = 0
    for name, others in rows:
        folded = fold_name(name)
        if not any(map(str.isalnum, folded)):
            empty += 1
            continue
        if folded in spelt:
            twice.append(name)
        spelt.setdefault(folded, name)
        aliases.setdefault(folded, {}).update(dict.fromkeys(others))
    if not spelt:
        raise InputError(f"{path}: no name in it.")
    people = tuple(Known(name, tuple(aliases[folded])) for folded, name in spelt.items())
    return NameList(people, tuple(_notices(people, twice, empty)))


def _notices(people: Sequence[Known], twice: Sequence[str], empty: int) -> list[str]:
    notices = []
    if empty:
        notices.append(f"{empty} of the names hold no letter or digit; they are passed over.")
    if twice:
        notices.append(
            f"{_some(twice)} {_stand(twice)} in the list more than once; each name is counted once,"
            " and captions do not say which of its bearers they mean."
        )
    words = [person.name for person in people if _is_word(person.name)]
    if words:
        notices.append(
            f"{_some(words)} {'is a word' if len(words) == 1 else 'are words'} of other meaning or "
            "short; many captions counted for such a name mean something else."
        )
    shared = _shared(people)
    if shared:
        notices.append(
            f"{_some(shared)}: an alias that is somebody else's name or alias too; such captions "
            "count for all who bear it."
        )
    return notices


def _is_word(name: str) -> bool:
    words = fold_name(name).split()
    if len(words) == 1:
        return words[0] in common_words() or len(words[0]) <= _SHORT
    return all(word in common_words() for word in words)


def _shared(people: Sequence[Known]) -> list[str]:
    bearers: dict[str, int] = {}
    for person in people:
        for folded in {fold_name(name) for name in (person.name, *person.aliases)}:
            bearers[folded] = bearers.get(folded, 0) + 1
    return [alias for person in people for alias in person.aliases if bearers[fold_name(alias)] > 1]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _stand(names: Sequence[str]) -> str:
    return "stands" if len(names) == 1 else "stand"
