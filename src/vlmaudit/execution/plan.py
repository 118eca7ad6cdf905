"""Which pictures are to be shown to the model, dealt into blocks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from vlmaudit.data.identities import People
from vlmaudit.data.images import PictureError, picture_digest
from vlmaudit.errors import InputError
from vlmaudit.results.blocks import BLOCK_SIZE
from vlmaudit.results.files import write_whole
from vlmaudit.results.fingerprint import case_key, fingerprint
from vlmaudit.results.records import ModelRecord

ORIGINAL: Final = "original"
Role = Literal["audited", "control"]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture file of one person."""

    identity: str
    image: str
    role: Role
    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Case:
    """One thing put to the model: a picture under a condition."""

    key: str
    identity: str
    image: str
    role: Role
    condition: str
    path: Path


def list_pictures(people: People, role: Role) -> tuple[list[Picture], list[str]]:
    """Everybody's pictures, each once, with notices on what was left out.

    Raises:
        InputError: The same picture belongs to two people.
    """
    pictures: list[Picture] = []
    owners: dict[str, Picture] = {}
    copies = 0
    for person in people.persons:
        for path in people.pictures[person.identity]:
            image = f"{path.parent.name}/{path.name}"
            try:
                digest = picture_digest(path)
            except PictureError:
                # Observing will fail in the same way, and record why.
                digest = fingerprint([role, image])
            picture = Picture(person.identity, image, role, path, digest)
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


def deal(pictures: Iterable[Picture], model: ModelRecord, plan_file: Path) -> dict[int, list[Case]]:
    """The blocks of a run: cases sorted by key, a fixed number a block.

    The plan is kept: cases that it knows stay in their blocks, and pictures that came since get
    blocks of their own, so that nothing sealed is ever asked again.
    """
    known: dict[str, int] = {}
    if plan_file.exists():
        plan = pl.read_parquet(plan_file)
        known = dict(zip(plan["case"], plan["block"], strict=True))
    cases = {
        key: Case(key, picture.identity, picture.image, picture.role, ORIGINAL, picture.path)
        for picture in pictures
        for key in [case_key(picture.digest, ORIGINAL, model)]
    }
    first_new = max(known.values(), default=-1) + 1
    new = sorted(key for key in cases if key not in known)
    block_of = known | {key: first_new + place // BLOCK_SIZE for place, key in enumerate(new)}
    table = pl.DataFrame(
        sorted(block_of.items()), schema={"case": pl.String, "block": pl.Int64}, orient="row"
    )
    write_whole(plan_file, table.write_parquet, private=True)
    blocks: dict[int, list[Case]] = {}
    for key in sorted(cases):
        blocks.setdefault(block_of[key], []).append(cases[key])
    return blocks


def _shared(one: Picture, other: Picture) -> InputError:
    return InputError(
        f"{one.image} and {other.image} are the same picture, of two people "
        f"({one.identity}, {other.identity}); remove it from one of them."
    )
