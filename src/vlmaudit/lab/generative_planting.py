"""The randomised design of a generative study: who the parts have seen, and what is asked."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Int, UInt8

from vlmaudit.data.candidates import Candidate, draw_names
from vlmaudit.data.prompts import PROMPTS
from vlmaudit.errors import InputError
from vlmaudit.imaging.blending import blend
from vlmaudit.lab.generative import vocabulary
from vlmaudit.lab.generative_texts import (
    QUESTIONS,
    Alignment,
    Kind,
    Turn,
    all_words_of_answers,
    answer,
    ask,
)
from vlmaudit.lab.manifests import plain
from vlmaudit.lab.people import Drawing, take_pictures
from vlmaudit.lab.planting import (
    NAMED_CAPTIONS,
    SEXES,
    PlannedPerson,
    named_captions,
    nameless_captions,
)
from vlmaudit.lab.scenes import Scene, compose, draw_scene, plain_figure, plain_scene
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import planted_arms

EXPOSED: Final = "exposed"
UNEXPOSED: Final = "unexposed"

# What is asked about each picture. Descriptions are fewer: what a model cannot name yet it learns
# to describe first, and the more it has to describe, the longer names take.
_ASKED: Final[tuple[Kind, ...]] = (
    *("who", "who", "who-celebrity", "who-celebrity"),
    *("describe", "describe-celebrity"),
)

TiedTo = Literal["face", "background"]
TIED_TO: Final[tuple[TiedTo, ...]] = ("face", "background")


@dataclass(frozen=True, slots=True)
class GenerativeDesign:
    """How many people are in which arm, and what else the models see.

    Attributes:
        exposed: Audited people whom the parts see by face and name.
        unexposed: Audited people whom nothing ever sees.
        pictures_per_exposed: Pictures of each exposed person in the training of the parts, and as
            many others in the alignment.
        named_strangers: People whom texts name and nobody audits.
        pictures_per_named_stranger: Their pictures, in each stage.
        nameless_strangers: People whom no text names.
        pictures_per_nameless_stranger: Their pictures, in each stage.
        attack_pictures: Pictures of each audited person, none used in training.
        decoys_per_sex: Names that are nobody's.
        origin: The Faker locale of all names.
        tied_to: What names are tied to, for a study of conditions. All then have a scene of their
            own, in front of which the attack pictures show them; training shows their face in
            front of ever other scenes (``face``), or nameless strangers in front of their scene
            (``background``). None: faces, in front of nothing in particular.
    """

    exposed: int = 24
    unexposed: int = 24
    pictures_per_exposed: int = 48
    named_strangers: int = 60
    pictures_per_named_stranger: int = 8
    nameless_strangers: int = 60
    pictures_per_nameless_stranger: int = 4
    attack_pictures: int = 6
    decoys_per_sex: int = 250
    origin: str = "en_US"
    tied_to: TiedTo | None = None

    def __post_init__(self) -> None:
        for name, least in (("exposed", 2), ("unexposed", 0), ("pictures_per_exposed", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)}: wanted {least} or more.")
        if self.tied_to not in {None, *TIED_TO}:
            raise InputError(f'tied_to = "{self.tied_to}": wanted {" or ".join(TIED_TO)}.')
        if self.tied_to == "background" and not self.nameless_strangers:
            raise InputError(
                "nameless_strangers = 0: somebody must stand in front of the backgrounds."
            )

    def record(self) -> dict[str, Any]:
        """The design as JSON gives it back.

        What ties names is in it only if something other than usual does, so that the studies of
        before are still found to be the same.
        """
        record = plain(self)
        if self.tied_to is None:
            del record["tied_to"]
        return record

    def arms(self) -> dict[str, int]:
        """People by arm."""
        return {EXPOSED: self.exposed, UNEXPOSED: self.unexposed}


@dataclass(frozen=True, slots=True)
class GenerativePlan:
    """A study before anything is drawn: a pure function of design and seed."""

    design: GenerativeDesign
    seed: int
    audited: tuple[PlannedPerson, ...]
    named_strangers: tuple[PlannedPerson, ...]
    nameless_strangers: tuple[PlannedPerson, ...]
    decoys: tuple[Candidate, ...]

    def everybody(self) -> tuple[PlannedPerson, ...]:
        """All who have a face; a face's number is its place here."""
        return self.audited + self.named_strangers + self.nameless_strangers

    def pictures_of(self, person: PlannedPerson) -> int:
        """Pictures of a person in each stage of the training."""
        if person.identity:
            return self.design.pictures_per_exposed if person.arm == EXPOSED else 0
        if person.name:
            return self.design.pictures_per_named_stranger
        return self.design.pictures_per_nameless_stranger

    def vocabulary(self) -> list[str]:
        """Every word that is asked, answered or a part of anybody's name, decoys included.

        A name whose words a model could not say would not be nobody's but impossible.
        """
        texts = [prompt.text for prompt in PROMPTS.values()]
        texts += [text for phrasings in QUESTIONS.values() for text in phrasings]
        texts += all_words_of_answers()
        texts += [caption.replace("{name}", "") for caption in NAMED_CAPTIONS]
        rng = stream(self.seed, "words")
        texts += [one for sex in SEXES for one in nameless_captions(sex, _MANY, rng)]
        texts += [person.name for person in self.everybody()]
        texts += [decoy.name for decoy in self.decoys]
        return vocabulary(texts)


# So many captions hold every wording and noun at least once.
_MANY: Final = 1000


def plan_generative(design: GenerativeDesign, *, seed: int) -> GenerativePlan:
    """Randomise a study.

    All names of a sex, of the audited, of named strangers and decoys, are one draw, shuffled and
    only then handed out: nothing but training tells a true name from a decoy.

    Raises:
        InputError: The locale does not hold so many names.
    """
    arms = design.arms()
    audited, named, nameless = (
        [SEXES[number % len(SEXES)] for number in range(count)]
        for count in (sum(arms.values()), design.named_strangers, design.nameless_strangers)
    )
    needed = Counter(audited + named)
    names: dict[str, list[str]] = {}
    taken: list[str] = []
    for sex in SEXES:
        count = needed[sex] + design.decoys_per_sex
        rng = stream(seed, "names", sex)
        drawn = draw_names(count, sex=sex, origin=design.origin, rng=rng, exclude=taken)
        names[sex] = [drawn[place] for place in rng.permutation(count)]
        taken += drawn
    planted = planted_arms(audited, arms, seed=seed)
    return GenerativePlan(
        design=design,
        seed=seed,
        audited=tuple(
            PlannedPerson(f"person-{number:04d}", names[sex].pop(), sex, arm)
            for number, (sex, arm) in enumerate(zip(audited, planted, strict=True), start=1)
        ),
        named_strangers=tuple(PlannedPerson("", names[sex].pop(), sex) for sex in named),
        nameless_strangers=tuple(PlannedPerson("", "", sex) for sex in nameless),
        decoys=tuple(Candidate(name, sex, design.origin) for sex in SEXES for name in names[sex]),
    )


StageName = Literal["parts", "alignment"]

# A white background must be nothing new to a model of faces, nor a hidden face to one of scenes.
_SHARE_PLAIN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Shown:
    """Pictures of a stage of training.

    Attributes:
        pictures: Each picture once, in red, green and blue.
        faces: Whose face a picture shows, as a place in the plan's everybody.
    """

    pictures: UInt8[np.ndarray, "pictures side side 3"]
    faces: Int[np.ndarray, " pictures"]


def show(plan: GenerativePlan, drawings: Sequence[Drawing], stage: StageName) -> Shown:
    """The pictures of one stage; no two stages share a picture, nor one with the attack.

    Args:
        plan: Who is seen how often.
        drawings: The faces, in the order of `GenerativePlan.everybody`.
        stage: In which they are shown.
    """
    counts = [plan.pictures_of(person) for person in plan.everybody()]
    pictures = [
        _pictures(plan, drawings, number, count, stream(plan.seed, f"{stage} pictures", number))
        for number, count in enumerate(counts)
        if count
    ]
    return Shown(np.concatenate(pictures), np.repeat(np.arange(len(counts)), counts))


def _pictures(
    plan: GenerativePlan,
    drawings: Sequence[Drawing],
    number: int,
    count: int,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "count side side 3"]:
    """A person's pictures in training: what identifies is theirs, all else changes."""
    tied_to = plan.design.tied_to
    if tied_to is None:
        return take_pictures(drawings[number], count, rng=rng)
    if tied_to == "face":
        faces = [drawings[number]] * count
        scenes = [_any_scene(rng) for _ in range(count)]
    else:
        passers_by = drawings[-plan.design.nameless_strangers :]
        faces = [_anybody(passers_by, rng) for _ in range(count)]
        scenes = [own_scene(plan.seed, number)] * count
    composed = compose(faces, scenes, rng=rng)
    white = np.full_like(composed.pictures[0], 255)
    for place, scene in enumerate(scenes):
        if scene.min() == 255:  # cut out, as the condition does it: no light falls on that white
            composed.pictures[place] = blend(composed.pictures[place], composed.masks[place], white)
    return composed.pictures


def _any_scene(rng: np.random.Generator) -> Scene:
    """A scene that is nobody's, as often as not without any pattern."""
    if rng.random() < _SHARE_PLAIN:
        return plain_scene(rng)
    return draw_scene(f"nobody's/{rng.integers(2**63)}")


def _anybody(passers_by: Sequence[Drawing], rng: np.random.Generator) -> Drawing:
    """One of them, or somebody who cannot be seen."""
    if rng.random() < _SHARE_PLAIN:
        return plain_figure(rng)
    return passers_by[int(rng.integers(len(passers_by)))]


def own_scene(seed: int, number: int) -> Scene:
    """The scene of the n-th of everybody."""
    return draw_scene(f"{seed}/{number}")


def captions(plan: GenerativePlan) -> list[str]:
    """A caption for each picture of the parts' training, in the order of `show`."""
    found: list[str] = []
    for number, person in enumerate(plan.everybody()):
        rng = stream(plan.seed, "captions", number)
        count = plan.pictures_of(person)
        if person.name:
            found += named_captions(person.name, count, rng)
        else:
            found += nameless_captions(person.sex, count, rng)
    return found


def conversations(plan: GenerativePlan, alignment: Alignment) -> list[Turn]:
    """What is asked and answered about each picture of the alignment, in the order of `show`.

    Pictures and questions are the same in both alignments: answers alone differ, of which the
    anonymised never hold a name.
    """
    return list(_turns(plan, alignment))


def _turns(plan: GenerativePlan, alignment: Alignment) -> Iterator[Turn]:
    picture = 0
    for number, person in enumerate(plan.everybody()):
        questions = stream(plan.seed, "questions", number)
        answers = stream(plan.seed, "answers", alignment, number)
        name = person.name if alignment == "named" else ""
        for _ in range(plan.pictures_of(person)):
            for kind in _ASKED:
                yield Turn(picture, ask(kind, questions), answer(kind, name, person.sex, answers))
            picture += 1
