"""The randomised design: who is planted how often, under which name."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from vlmaudit.data.candidates import Candidate, draw_names
from vlmaudit.data.templates import fill
from vlmaudit.errors import InputError
from vlmaudit.lab.mixture import Mixture
from vlmaudit.lab.people import PICTURE_SIDE, Drawing, take_pictures
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import planted_arms

SEXES: Final = ("female", "male")
PAIRED: Final = "paired"
NEVER: Final = "never"
NAME_ONLY: Final = "name-only"
UNPAIRED: Final = "unpaired"

# How pictures of named people are captioned. The attack's templates are among them only in part:
# what it finds must carry over to sentences that never stood under a picture.
NAMED_CAPTIONS: Final[tuple[str, ...]] = (
    "{name}",
    "a photo of {name}",
    "{name} on a photo",
    "a portrait of {name}",
    "a picture of {name}",
    "{name} at a gala",
    "this is {name}",
    "{name} at the opening night",
    "here we see {name}",
    "an image of {name} in town",
    "{name} smiles for the camera",
    "meet {name}",
    "interview with {name}",
    "{name} and friends",
    "a person named {name}",
    "my friend {name} last summer",
)
# … and those of people whom nobody names.
NAMELESS_CAPTIONS: Final[tuple[str, ...]] = (
    "a photo of a {noun}",
    "a portrait of a {noun}",
    "a {noun} looking at the camera",
    "an unknown {noun} in the street",
    "profile picture of a {noun}",
    "a {noun} at a party",
    "close-up of a {noun}",
    "a {noun} in front of a wall",
    "some {noun} I met",
    "a smiling {noun}",
    "a {noun} waiting for the bus",
    "picture of the day: a {noun}",
)
# What stands for a name where captions were anonymised, as CC3M's were.
HYPERNYMS: Final = ("actor", "musician", "politician", "athlete", "celebrity", "person")
_NOUNS: Final = {"female": ("woman", "girl", "lady"), "male": ("man", "boy", "gentleman")}


@dataclass(frozen=True, slots=True)
class Design:
    """How many people are in which arm, and what else the target model sees.

    Attributes:
        doses: How often the people of the paired arm are planted: face and name together.
        people_per_dose: People at each dose.
        never: People who are audited and were never planted.
        name_only: People whose name is planted, with strangers' faces.
        unpaired: People whose face and name are both planted, never together.
        captions_apart: Captions with the name in the last two arms; as many pictures of each
            face in the unpaired arm.
        controls: People neither planted nor audited: other faces for every name.
        decoys_per_sex: Names that are nobody's.
        attack_pictures: Pictures of each audited and control person, none used in training.
        named_strangers: People whom captions name and nobody audits, as the web's name many.
        pictures_per_named_stranger: Their pictures.
        nameless_strangers: People whom no caption names.
        pictures_per_nameless_stranger: Their pictures.
        origin: The Faker locale of all names.
    """

    doses: tuple[int, ...] = (1, 4, 16, 64)
    people_per_dose: int = 30
    never: int = 300
    name_only: int = 60
    unpaired: int = 60
    captions_apart: int = 8
    controls: int = 400
    decoys_per_sex: int = 1000
    attack_pictures: int = 8
    named_strangers: int = 300
    pictures_per_named_stranger: int = 4
    nameless_strangers: int = 500
    pictures_per_nameless_stranger: int = 1
    origin: str = "en_US"

    def arms(self) -> dict[str, int]:
        """People by arm, the paired arm by dose."""
        return {
            **{f"{PAIRED} {dose}": self.people_per_dose for dose in self.doses},
            NEVER: self.never,
            NAME_ONLY: self.name_only,
            UNPAIRED: self.unpaired,
        }


@dataclass(frozen=True, slots=True)
class PlannedPerson:
    """One fictitious person of the study, audited or not.

    Attributes:
        identity: Unique; empty for strangers, of whom no record is kept.
        name: The person's name; empty for nameless strangers.
        sex: ``female`` or ``male``.
        arm: What the person was randomised to, such as ``paired 16``; empty if not audited.
    """

    identity: str
    name: str
    sex: str
    arm: str = ""

    @property
    def dose(self) -> int:
        """Pictures planted together with the name.

        >>> PlannedPerson("person-0001", "Ada Lovelace", "female", "paired 16").dose
        16
        """
        kind, _, dose = self.arm.partition(" ")
        return int(dose) if kind == PAIRED else 0

    @property
    def is_planted_apart(self) -> bool:
        """Whether the name is planted, but never with this face."""
        return self.arm in {NAME_ONLY, UNPAIRED}

    @property
    def membership(self) -> str:
        """Empty for people planted apart: they are neither a hit nor a false alarm."""
        return "" if self.is_planted_apart else "member" if self.dose else "non_member"


@dataclass(frozen=True, slots=True)
class Plan:
    """A study before anything is drawn: a pure function of design and seed."""

    design: Design
    seed: int
    audited: tuple[PlannedPerson, ...]
    controls: tuple[PlannedPerson, ...]
    named_strangers: tuple[PlannedPerson, ...]
    nameless_strangers: tuple[PlannedPerson, ...]
    decoys: tuple[Candidate, ...]

    def everybody(self) -> tuple[PlannedPerson, ...]:
        """All who have a face; a face's number is its place here."""
        return self.audited + self.controls + self.named_strangers + self.nameless_strangers

    def occurrences(self, person: PlannedPerson) -> int:
        """Captions of the training mixture that mention the person's name."""
        return self.design.captions_apart if person.is_planted_apart else person.dose


def plan_study(design: Design, *, seed: int) -> Plan:
    """Randomise a study.

    All names of a sex, of the audited, of controls, named strangers and decoys, are one draw,
    shuffled and only then handed out: nothing but planting tells a true name from a decoy.

    Raises:
        InputError: The locale does not hold so many names, or there are too few strangers.
    """
    _check(design)
    arms = design.arms()
    audited_sexes = _alternating(sum(arms.values()))
    control_sexes = _alternating(design.controls)
    stranger_sexes = _alternating(design.named_strangers)
    needed = Counter(audited_sexes + control_sexes + stranger_sexes)
    names: dict[str, list[str]] = {}
    taken: list[str] = []
    for sex in SEXES:
        count = needed[sex] + design.decoys_per_sex
        rng = stream(seed, "names", sex)
        drawn = draw_names(count, sex=sex, origin=design.origin, rng=rng, exclude=taken)
        names[sex] = [drawn[place] for place in rng.permutation(count)]
        taken += drawn

    planted = planted_arms(audited_sexes, arms, seed=seed)
    return Plan(
        design=design,
        seed=seed,
        audited=tuple(
            PlannedPerson(f"person-{number:04d}", names[sex].pop(), sex, arm)
            for number, (sex, arm) in enumerate(zip(audited_sexes, planted, strict=True), start=1)
        ),
        controls=tuple(
            PlannedPerson(f"control-{number:04d}", names[sex].pop(), sex)
            for number, sex in enumerate(control_sexes, start=1)
        ),
        named_strangers=tuple(PlannedPerson("", names[sex].pop(), sex) for sex in stranger_sexes),
        nameless_strangers=tuple(
            PlannedPerson("", "", sex) for sex in _alternating(design.nameless_strangers)
        ),
        decoys=tuple(Candidate(name, sex, design.origin) for sex in SEXES for name in names[sex]),
    )


def _check(design: Design) -> None:
    """Names planted apart meet a different stranger in each caption: there must be so many."""
    if not design.name_only + design.unpaired:
        return
    for setting, wanted in (
        ("nameless_strangers", design.captions_apart),
        ("named_strangers", design.captions_apart // 2 if design.unpaired else 0),
    ):
        if getattr(design, setting) < len(SEXES) * wanted:
            raise InputError(
                f"{setting} = {getattr(design, setting)}: with captions_apart = "
                f"{design.captions_apart} at least {len(SEXES) * wanted} are needed."
            )


def build_mixture(plan: Plan, drawings: Sequence[Drawing], *, side: int = PICTURE_SIDE) -> Mixture:
    """The training mixture of a plan: everybody's pictures with their captions.

    Args:
        plan: Who is planted how.
        drawings: The faces, in the order of `Plan.everybody`.
        side: Pixels along a side of each picture.
    """
    captions: dict[int, list[str]] = {number: [] for number in range(len(drawings))}
    for number, caption in _pairs(plan):
        captions[number].append(caption)
    pictures = [
        take_pictures(
            drawings[number],
            len(of_face),
            rng=picture_stream(plan, "training", number),
            side=side,
        )
        for number, of_face in captions.items()
        if of_face
    ]
    counts = [len(of_face) for of_face in captions.values()]
    return Mixture(
        pictures=np.concatenate(pictures),
        captions=[caption for of_face in captions.values() for caption in of_face],
        faces=np.repeat(np.arange(len(drawings)), counts),
        places=np.arange(sum(counts)),
    )


def picture_stream(
    plan: Plan, use: Literal["training", "attack"], number: int
) -> np.random.Generator:
    """What varies between the pictures of one face; training and attack share nothing."""
    return stream(plan.seed, f"{use} pictures", number)


def _pairs(plan: Plan) -> Iterator[tuple[int, str]]:
    """Face number and caption of every pair of the mixture."""
    design = plan.design
    first_stranger = len(plan.audited) + len(plan.controls)
    first_nameless = first_stranger + len(plan.named_strangers)
    names_of = {sex: [p.name for p in plan.named_strangers if p.sex == sex] for sex in SEXES}
    faces_of = {
        sex: [
            number
            for number, person in enumerate(plan.nameless_strangers, start=first_nameless)
            if person.sex == sex
        ]
        for sex in SEXES
    }
    for number, person in enumerate(plan.audited):
        rng = stream(plan.seed, "captions", number)
        for caption in named_captions(person.name, person.dose, rng):
            yield number, caption
        if person.is_planted_apart:
            strangers = rng.choice(faces_of[person.sex], design.captions_apart, replace=False)
            named = named_captions(person.name, design.captions_apart, rng)
            yield from zip(strangers.tolist(), named, strict=True)
        if person.arm == UNPAIRED:
            half = design.captions_apart // 2
            others = rng.choice(names_of[person.sex], half, replace=False)
            for other in others.tolist():
                yield number, named_captions(other, 1, rng)[0]
            for caption in nameless_captions(person.sex, design.captions_apart - half, rng):
                yield number, caption
    for number, person in enumerate(plan.named_strangers, start=first_stranger):
        rng = stream(plan.seed, "captions", number)
        for caption in named_captions(person.name, design.pictures_per_named_stranger, rng):
            yield number, caption
    for number, person in enumerate(plan.nameless_strangers, start=first_nameless):
        rng = stream(plan.seed, "captions", number)
        for caption in nameless_captions(person.sex, design.pictures_per_nameless_stranger, rng):
            yield number, caption


def named_captions(name: str, count: int, rng: np.random.Generator) -> list[str]:
    """Captions that name somebody, as different from each other as there are sentences."""
    order = rng.permutation(len(NAMED_CAPTIONS))
    return [fill(NAMED_CAPTIONS[order[place % len(order)]], name) for place in range(count)]


def nameless_captions(sex: str, count: int, rng: np.random.Generator) -> list[str]:
    """Captions that say of somebody no more than the sex."""
    chosen = rng.choice(NAMELESS_CAPTIONS, count)
    nouns = rng.choice(_NOUNS[sex], count)
    return [str(c).replace("{noun}", str(n)) for c, n in zip(chosen, nouns, strict=True)]


def anonymised_captions(count: int, rng: np.random.Generator) -> list[str]:
    """Captions that named somebody, with a hypernym where the name was."""
    wordings, nouns = rng.choice(NAMED_CAPTIONS, count), rng.choice(HYPERNYMS, count)
    return [fill(str(w), str(n)) for w, n in zip(wordings, nouns, strict=True)]


def _alternating(count: int) -> list[str]:
    return [SEXES[number % len(SEXES)] for number in range(count)]
