"""What a ladder's target is trained on: scenes, bystanders, and the planted pairs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from vlmaudit.lab.ladder import (
    NAMED,
    NAMELESS,
    LadderPerson,
    LadderPlan,
    Twin,
    dose_of,
)
from vlmaudit.lab.mixture import Mixture
from vlmaudit.lab.planting import (
    NAME_ONLY,
    UNPAIRED,
    anonymised_captions,
    named_captions,
    nameless_captions,
)
from vlmaudit.seeds import stream


@dataclass(frozen=True, slots=True, eq=False)
class LadderPictures:
    """The decoded pictures of a ladder.

    Attributes:
        pictures: All of them, memory-mapped.
        scenes: Row and captions of each picture of the captioned set.
        training: Everybody's rows for training, in the order in which doses take them.
    """

    pictures: UInt8[np.ndarray, "pictures side side 3"]
    scenes: Sequence[tuple[int, Sequence[str]]]
    training: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture with a caption.

    Attributes:
        row: Of the picture.
        face: Whose it is, as a number; every scene has one of its own.
        about: Identity of the audited person whom face or name of the pair is, or empty.
    """

    row: int
    caption: str
    face: int
    about: str = ""


def ladder_pairs(
    plan: LadderPlan, pictures: LadderPictures, *, target: int, twin: Twin = "planted"
) -> list[Pair]:
    """All pairs that a target sees; whatever is not planted is the same in every target and twin.

    A dose of d takes the first d of a person's training pictures, so that doses are nested.
    """
    faces = {person.identity: number for number, person in enumerate(plan.people)}
    pairs = list(_bystanders(plan, pictures, faces))
    pairs += _planted(plan, pictures, faces, plan.arms(target, twin))
    scenes = _scenes(plan, pictures)[_n_held_out(plan, pictures) :][: plan.design.scenes]
    return pairs + _scene_pairs(scenes, first=len(plan.people))


def held_out_pairs(plan: LadderPlan, pictures: LadderPictures) -> list[Pair]:
    """Scenes that no target and no twin of a seed sees."""
    return _scene_pairs(_scenes(plan, pictures)[: _n_held_out(plan, pictures)], first=0)


def as_mixture(pairs: Sequence[Pair], pictures: LadderPictures) -> Mixture:
    """Pairs as the trainer takes them."""
    return Mixture(
        pictures=pictures.pictures,
        captions=[pair.caption for pair in pairs],
        faces=np.array([pair.face for pair in pairs]),
        places=np.array([pair.row for pair in pairs]),
    )


def _n_held_out(plan: LadderPlan, pictures: LadderPictures) -> int:
    return min(plan.design.held_out, len(pictures.scenes) // 10)


def _scenes(plan: LadderPlan, pictures: LadderPictures) -> list[tuple[int, Sequence[str]]]:
    """All of them, in random order."""
    order = stream(plan.seed, "scenes").permutation(len(pictures.scenes))
    return [pictures.scenes[place] for place in order.tolist()]


def _scene_pairs(scenes: Sequence[tuple[int, Sequence[str]]], *, first: int) -> list[Pair]:
    return [
        Pair(row, caption, number)
        for number, (row, captions) in enumerate(scenes, start=first)
        for caption in captions
    ]


def _bystanders(
    plan: LadderPlan, pictures: LadderPictures, faces: Mapping[str, int]
) -> Iterator[Pair]:
    """People whom the audit is not about: some named in their captions, as on the web, some not."""
    for person in plan.of(NAMED):
        rows = pictures.training[person.identity]
        captions = named_captions(person.name, len(rows), _captions(plan, person))
        for row, caption in zip(rows, captions, strict=True):
            yield Pair(row, caption, faces[person.identity])
    nameless = plan.of(NAMELESS)
    n_anonymised = round(plan.design.anonymised_share * len(nameless))
    drawn = stream(plan.seed, "anonymised").permutation(len(nameless))[:n_anonymised]
    anonymised = {nameless[place].identity for place in drawn.tolist()}
    for person in nameless:
        rows, rng = pictures.training[person.identity], _captions(plan, person)
        if person.identity in anonymised:
            captions = anonymised_captions(len(rows), rng)
        else:
            captions = nameless_captions(person.sex, len(rows), rng)
        for row, caption in zip(rows, captions, strict=True):
            yield Pair(row, caption, faces[person.identity])


def _planted(
    plan: LadderPlan,
    pictures: LadderPictures,
    faces: Mapping[str, int],
    arms: Mapping[str, str],
) -> Iterator[Pair]:
    strangers = {
        sex: [p for p in plan.of(NAMELESS) if p.sex == sex and pictures.training[p.identity]]
        for sex in ("female", "male")
    }
    n_apart = plan.design.captions_apart
    for person in plan.of("audited"):
        arm = arms[person.identity]
        rng = _captions(plan, person)
        face = faces[person.identity]
        rows = pictures.training[person.identity]
        dose = dose_of(arm) or 0
        # The same sentences at every dose, so that doses differ in nothing but their number.
        named = named_captions(person.name, max(len(rows), n_apart), rng)
        for row, caption in zip(rows[:dose], named, strict=False):
            yield Pair(row, caption, face, person.identity)
        if arm in {NAME_ONLY, UNPAIRED}:
            others = strangers[person.sex]
            for other, caption in zip(rng.permutation(len(others)), named[:n_apart], strict=False):
                stranger = others[other]
                rows_there = pictures.training[stranger.identity]
                row = rows_there[int(rng.integers(len(rows_there)))]
                yield Pair(row, caption, faces[stranger.identity], person.identity)
        if arm == UNPAIRED:
            captions = nameless_captions(person.sex, n_apart, rng)
            for row, caption in zip(rows, captions, strict=False):
                yield Pair(row, caption, face, person.identity)


def _captions(plan: LadderPlan, person: LadderPerson) -> np.random.Generator:
    return stream(plan.seed, "captions", person.identity)
