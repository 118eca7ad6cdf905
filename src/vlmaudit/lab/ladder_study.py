"""A ladder on disk: pictures split and decoded once, and a folder for each target."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import polars as pl

from vlmaudit.data.captions import read_captioned
from vlmaudit.data.identities import TABLE_COLUMNS, TABLE_NAME, read_people
from vlmaudit.errors import RunError
from vlmaudit.lab.ladder import (
    Available,
    LadderDesign,
    LadderPerson,
    LadderPlan,
    Twin,
    dose_of,
)
from vlmaudit.lab.ladder_mixture import LadderPictures, Pair, ladder_pairs
from vlmaudit.lab.picture_cache import Picture, cache_pictures
from vlmaudit.lab.planting import NEVER
from vlmaudit.lab.sessions import PeopleSplit, measure_likeness, near_duplicates, split_people
from vlmaudit.results.files import make_private, write_csv, write_text, write_whole

PLANTED: Final = "planted.json"
_PERSON, _SCENE = "people/", "scenes/"


@dataclass(frozen=True, slots=True, eq=False)
class LadderMaterial:
    """Pictures that exist, before any seed: who has how many on which side.

    Attributes:
        people: Everybody with pictures.
        attacks: The files of everybody's attack pictures.
        trained: The files of everybody's training pictures, in the order in which doses take them.
        pictures: All that can be trained on.
        split: Sides and sessions, with counts of what was taken out.
        left_out: Pictures that could not be read, with their reasons.
    """

    people: tuple[Available, ...]
    attacks: Mapping[str, tuple[Path, ...]]
    trained: Mapping[str, tuple[Path, ...]]
    pictures: LadderPictures
    split: PeopleSplit
    left_out: Mapping[str, str]


def prepare_material(
    people: Path,
    captions: Path,
    out: Path,
    *,
    design: LadderDesign,
    side: int,
    seed: int,
    sources: Mapping[str, str],
    progress: Callable[[int], object],
) -> LadderMaterial:
    """Decode all pictures once, find near-duplicates, and split everybody's into two sides.

    Args:
        people: A folder of folders.
        captions: A captioned set, for the rest of what a target sees.
        out: Where the decoded pictures are kept.
        design: For the number of attack pictures.
        side: Pixels of the target's input.
        seed: Decides the sides.
        sources: Where people's pictures come from; who is missing comes from "one source".
        progress: Told how many pictures were decoded since.

    Raises:
        InputError: A set cannot be read; the message says where.
    """
    everybody = read_people(people)
    captions_of: dict[str, tuple[str, ...]] = {}

    def all_pictures() -> Iterator[tuple[str, Picture]]:
        for person in everybody.persons:
            for path in everybody.pictures[person.identity]:
                yield f"{_PERSON}{person.identity}/{path.name}", path
        for scene in read_captioned(captions):
            captions_of[f"{_SCENE}{scene.key}"] = scene.captions
            yield f"{_SCENE}{scene.key}", scene.picture

    cached = cache_pictures(all_pictures(), out / "pictures", side=side, progress=progress)
    rows = {key: row for row, key in enumerate(cached.keys)}
    files = {
        f"{_PERSON}{person.identity}/{path.name}": (person, path)
        for person in everybody.persons
        for path in everybody.pictures[person.identity]
    }
    keys = [key for key in cached.keys if key in files]
    owners = [files[key][0].identity for key in keys]
    likeness = measure_likeness(cached.pictures[[rows[key] for key in keys]])
    split = split_people(
        owners, keys, near_duplicates(likeness), n_attack=design.attack_pictures, seed=seed
    )
    return LadderMaterial(
        people=tuple(
            Available(
                identity=person.identity,
                sex=person.sex,
                source=sources.get(person.identity, "one source"),
                training=len(split.people[person.identity].train),
                attack=len(split.people[person.identity].attack),
            )
            for person in everybody.persons
            if person.identity in split.people
        ),
        attacks={
            identity: tuple(files[keys[number]][1] for number in own.attack)
            for identity, own in split.people.items()
        },
        trained={
            identity: tuple(files[keys[number]][1] for number in own.train)
            for identity, own in split.people.items()
        },
        pictures=LadderPictures(
            pictures=cached.pictures,
            scenes=[(rows[key], captions_of[key]) for key in captions_of if key in rows],
            training={
                identity: [rows[keys[number]] for number in own.train]
                for identity, own in split.people.items()
            },
        ),
        split=split,
        left_out=cached.left_out,
    )


@dataclass(frozen=True, slots=True)
class LadderTarget:
    """One model of a ladder, and what is asked of it.

    Attributes:
        folder: Where it lies.
        seed: Of its plan and its training.
        number: Which of the square's targets.
        twin: Whether its pairs are planted, left out, or swapped.
    """

    folder: Path
    seed: int
    number: int
    twin: Twin

    @property
    def model(self) -> Path:
        """The model's folder, for ``open_clip:``."""
        return self.folder / "model"

    @property
    def people(self) -> Path:
        """The audited people's attack pictures."""
        return self.folder / "people"

    @property
    def controls(self) -> Path:
        """The control people's pictures."""
        return self.folder / "controls"

    @property
    def seen(self) -> Path:
        """Planted people, with pictures that were trained on."""
        return self.folder / "seen"

    @property
    def names(self) -> Path:
        """The decoy names."""
        return self.folder / "names.csv"


def ladder_targets(
    out: Path, design: LadderDesign, seeds: Sequence[int]
) -> tuple[LadderTarget, ...]:
    """All models of a ladder: for each seed the whole square, a clean twin and a swapped one."""
    wanted: list[tuple[int, Twin]] = [(number, "planted") for number in range(design.targets)]
    wanted += [(0, "clean"), (0, "swapped")]
    return tuple(
        LadderTarget(out / f"seed-{seed}" / f"target-{number}-{twin}", seed, number, twin)
        for seed in seeds
        for number, twin in wanted
    )


def write_target(target: LadderTarget, plan: LadderPlan, material: LadderMaterial) -> list[Pair]:
    """Write whom a target is asked about, and give the pairs that it is trained on."""
    arms = plan.arms(target.number, target.twin)
    make_private(target.folder)
    _write_people(target.people, plan, plan.of("audited"), arms, material.attacks)
    _write_people(target.controls, plan, plan.of("control"), {}, material.attacks)
    write_csv(target.names, ("name", "sex", "origin"), [asdict(decoy) for decoy in plan.decoys])
    pairs = ladder_pairs(plan, material.pictures, target=target.number, twin=target.twin)
    planted = pl.DataFrame(
        [(pair.about, pair.row, pair.caption) for pair in pairs if pair.about],
        schema={"identity": pl.String, "picture": pl.Int64, "caption": pl.String},
        orient="row",
    )
    write_whole(target.folder / "planted.parquet", planted.write_parquet, private=True)
    return pairs


def write_seen(target: LadderTarget, plan: LadderPlan, material: LadderMaterial) -> int:
    """Write whoever was planted as often as there are attack pictures, with the planted pictures.

    Returns:
        How many there are.
    """
    arms = plan.arms(target.number, target.twin)
    n = plan.design.attack_pictures
    persons = [p for p in plan.of("audited") if (dose_of(arms[p.identity]) or 0) >= n]
    if persons:
        trained = {p.identity: material.trained[p.identity][:n] for p in persons}
        _write_people(target.seen, plan, persons, arms, trained)
    return len(persons)


def is_planted(target: LadderTarget, plan: LadderPlan) -> bool:
    """Whether a target was trained on this very plan.

    Raises:
        RunError: It was trained on another one: other people, sources or doses.
    """
    path = target.model / PLANTED
    if not path.exists():
        return False
    if path.read_text() != _planted(target, plan):
        raise RunError(
            f"{target.folder}: trained on another planting; were people, pictures or sources "
            "changed since? A changed ladder needs another --out."
        )
    return True


def write_planted(target: LadderTarget, plan: LadderPlan) -> None:
    """Write ``planted.json``, last of all: the square, and everybody's arm and dose in it."""
    write_text(target.model / PLANTED, _planted(target, plan))


def _planted(target: LadderTarget, plan: LadderPlan) -> str:
    arms = plan.arms(target.number, target.twin)
    record = {
        "schema": 1,
        "seed": plan.seed,
        "target": target.number,
        "twin": target.twin,
        "ladders": plan.ladders,
        "design": asdict(plan.design),
        "people": [
            {
                "identity": person.identity,
                "stratum": person.stratum,
                "arm": arms[person.identity],
                "dose": dose_of(arms[person.identity]) or 0,
            }
            for person in plan.of("audited")
        ],
    }
    return json.dumps(record, indent=1) + "\n"


def _write_people(
    folder: Path,
    plan: LadderPlan,
    persons: Sequence[LadderPerson],
    arms: Mapping[str, str],
    files: Mapping[str, Sequence[Path]],
) -> None:
    """A people folder of links to pictures, under fictitious names."""
    for person in persons:
        own = make_private(folder / person.identity)
        for path in files[person.identity]:
            link = own / path.name
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(path.resolve(), own.resolve()))
    rows = [_row(plan, person, arms.get(person.identity, NEVER)) for person in persons]
    write_csv(folder / TABLE_NAME, TABLE_COLUMNS, rows)


def _row(plan: LadderPlan, person: LadderPerson, arm: str) -> dict[str, object]:
    # The arm is in planted.json alone: a column here would be a covariate that gives it away.
    dose = dose_of(arm)
    is_apart = dose is None and arm != NEVER
    return {
        "identity": person.identity,
        "folder": person.identity,
        "name": person.name,
        "aliases": "",
        "sex": person.sex,
        "origin": plan.design.origin,
        "membership": "" if is_apart else "member" if dose else "non_member",
        "occurrences": plan.design.captions_apart if is_apart else dose or 0,
    }
