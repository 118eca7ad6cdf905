"""Which pictures are to be shown to the model, dealt into blocks."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from vlmaudit.data.conditions import ORIGINAL
from vlmaudit.data.identities import People
from vlmaudit.data.images import PictureError, picture_digest
from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError
from vlmaudit.results.blocks import block_size
from vlmaudit.results.cases import Case, Role
from vlmaudit.results.fingerprint import case_key, fingerprint
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.sealed import read_table, write_table

_READERS: Final = 4
_A_SHARD: Final = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, as it is shown under one condition.

    Attributes:
        identity: Of whom it is; empty for nobody.
        image: How tables call it; empty where nothing is shown.
        role: What its person is in the study.
        path: The file.
        digest: Of what is shown.
        condition: How it is shown, such as ``original``.
    """

    identity: str
    image: str
    role: Role
    path: Path
    digest: str
    condition: str = ORIGINAL


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a picture.

    Attributes:
        text: How the outcome's table calls it, such as a template.
        digest: Everything that decides the answer besides the picture and the model.
    """

    text: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """A share of the blocks: number `place` of `of`, counted from 1.

    >>> [block for block in range(6) if parse_shard("2/3").has(block)]
    [1, 4]
    """

    place: int = 1
    of: int = 1

    def has(self, block: int) -> bool:
        """Whether a block is this shard's to ask."""
        return block % self.of == self.place - 1


def parse_shard(text: str) -> Shard:
    """A shard as it is written on the command line, such as ``2/8``.

    Raises:
        InputError: It is not of that form.
    """
    parts = _A_SHARD.fullmatch(text)
    place, of = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    if not 1 <= place <= of:
        raise InputError(f"--shard {text}: wanted i/n, such as 1/4 for the first of four.")
    return Shard(place, of)


def list_pictures(
    people: People, role: Role, *, advance: Callable[[int], None] = lambda _: None
) -> tuple[list[Picture], list[str]]:
    """Everybody's pictures, each once, with notices on what was left out.

    Args:
        people: Whose pictures; every file is read once, for its digest.
        role: What these people are in the study.
        advance: Told how many files were read since it was last called.

    Raises:
        InputError: The same picture belongs to two people.
    """
    pictures: list[Picture] = []
    owners: dict[str, Picture] = {}
    copies = 0
    files = [
        (person.identity, path)
        for person in people.persons
        for path in people.pictures[person.identity]
    ]
    with ThreadPoolExecutor(_READERS) as readers:
        digests = readers.map(lambda file: _digest(file[1], role), files)
        for (identity, path), digest in zip(files, digests, strict=True):
            advance(1)
            picture = Picture(identity, _image_name(path), role, path, digest)
            owner = owners.setdefault(digest, picture)
            if owner is picture:
                pictures.append(picture)
            elif owner.identity == picture.identity:
                copies += 1
            else:
                raise _shared(owner, picture)
    notices = [f"{copies} pictures copy another of the same person: left out."] if copies else []
    return pictures, notices


def check_disjoint(audited: Sequence[Picture], controls: Sequence[Picture]) -> None:
    """Refuse control people who are audited, by identity or by picture.

    Raises:
        InputError: Somebody is both.
    """
    identities = {picture.identity for picture in audited}
    owners = {picture.digest: picture for picture in audited}
    for control in controls:
        if control.identity in identities:
            raise InputError(
                f'"{control.identity}" is both audited and a control person; controls must be '
                "other people."
            )
        if control.digest in owners:
            raise _shared(owners[control.digest], control)


class Blocks(Mapping[int, Sequence[Case]]):
    """The cases of a run by block, made when a block is looked at: there may be millions."""

    def __init__(
        self,
        pictures: Mapping[int, Sequence[Picture]],
        model: ModelRecord,
        ask: Callable[[Picture], Sequence[Question]],
    ) -> None:
        """Take what is shown in every block; `deal` is the way here."""
        self._pictures = pictures
        self._model = model
        self._ask = ask

    def __getitem__(self, block: int) -> list[Case]:
        return [
            Case(
                case_key(picture.digest, picture.condition, self._model, question.digest),
                picture.identity,
                picture.image,
                picture.role,
                picture.condition,
                picture.path,
                question.text,
            )
            for picture in self._pictures[block]
            for question in self._ask(picture)
        ]

    def __iter__(self) -> Iterator[int]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)


def deal(
    pictures: Iterable[Picture],
    model: ModelRecord,
    plan_file: Path,
    *,
    ask: Callable[[Picture], Sequence[Question]] = lambda _: (Question(),),
) -> Blocks:
    """The blocks of a run: pictures sorted by key, a fixed number a block.

    The plan is kept: pictures that it knows stay in their blocks, and those that came since get
    blocks of their own, so that nothing sealed is ever asked again.

    Args:
        pictures: What is to be shown.
        model: To whom.
        plan_file: Where the plan is kept.
        ask: The questions about a picture, which go into one block.

    Raises:
        RunError: The plan that is there cannot be read.
    """
    known = _read_plan(plan_file)
    shown = {case_key(picture.digest, picture.condition, model): picture for picture in pictures}
    first_new = max(known.values(), default=-1) + 1
    new = sorted(key for key in shown if key not in known)
    size = block_size(len(new))
    block_of = known | {key: first_new + place // size for place, key in enumerate(new)}
    table = pl.DataFrame(
        sorted(block_of.items()), schema={"picture": pl.String, "block": pl.Int64}, orient="row"
    )
    write_table(plan_file, table)
    blocks: dict[int, list[Picture]] = {}
    for key in sorted(shown):
        blocks.setdefault(block_of[key], []).append(shown[key])
    return Blocks(blocks, model, ask)


def _read_plan(plan_file: Path) -> dict[str, int]:
    try:
        plan = read_table(
            plan_file,
            mend="start over (--fresh), or give another folder (--out) and take over what was "
            "answered (--reuse).",
        )
    except FileNotFoundError:
        return {}
    return dict(zip(plan["picture"], plan["block"], strict=True))


def _digest(path: Path, role: Role) -> str:
    try:
        return picture_digest(path)
    except PictureError:
        # Observing will fail in the same way, and record why.
        return fingerprint([role, _image_name(path)])


def _image_name(path: Path) -> str:
    return spelt(f"{path.parent.name}/{path.name}")


def _shared(one: Picture, other: Picture) -> InputError:
    return InputError(
        f"{one.image} and {other.image} are the same picture, of two people "
        f"({one.identity}, {other.identity}); remove it from one of them."
    )
