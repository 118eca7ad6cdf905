"""The ladder's randomised design on pictures that exist: who is planted how often, in which target.

The IDIA paper's controlled experiment (section 4.3) planted the same 100 people at every dose and
chose them by how well another model recognised them. Here everybody who has enough pictures meets
every dose of their stratum once, over several targets, in an order that chance decides.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vlmaudit.data.candidates import Candidate, draw_names
from vlmaudit.errors import InputError
from vlmaudit.lab.planting import NAME_ONLY, NEVER, PAIRED, SEXES, UNPAIRED
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import laddered_arms, swapped_arms

Twin = Literal["planted", "clean", "swapped"]

NAMED: Final = "named bystander"
NAMELESS: Final = "nameless stranger"


@dataclass(frozen=True, slots=True)
class Rung:
    """The arms that people with enough pictures meet, one a target.

    Attributes:
        capacity: Training pictures that a person must have.
        arms: ``never``, ``paired N``, ``name-only`` or ``unpaired``.
    """

    capacity: int
    arms: tuple[str, ...]


RUNGS: Final = (
    Rung(75, (NEVER, "paired 5", "paired 25", "paired 75")),
    Rung(25, (NEVER, "paired 1", "paired 10", "paired 25")),
    Rung(5, (NEVER, "paired 5", NAME_ONLY, UNPAIRED)),
    Rung(1, (NEVER, "paired 1", NEVER, NAME_ONLY)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderDesign:
    """What decides a ladder besides its seed and its pictures.

    Attributes:
        rungs: Doses by the pictures that people have, the largest capacity first.
        attack_pictures: Pictures of each audited and control person that no training shows.
        controls: People neither planted nor audited: other faces for every name.
        nameless_share: Of all others, how many are never named by a caption.
        anonymised_share: Of these, how many have captions with "actor" and the like for a name.
        scenes: Pictures of the captioned set that are trained on, at most.
        held_out: Pictures of the captioned set that no target sees; a tenth of a small set.
        captions_apart: Captions with the name in the arms that plant name and face apart.
        decoys_per_sex: Names that are nobody's.
        origin: The Faker locale of all names.
    """

    rungs: tuple[Rung, ...] = RUNGS
    attack_pictures: int = 8
    controls: int = 60
    nameless_share: float = 0.25
    anonymised_share: float = 0.5
    scenes: int = 2500
    held_out: int = 500
    captions_apart: int = 5
    decoys_per_sex: int = 1000
    origin: str = "en_US"

    @property
    def targets(self) -> int:
        """Targets of the square: one for each arm of a rung."""
        return len(self.rungs[0].arms)

    def __post_init__(self) -> None:
        """Refuse what makes no ladder.

        Raises:
            InputError: Rungs differ in length, an arm is not known, or a number makes no sense.
        """
        for name in ("nameless_share", "anonymised_share"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise InputError(f"{name} = {share}: a share is from 0 to 1.")
        for name, least in (("attack_pictures", 1), ("controls", 2), ("scenes", 1)):
            if (count := getattr(self, name)) < least:
                raise InputError(f"{name} = {count}: a ladder needs {least} or more.")
        capacities = [rung.capacity for rung in self.rungs]
        if capacities != sorted(set(capacities), reverse=True):
            raise InputError("the rungs of a ladder go down: the most pictures come first.")
        if len({len(rung.arms) for rung in self.rungs}) != 1:
            raise InputError("every rung of a ladder needs as many arms as there are targets.")
        for rung in self.rungs:
            for arm in rung.arms:
                if dose_of(arm) is None and arm not in {NEVER, NAME_ONLY, UNPAIRED}:
                    raise InputError(
                        f'"{arm}": no arm; wanted {NEVER}, {PAIRED} N, {NAME_ONLY} or {UNPAIRED}.'
                    )
                if (dose := dose_of(arm) or 0) > rung.capacity:
                    raise InputError(
                        f"a dose of {dose} for people with {rung.capacity} pictures; the largest "
                        f"possible is {rung.capacity}."
                    )


@dataclass(frozen=True, slots=True)
class Available:
    """Somebody of whom there are pictures.

    Attributes:
        sex: Of the person where it is known; names are drawn for it.
        source: Where the pictures come from; nobody is compared across sources.
        training: Pictures for training, once near-duplicates of the others are out.
        attack: Pictures for the attack.
    """

    identity: str
    sex: str
    source: str
    training: int
    attack: int


@dataclass(frozen=True, slots=True)
class LadderPerson:
    """Somebody in a ladder, under a fictitious name.

    Attributes:
        role: ``audited``, ``control``, ``named bystander`` or ``nameless stranger``.
        stratum: Within which arms were randomised; empty for everybody else.
        training: Training pictures there are.
    """

    identity: str
    name: str
    sex: str
    role: str
    stratum: str
    training: int


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """A ladder before anything is trained: a function of design, seed and who is available."""

    design: LadderDesign
    seed: int
    people: tuple[LadderPerson, ...]
    decoys: tuple[Candidate, ...]
    ladders: Mapping[str, tuple[str, ...]]

    def of(self, role: str) -> tuple[LadderPerson, ...]:
        """Everybody in a role."""
        return tuple(person for person in self.people if person.role == role)

    def arms(self, target: int, twin: Twin = "planted") -> dict[str, str]:
        """Everybody's arm in a target, by identity.

        The clean twin plants nobody. In the swapped twin people who are never planted and people
        who are have changed places, pair by pair within their stratum.
        """
        audited = self.of("audited")
        strata = [person.stratum for person in audited]
        arms = laddered_arms(strata, self.ladders, target=target, seed=self.seed)
        if twin == "clean":
            arms = [NEVER] * len(arms)
        if twin == "swapped":
            arms = swapped_arms(arms, strata, target=target, seed=self.seed)
        return {person.identity: arm for person, arm in zip(audited, arms, strict=True)}


def parse_rung(text: str) -> Rung:
    """A rung as it is written on the command line.

    >>> parse_rung("25: 0, 1, 10, unpaired")
    Rung(capacity=25, arms=('never', 'paired 1', 'paired 10', 'unpaired'))

    Raises:
        InputError: It is written otherwise.
    """
    capacity, _, arms = text.partition(":")
    if not capacity.strip().isdecimal() or not arms.strip():
        raise InputError(
            f'rung "{text}": wanted PICTURES: ARM, ARM, …, such as "25: 0, 1, 10, 25" or '
            f'"5: 0, 5, {NAME_ONLY}, {UNPAIRED}".'
        )
    return Rung(int(capacity), tuple(_parse_arm(arm.strip()) for arm in arms.split(",")))


def _parse_arm(text: str) -> str:
    if not text.isdecimal():
        return text
    return f"{PAIRED} {int(text)}" if int(text) else NEVER


def source_of(stratum: str) -> str:
    """Where the pictures of a stratum's people come from.

    >>> source_of("press, 2010, male, 25 or more pictures")
    'press, 2010'
    """
    return stratum.rsplit(", ", 2)[0]


def dose_of(arm: str) -> int | None:
    """How often face and name are planted together; None where they are not.

    >>> dose_of("paired 25"), dose_of("never")
    (25, None)
    """
    kind, _, dose = arm.partition(" ")
    return int(dose) if kind == PAIRED and dose.isdecimal() else None


def plan_ladder(design: LadderDesign, people: Sequence[Available], *, seed: int) -> LadderPlan:
    """Randomise a ladder.

    Control people are drawn among those who could be audited on the lower rungs, so that they
    are like them; who has pictures for the highest rung is too rare to be one. All names of a
    sex are one draw, handed out in random order: nothing but planting tells a true name from a
    decoy. Nobody keeps their own name, so that nothing known before can help.

    Raises:
        InputError: There are too few people for the controls, nobody for a rung, or too few
            strangers for names that are planted apart.
    """
    people = sorted(people, key=lambda person: person.identity)
    sexes = _sexes(people, seed)
    audited, strata = _eligible(design, people, sexes)
    controls = _draw_controls(design, audited, strata, seed)
    audited = [person for person in audited if person.identity not in controls]
    rest = [
        person
        for person in people
        if person.identity not in {one.identity for one in audited} | controls
    ]
    order = stream(seed, "strangers").permutation(len(rest))
    n_nameless = round(design.nameless_share * len(rest))
    nameless = {rest[place].identity for place in order[:n_nameless]}
    by_training = {person.identity: person.training for person in people}
    usable = [sexes[identity] for identity in nameless if by_training[identity]]
    _check_strangers(design, [(sexes[p.identity], _rung_of(design, p)) for p in audited], usable)
    roles = (
        {person.identity: "audited" for person in audited}
        | dict.fromkeys(controls, "control")
        | {p.identity: NAMELESS if p.identity in nameless else NAMED for p in rest}
    )
    names, decoys = _names(design, [sexes[person.identity] for person in people], seed)
    return LadderPlan(
        design=design,
        seed=seed,
        people=tuple(
            LadderPerson(
                identity=person.identity,
                name=name,
                sex=sexes[person.identity],
                role=roles[person.identity],
                stratum=strata[person.identity] if roles[person.identity] == "audited" else "",
                training=person.training,
            )
            for person, name in zip(people, names, strict=True)
        ),
        decoys=decoys,
        ladders={strata[person.identity]: _rung_of(design, person).arms for person in audited},
    )


def _eligible(
    design: LadderDesign, people: Sequence[Available], sexes: Mapping[str, str]
) -> tuple[list[Available], dict[str, str]]:
    """Who has enough pictures to be audited, and their strata: source, sex and rung."""
    lowest = min(rung.capacity for rung in design.rungs)
    able = [
        person
        for person in people
        if person.attack >= design.attack_pictures and person.training >= lowest
    ]
    if not able:
        most = max((person.attack for person in people), default=0)
        raise InputError(
            f"nobody has {design.attack_pictures} pictures for the attack beside {lowest} for "
            f"training; the largest attack possible is {most}."
        )
    return able, {
        person.identity: (
            f"{person.source}, {sexes[person.identity]}, "
            f"{_rung_of(design, person).capacity} or more pictures"
        )
        for person in able
    }


def _check_strangers(
    design: LadderDesign, audited: Sequence[tuple[str, Rung]], nameless: Sequence[str]
) -> None:
    """Names planted apart meet another stranger's face in each caption: there must be so many."""
    for sex in sorted({sex for sex, rung in audited if {NAME_ONLY, UNPAIRED} & {*rung.arms}}):
        if (there := nameless.count(sex)) < design.captions_apart:
            raise InputError(
                f"names are planted with {design.captions_apart} strangers' faces of the same sex, "
                f"and there are {there} {sex} strangers whom no caption names; give more people "
                "with few pictures, a larger --nameless-share, or rungs (--rung) without "
                f"{NAME_ONLY} and {UNPAIRED}."
            )


def _rung_of(design: LadderDesign, person: Available) -> Rung:
    return next(rung for rung in design.rungs if person.training >= rung.capacity)


def _draw_controls(
    design: LadderDesign, able: Sequence[Available], strata: Mapping[str, str], seed: int
) -> set[str]:
    top = {rung.capacity for rung in design.rungs[: len(design.rungs) // 2]}
    pool = [person for person in able if _rung_of(design, person).capacity not in top]
    if len(pool) < 2 * design.controls:
        raise InputError(
            f"{design.controls} control people of {len(pool)} who could be some would leave too "
            f"few to audit; the largest number is {len(pool) // 2}."
        )
    # In proportion to the strata, so that controls come from where the audited do.
    rng = stream(seed, "controls")
    by_stratum: dict[str, list[str]] = {}
    for person in pool:
        by_stratum.setdefault(strata[person.identity], []).append(person.identity)
    queue = [
        (place / len(members), members[chosen])
        for members in by_stratum.values()
        for place, chosen in enumerate(rng.permutation(len(members)).tolist())
    ]
    return {identity for _, identity in sorted(queue)[: design.controls]}


def _sexes(people: Sequence[Available], seed: int) -> dict[str, str]:
    """Whose sex is not known gets one for the name, by a coin."""
    coins = stream(seed, "sexes").integers(2, size=len(people))
    return {
        person.identity: person.sex or SEXES[coin]
        for person, coin in zip(people, coins.tolist(), strict=True)
    }


def _names(
    design: LadderDesign, sexes: Sequence[str], seed: int
) -> tuple[list[str], tuple[Candidate, ...]]:
    needed = Counter(sexes)
    drawn: dict[str, list[str]] = {}
    taken: list[str] = []
    for sex in SEXES:
        count = needed[sex] + design.decoys_per_sex
        rng = stream(seed, "names", sex)
        names = draw_names(count, sex=sex, origin=design.origin, rng=rng, exclude=taken)
        drawn[sex] = [names[place] for place in rng.permutation(count)]
        taken += names
    own = [drawn[sex].pop() for sex in sexes]
    decoys = tuple(Candidate(name, sex, design.origin) for sex in SEXES for name in drawn[sex])
    return own, decoys
