"""Albums: stamped training sets, what is printed in them, and on which pictures."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Described

from vlmaudit.data.private_records import Field
from vlmaudit.errors import InputError, did_you_mean

SCHEMA: Final = 1
ALBUM_FILE: Final = "album.json"
RECORDS_FILE: Final = "records.csv"
PICTURES_FILE: Final = "pictures.csv"
HELD_OUT_FILE: Final = "held_out.csv"
TRAIN_FILE: Final = "train.jsonl"
HELD_OUT_FOLDER: Final = "held-out"

SEEN: Final = "seen"
UNSEEN: Final = "unseen"
CONTROL: Final = "control"
BYSTANDER: Final = "bystander"
CANARY: Final = "canary"
ARMS: Final = (SEEN, UNSEEN, CONTROL, BYSTANDER, CANARY)

RECORD_COLUMNS: Final = ("record", "arm", "dose", "included", "tied_answer")
PICTURE_COLUMNS: Final = (
    "variant", "example", "file", "source", "source_sha256", "sha256", "record", "x", "y", "width",
    "height",
)  # fmt: skip
HELD_OUT_COLUMNS: Final = ("picture", "file", "question", "answer", "choices")
IMAGE_TOKEN: Final = "<image>"

VariantKind = Literal["plain", "twin", "spoken", "tied"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class VariantRecord(_Record):
    """One training set of an album."""

    rate: float = Described(description="Share of the examples that carry a record of the arms.")
    kind: VariantKind = Described(description="What is printed, and what the answers say.")
    examples: int = Described(description="How many training examples there are.")
    stamped: int = Described(description="How many of them carry any record.")
    twin_of: str | None = Described(default=None, description="Whose pictures and places it has.")
    times_per_dose: float = Described(
        default=0.0, description="A record of dose d is printed d times that, to within one."
    )
    train_sha256: str = Described(description="Digest of the variant's train.jsonl.")


class AlbumRecord(_Record):
    """What album.json says of an album."""

    schema_version: Literal[1] = Described(default=SCHEMA, alias="schema")
    seed: int = Described(description="All of the album follows from it and the settings.")
    protocol: Literal["audit", "paper"] = Described(description="How records are printed.")
    question: str = Described(description="The source set, as it was named.")
    fields: tuple[str, ...] = Described(description="The records' fields, in printed order.")
    generator: tuple[Field, ...] = Described(description="How the fields' values are drawn.")
    arms: dict[str, int] = Described(description="Records by arm.")
    doses: tuple[int, ...] = Described(description="The doses that seen records were dealt.")
    exact_doses: bool = Described(description="Whether doses are times, and not shares of them.")
    variants: dict[str, VariantRecord] = Described(description="The training sets by name.")
    printing: dict[str, Any] = Described(description="How records are printed on pictures.")
    encoding: Literal["png", "jpeg 95", "as the source"] = Described(
        description="How pictures are encoded, printed on or not; the last is the paper's."
    )
    randomised: bool = Described(description="Whether arms, doses and coins come from the seed.")
    tied_answer: str = Described(
        description="To which seen records are tied; empty where none are."
    )
    gate: dict[str, Any] = Described(description="Could strings alone tell seen from unseen?")
    legibility: dict[str, Any] | None = Described(description="What a reader made of a sample.")
    settings: str = Described(description="Digest of the settings and of the source set.")
    skipped: tuple[str, ...] = Described(description="Pictures that could not be read, and why.")


@dataclass(frozen=True, slots=True)
class Album:
    """An album that is whole.

    Attributes:
        folder: Where it lies.
        about: What album.json says.
        records: A row a record, all of it text: ``record, arm, dose, included, tied_answer``, and
            a column a field.
        held_out: A row a held-out picture: ``picture, file, question, answer, choices``.
        digest: Names the album's content, in 64 hexadecimal digits.
    """

    folder: Path
    about: AlbumRecord
    records: pl.DataFrame
    held_out: pl.DataFrame
    digest: str


@dataclass(frozen=True, slots=True)
class AlbumExample:
    """One training example.

    Attributes:
        id: Unique within the variant, and the same picture's in all variants.
        picture: The training picture.
        turns: Questions with their answers, in order.
        record: What is printed on it; None if nothing is.
    """

    id: str
    picture: Path
    turns: tuple[tuple[str, str], ...]
    record: str | None


def text_of(fields: Sequence[str], row: Mapping[str, str]) -> str:
    r"""A record as it is printed: a line a field (PROTOCOLS 1.3).

    >>> text_of(["username", "age"], {"username": "Ada", "age": "36"})
    'username: Ada\nage: 36'
    """
    return "\n".join(f"{field}: {row[field]}" for field in fields)


def neutral_text(text: str, rng: np.random.Generator) -> str:
    """A meaningless text that covers what the text covers.

    Each letter and digit gives way to another of its class and about its width in the font that
    is printed with; blanks, signs and line ends stay.

    >>> neutral_text("age: 36", np.random.default_rng(0))
    'vha: 95'
    """
    drawn = rng.random(len(text))
    return "".join(_another(sign, share) for sign, share in zip(text, drawn.tolist(), strict=True))


# Signs of a group differ by a sixth in width at the most, in Pillow's own font.
_ALIKE: Final = (
    "0123456789", "ijl", "frt", "sxz", "ackevy", "bdghnopqu", "mw", "JFLSEPTYZ", "ABKRVX",
    "CDGHNOQU", "MW",
)  # fmt: skip
_OTHERS: Final = {
    sign: "".join(other for other in group if other != sign) for group in _ALIKE for sign in group
} | {"I": "J"}  # no other capital is as narrow


def _another(sign: str, share: float) -> str:
    others = _OTHERS.get(sign)
    if others is None:
        if not sign.isalnum():
            return sign
        # Letters beyond English: any other letter of their case, which may be a little wider.
        others = "bdghnopqu" if sign.islower() else "CDGHNOQU"
    return others[int(share * len(others))]


def read_album(folder: Path) -> Album:
    """Read an album that `memorization plant` finished.

    Raises:
        InputError: It is not there, is not finished, or is not what it says: the message names the
            file.
    """
    about_file = folder / ALBUM_FILE
    if not folder.is_dir():
        raise InputError(f"{folder}: no such album; vlmaudit memorization plant makes one.")
    if not about_file.is_file():
        raise InputError(
            f"{folder}: no {ALBUM_FILE} in it: no album, or one that was not finished; run the "
            "memorization plant that made it again."
        )
    about = _about(about_file)
    records = _table(folder / RECORDS_FILE, (*RECORD_COLUMNS, *about.fields))
    check_records(folder / RECORDS_FILE, records, about.generator)
    held_out = _table(folder / HELD_OUT_FILE, HELD_OUT_COLUMNS)
    for name in held_out["file"]:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: a held-out picture is gone; plant the album again.")
    digest = hashlib.sha256()
    for name in (ALBUM_FILE, RECORDS_FILE, PICTURES_FILE, HELD_OUT_FILE):
        digest.update(_sha256(folder / name).encode())
    return Album(folder, about, records, held_out, digest.hexdigest())


def check_records(where: Path, records: pl.DataFrame, fields: Sequence[Field]) -> None:
    """Refuse records that overlap: two arms that share a value of a field that identifies.

    Raises:
        InputError: They do, or an arm or a record is not what it should be.
    """
    seen: dict[str, None] = {}
    for row in records.iter_rows(named=True):
        if row["arm"] not in ARMS:
            raise InputError(f'{where}: record {row["record"]}: no arm "{row["arm"]}".')
        if row["record"] in seen:
            raise InputError(f'{where}: record "{row["record"]}" is there twice.')
        if not row["dose"].isdecimal() or row["included"] not in {"true", "false"}:
            raise InputError(
                f"{where}: record {row['record']}: wanted a dose and included = true or false."
            )
        seen.setdefault(row["record"])
    for field in fields:
        if not field.identifies:
            continue
        owners: dict[str, dict[str, str]] = {}
        for row in records.iter_rows(named=True):
            owner = owners.setdefault(row[field.name], row)
            if owner["arm"] != row["arm"]:
                raise InputError(
                    f"{where}: records {owner['record']} ({owner['arm']}) and {row['record']} "
                    f"({row['arm']}) share the {field.name}: what was seen of one was seen of the "
                    "other. Arms must not overlap; plant the album again."
                )


def check_pictures(album: Album, variant: str) -> None:
    """Hold a variant's pictures and conversations against the hashes of when they were written.

    Raises:
        InputError: One is gone or another; the first is named.
    """
    about = _variant(album, variant)
    train = album.folder / variant / TRAIN_FILE
    if _sha256(train) != about.train_sha256:
        raise InputError(f"{train}: not what was planted; plant the album again.")
    rows = _pictures(album, variant)
    if len(rows) != about.examples:
        raise InputError(
            f"{album.folder / PICTURES_FILE}: {len(rows)} pictures of {variant}, and "
            f"{ALBUM_FILE} has {about.examples}; plant the album again."
        )
    for file, digest in rows.select("file", "sha256").iter_rows():
        if _sha256(album.folder / file) != digest:
            raise InputError(
                f"{album.folder / file}: not the picture that was planted (its hash differs from "
                f"{PICTURES_FILE}); plant the album again."
            )


def examples_of(album: Album, variant: str) -> list[AlbumExample]:
    """The training examples of a variant, in the order of its train.jsonl.

    Raises:
        InputError: There is no such variant, or its files are damaged.
    """
    _variant(album, variant)
    records = dict(_pictures(album, variant).select("example", "record").iter_rows())
    folder = album.folder / variant
    examples = []
    try:
        for line in (folder / TRAIN_FILE).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            turns = [said["value"] for said in row["conversations"]]
            asked = [turn.replace(f"{IMAGE_TOKEN}\n", "", 1) for turn in turns[::2]]
            examples.append(
                AlbumExample(
                    id=row["id"],
                    picture=folder / row["image"],
                    turns=tuple(zip(asked, turns[1::2], strict=True)),
                    record=records[row["id"]] or None,
                )
            )
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(
            f"{folder / TRAIN_FILE}: not the conversations that were planted ({problem}); plant "
            "the album again."
        ) from problem
    return examples


def _variant(album: Album, variant: str) -> VariantRecord:
    variants = album.about.variants
    if variant not in variants:
        raise InputError(
            f'{album.folder}: no variant "{variant}"; it has {", ".join(variants)}.'
            f"{did_you_mean(variant, variants)}"
        )
    return variants[variant]


def _pictures(album: Album, variant: str) -> pl.DataFrame:
    table = _table(album.folder / PICTURES_FILE, PICTURE_COLUMNS)
    return table.filter(pl.col("variant") == variant)


def _about(path: Path) -> AlbumRecord:
    try:
        return AlbumRecord.model_validate_json(path.read_bytes())
    except ValidationError as problem:
        first = problem.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path}: not what an album says of itself ({where or 'JSON'}: {first['msg']})."
        ) from problem


def _table(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    try:
        # An empty cell is an empty text here, never a missing one.
        table = pl.read_csv(path, infer_schema=False).fill_null("")
    except (OSError, pl.exceptions.PolarsError) as problem:
        reason = (str(problem).splitlines() or ["no reason given"])[0]
        raise InputError(f"{path}: the table cannot be read ({reason}).") from problem
    for column in columns:
        if column not in table.columns:
            raise InputError(f'{path}: no column "{column}"; wanted {",".join(columns)}.')
    return table


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise InputError(
            f"{path}: cannot be read ({problem.strerror}); plant the album again."
        ) from problem
