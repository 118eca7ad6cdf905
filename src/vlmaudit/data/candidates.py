"""Candidate names: whom a model may take a face for."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from vlmaudit.data.csv_tables import read_csv
from vlmaudit.data.names import fold_name
from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.seeds import stream

Pool = Literal["same-origin", "same-sex", "global"]
POOLS: Final[tuple[str, ...]] = get_args(Pool)
DEFAULT_ORIGIN: Final = "en_US"

# So many repeated names in a row mean that a locale is as good as used up.
_DRAWS_IN_VAIN: Final = 2000
# Faker's locales that write the family name first, and what stands between the two names.
_FAMILY_NAME_FIRST: Final = {"hu_HU": " ", "ja_JP": " ", "ko_KR": "", "zh_CN": "", "zh_TW": ""}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A name that a face may be given."""

    name: str
    sex: str = ""
    origin: str = ""


def stratum(sex: str, origin: str, pool: Pool) -> str:
    """The group within which names, and faces, are compared under a pool.

    >>> stratum("female", "de_DE", "same-origin"), stratum("female", "de_DE", "same-sex")
    ('female, de_DE', 'female')
    """
    parts = {"global": (), "same-sex": (sex,), "same-origin": (sex, origin)}[pool]
    return ", ".join(part or "unknown" for part in parts) or "everyone"


def draw_names(
    count: int, *, sex: str, origin: str, rng: np.random.Generator, exclude: Collection[str] = ()
) -> list[str]:
    """Different fictitious names from a Faker locale, none that folds like one in `exclude`.

    Args:
        count: How many names.
        sex: ``female``, ``male``, or empty for both in turn.
        origin: A Faker locale; empty means ``en_US``.
        rng: Where the randomness comes from.
        exclude: Names, folded or not, that must not be drawn.

    Raises:
        InputError: The locale is unknown, or does not hold so many names.
    """
    from faker import Faker
    from faker.config import AVAILABLE_LOCALES

    locale = origin or DEFAULT_ORIGIN
    if locale not in AVAILABLE_LOCALES:
        hint = did_you_mean(locale, AVAILABLE_LOCALES)
        raise InputError(f'origin "{locale}": no such Faker locale, such as de_DE.{hint}')
    faker = Faker(locale)
    faker.seed_instance(int(rng.integers(2**63)))
    separator = _FAMILY_NAME_FIRST.get(locale)
    taken = {fold_name(name) for name in exclude}
    names: list[str] = []
    in_vain = 0
    while len(names) < count and in_vain < _DRAWS_IN_VAIN:
        female = sex == "female" or (not sex and len(names) % 2 == 0)
        first = faker.first_name_female() if female else faker.first_name_male()
        last = faker.last_name_female() if female else faker.last_name_male()
        name = f"{first} {last}" if separator is None else f"{last}{separator}{first}"
        folded = fold_name(name)
        if folded in taken:
            in_vain += 1
            continue
        in_vain = 0
        taken.add(folded)
        names.append(name)
    if len(names) < count:
        raise InputError(
            f"locale {locale} gave only {len(names)} of {count} different {sex or 'first'} names; "
            "ask for fewer candidate names (--names N) or give a list (--names FILE)."
        )
    return names


def draw_decoys(
    people: Sequence[Candidate],
    count: int,
    *,
    pool: Pool,
    seed: int,
    exclude: Collection[str] = (),
) -> list[Candidate]:
    """`count` decoy names for every stratum of the people under `pool`.

    Within a stratum, sex and origin of the decoys are in the proportions of its people, so that
    "whose name is it" cannot be told from where a name comes from.
    """
    taken = set(exclude) | {person.name for person in people}
    members: dict[str, list[Candidate]] = {}
    for person in people:
        members.setdefault(stratum(person.sex, person.origin, pool), []).append(person)
    decoys: list[Candidate] = []
    for key in sorted(members):
        kinds = sorted((person.sex, person.origin) for person in members[key])
        wanted: dict[tuple[str, str], int] = {}
        for place in range(count):  # evenly spaced over the people: proportions to within one
            kind = kinds[place * len(kinds) // count]
            wanted[kind] = wanted.get(kind, 0) + 1
        for (sex, origin), number in wanted.items():
            rng = stream(seed, "decoys", pool, key, sex, origin)
            names = draw_names(number, sex=sex, origin=origin, rng=rng, exclude=taken)
            taken.update(names)
            decoys += [Candidate(name, sex, origin) for name in names]
    return decoys


def read_candidates(path: Path) -> list[Candidate]:
    """Candidate names from a text file with a name a line, or a CSV with ``name,sex,origin``.

    Raises:
        InputError: The file is missing, empty or not of that form; the line is named.
    """
    found = _names_of_table(path) if path.suffix.lower() == ".csv" else _names_of_lines(path)
    unique: dict[str, Candidate] = {}
    for candidate in found:
        if folded := fold_name(candidate.name):
            unique.setdefault(folded, candidate)
    if not unique:
        raise InputError(f"{path}: no names in it.")
    return list(unique.values())


def _names_of_table(path: Path) -> Iterator[Candidate]:
    for line, cells in read_csv(path, wanted=("name", "sex", "origin"), required=("name",)):
        sex = cells.get("sex", "").lower()
        if sex not in {"", "female", "male"}:
            raise InputError(f'{path.name}:{line}: sex "{sex}": wanted female, male or empty.')
        yield Candidate(cells["name"], sex, cells.get("origin", ""))


def _names_of_lines(path: Path) -> Iterator[Candidate]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as problem:
        raise InputError(f"{path}: the names cannot be read ({problem}).") from problem
    yield from (Candidate(line.strip()) for line in text.split("\n"))


def without(candidates: Iterable[Candidate], names: Iterable[str]) -> list[Candidate]:
    """The candidates whose name is none of `names`."""
    folded = {fold_name(name) for name in names}
    return [candidate for candidate in candidates if fold_name(candidate.name) not in folded]


def paper_pool(
    people: Sequence[Candidate], decoys: Sequence[Candidate], *, size: int, seed: int
) -> list[str]:
    """The IDIA paper's pool: every study name, the rest decoys, half of each sex.

    The authors' 1000 names hold all 548 audited ones (PROTOCOLS section 2, P1).

    Raises:
        InputError: The pool would be smaller than the people, or there are too few decoys.
    """
    names = list(dict.fromkeys(person.name for person in people))
    rest = size - len(names)
    if rest < 0:
        raise InputError(
            f"a pool of {size} names is smaller than the {len(names)} people of the study; "
            f"ask for at least {len(names) + 1} (--paper-pool N)."
        )
    rng = stream(seed, "paper pool")
    shuffled = [decoys[place] for place in rng.permutation(len(decoys))]
    women = [decoy.name for decoy in shuffled if decoy.sex == "female"]
    men = [decoy.name for decoy in shuffled if decoy.sex != "female"]
    if len(shuffled) < rest:
        raise InputError(
            f"a pool of {size} names needs {rest} decoys beside the study's names, and there are "
            f"{len(shuffled)}; give more names (--names) or a smaller pool (--paper-pool N)."
        )
    half = min(rest // 2, len(women))
    chosen = women[:half] + men[: rest - half]
    chosen += women[half : half + rest - len(chosen)]
    return names + chosen
