"""What a run observed, as the conclusion reads it: plain tables and arrays, no model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import polars as pl
from jaxtyping import Float

from vlmaudit.data.candidates import Candidate
from vlmaudit.data.identities import Membership, Person, Sex
from vlmaudit.errors import RunError
from vlmaudit.results.blocks import BlockStore
from vlmaudit.results.files import write_whole
from vlmaudit.results.records import ModelRecord

PEOPLE: Final = "people.parquet"
NAMES: Final = "names.parquet"
TEXTS: Final = "texts.npy"
DESIGN: Final = "design.json"
NOTICES: Final = "notices.json"
UNASKED: Final = "not asked yet"


@dataclass(frozen=True, slots=True)
class FailedPicture:
    """A picture for which there is no answer."""

    identity: str
    image: str
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything an identity-inference conclusion rests on.

    Attributes:
        people: The audited.
        controls: People known to be nobody's business here: never audited, never planted.
        study_names: How many of `candidates`, its first, are names of audited people.
        candidates: All names that were encoded; the rest are decoys.
        texts: Unit-length text embeddings.
        pictures: Unit-length embeddings of a person's answered pictures.
        images: The answered pictures' names, in the same order.
        failures: Pictures without an answer, of audited people and of controls.
        design: How people were planted, where the model comes with that record.
    """

    people: tuple[Person, ...]
    controls: tuple[Person, ...]
    study_names: int
    candidates: tuple[Candidate, ...]
    texts: Float[np.ndarray, "names templates dim"]
    pictures: Mapping[str, Float[np.ndarray, "pictures dim"]]
    images: Mapping[str, tuple[str, ...]]
    failures: tuple[FailedPicture, ...]
    notices: tuple[str, ...]
    design: Mapping[str, object] | None
    model: ModelRecord


def write_people(
    private: Path,
    audited: Sequence[Person],
    controls: Sequence[Person],
    cases: Mapping[str, Sequence[tuple[str, str]]],
) -> None:
    """Write who is asked about: a row a person, with the keys and names of their pictures."""
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
            "cases": [key for key, _ in cases.get(person.identity, ())],
            "images": [image for _, image in cases.get(person.identity, ())],
        }
        for role, group in (("audited", audited), ("control", controls))
        for person in group
    ]
    schema: dict[str, pl.DataType | pl.datatypes.DataTypeClass] = {
        "aliases": pl.List(pl.String),
        "occurrences": pl.Int64,
        "cases": pl.List(pl.String),
        "images": pl.List(pl.String),
    }
    table = pl.DataFrame(rows, schema_overrides=schema)
    write_whole(private / PEOPLE, table.write_parquet, private=True)


def write_names(private: Path, study: Sequence[Candidate], decoys: Sequence[Candidate]) -> None:
    """Write the pool: study names first, then decoys."""
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
    write_whole(private / NAMES, table.write_parquet, private=True)


def write_texts(private: Path, texts: Float[np.ndarray, "names templates dim"]) -> None:
    """Write the text embeddings, in the order of the names."""

    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, np.lib.format.header_data_from_array_1_0(texts)
            )
            # numpy's own writer does not say "no space left" when a disk is full.
            file.write(np.ascontiguousarray(texts).data)

    write_whole(private / TEXTS, save, private=True)


def read_observed(private: Path, model: ModelRecord) -> Observed:
    """Read a run's observations.

    Raises:
        RunError: Something is missing: the run was stopped before it had asked every name.
    """
    for needed in (PEOPLE, NAMES, TEXTS):
        if not (private / needed).exists():
            raise RunError(
                f"{private.parent}: stopped before every name was encoded; run the same "
                "identity-inference command again to go on."
            )
    rows = pl.read_parquet(private / PEOPLE).rows(named=True)
    names = pl.read_parquet(private / NAMES)
    persons = {role: tuple(_person(row) for row in rows if row["role"] == role) for role in _ROLES}
    pictures, images, failures = _join_pictures(rows, BlockStore(private / "blocks"))
    design = private / DESIGN
    notices = private / NOTICES
    return Observed(
        people=persons["audited"],
        controls=persons["control"],
        study_names=int((names["role"] == "study").sum()),
        candidates=tuple(
            Candidate(name, sex, origin) for name, sex, origin, _ in names.iter_rows()
        ),
        texts=np.load(private / TEXTS, mmap_mode="r"),
        pictures=pictures,
        images=images,
        failures=failures,
        notices=tuple(json.loads(notices.read_text("utf-8"))) if notices.exists() else (),
        design=json.loads(design.read_text("utf-8")) if design.exists() else None,
        model=model,
    )


_ROLES: Final = ("audited", "control")


def _join_pictures(
    people: Sequence[Mapping[str, object]], store: BlockStore
) -> tuple[
    dict[str, Float[np.ndarray, "pictures dim"]],
    dict[str, tuple[str, ...]],
    tuple[FailedPicture, ...],
]:
    """The answers by person; a picture that is no longer anybody's is left out."""
    answers: dict[str, Float[np.ndarray, " dim"]] = {}
    reasons: dict[str, str] = {}
    for block in store.read():
        embeddings = block["embedding"].to_numpy()
        for place, (case, status, reason) in enumerate(
            block.select("case", "status", "reason").iter_rows()
        ):
            if status == "answered":
                answers[case] = embeddings[place]
            else:
                reasons[case] = reason
    pictures: dict[str, Float[np.ndarray, "pictures dim"]] = {}
    images: dict[str, tuple[str, ...]] = {}
    failures: list[FailedPicture] = []
    for person in people:
        identity = cast("str", person["identity"])
        asked = sorted(
            zip(
                cast("list[str]", person["images"]), cast("list[str]", person["cases"]), strict=True
            )
        )
        images[identity] = tuple(image for image, case in asked if case in answers)
        if images[identity]:
            pictures[identity] = np.stack([answers[case] for _, case in asked if case in answers])
        failures += [
            FailedPicture(identity, image, reasons.get(case, UNASKED))
            for image, case in asked
            if case not in answers
        ]
    return pictures, images, tuple(failures)


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
