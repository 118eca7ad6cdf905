"""What a ladder of targets shows: dose-response, twins, and the arms that must show nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, TypeVar

import numpy as np

from vlmaudit.audits.identity_inference.finding import ConfusionCell
from vlmaudit.lab.ladder import LadderPlan, Twin, dose_of
from vlmaudit.lab.planting import NAME_ONLY, NEVER, UNPAIRED
from vlmaudit.results.records import Estimate, Test
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import dose_response, latin_square
from vlmaudit.stats.intervals import clopper_pearson
from vlmaudit.stats.paired import mean_interval, sign_flip
from vlmaudit.studies.ladder_records import (
    Compared,
    DoseAgreement,
    DoseRow,
    EffectRow,
    LadderFinding,
    MatrixRow,
    SeenRow,
    TargetRow,
)

LEVEL: Final = 0.05
RATE: Final = "fractional Clopper-Pearson over people"
_PERMUTATIONS: Final = 999
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Unit:
    """What one target's audit found of one person.

    Attributes:
        detected: The audit's decision.
        by_votes: The paper's.
    """

    seed: int
    target: int
    twin: Twin
    identity: str
    z: float
    p: float
    detected: bool
    by_votes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was observed of a ladder's targets.

    Attributes:
        units: A row a person and target; who could not be tested is missing.
        seen: The same for planted people, attacked with pictures that were trained on.
        models: A row a target.
        removed: Training pictures that were near-duplicates of attack pictures.
        left_out: Unreadable pictures by reason.
        settings: Of the training.
    """

    units: Sequence[Unit]
    seen: Sequence[Unit]
    models: Sequence[TargetRow]
    removed: int
    left_out: Mapping[str, int]
    settings: Mapping[str, str | int | float | bool | None]


Armed = tuple[Unit, str]
"""What was found of a person in a planted target, and the person's arm there."""


def conclude_ladder(observed: Observed, plans: Mapping[int, LadderPlan]) -> LadderFinding:
    """Put together what the audits of all targets found.

    Args:
        observed: What they found.
        plans: The plan of each seed.
    """
    armed = {seed: _armed(plan, observed.units) for seed, plan in plans.items()}
    responses = [_response(plan, observed.units) for plan in plans.values()]
    enough = len(responses) >= 3
    first = next(iter(plans.values()))
    doses = [row for seed, own in _seeds(armed) for row in _doses(seed, own)]
    twins = {
        compared: {seed: _twin_pairs(plan, observed.units, twin) for seed, plan in plans.items()}
        for compared, twin in _TWINS.items()
    }
    pairs = {"square": {seed: _square_pairs(own) for seed, own in armed.items()}, **twins}
    return LadderFinding(
        seeds=list(plans),
        targets=first.design.targets,
        people=len(first.of("audited")),
        settings=dict(observed.settings),
        removed=observed.removed,
        left_out=dict(observed.left_out),
        notes=_notes(first),
        doses=doses,
        agreements=_agreements(doses),
        effects=[
            row
            for seed in _every(plans)
            for compared, by_seed in pairs.items()
            for row in _effects(seed, compared, _chosen(by_seed, seed))
        ],
        responses=responses,
        is_repeated=all(t.statistic > 0 and t.p <= LEVEL for t in responses) if enough else None,
        seen=[row for seed, own in _seeds(armed) for row in _seen(seed, own, observed.seen)],
        confusions=[
            MatrixRow(seed=seed, rule=rule, cells=_cells(own, rule))
            for seed, own in _seeds(armed)
            for rule in ("votes", "test")
        ],
        models=list(observed.models),
    )


def _every(plans: Mapping[int, object]) -> list[int | None]:
    """Each seed, and all together where there are several."""
    return [*plans, None] if len(plans) > 1 else [*plans]


def _seeds(armed: Mapping[int, Sequence[Armed]]) -> Iterator[tuple[int | None, list[Armed]]]:
    for seed in _every(armed):
        yield seed, _chosen(armed, seed)


def _chosen(by_seed: Mapping[int, Sequence[_Row]], seed: int | None) -> list[_Row]:
    return [one for own, rows in by_seed.items() for one in rows if seed in (own, None)]


def _of(units: Sequence[Unit], seed: int, twin: Twin) -> list[Unit]:
    return [unit for unit in units if unit.seed == seed and unit.twin == twin]


def _armed(plan: LadderPlan, units: Sequence[Unit]) -> list[Armed]:
    arms = {target: plan.arms(target) for target in range(plan.design.targets)}
    return [(u, arms[u.target][u.identity]) for u in _of(units, plan.seed, "planted")]


def _notes(plan: LadderPlan) -> list[str]:
    """What the pictures did not allow: doses that nobody meets, or people of one source only."""
    notes = []
    audited = plan.of("audited")
    most = max((person.training for person in plan.people), default=0)
    by_dose: dict[int, list[str]] = {}
    for person in audited:
        for dose in {dose_of(arm) for arm in plan.ladders[person.stratum]} - {None}:
            by_dose.setdefault(dose or 0, []).append(person.stratum.split(", ")[0])
    planned = {dose_of(arm) or 0 for rung in plan.design.rungs for arm in rung.arms} - {0}
    everywhere = {source for sources in by_dose.values() for source in sources}
    for dose in sorted(planned):
        sources = by_dose.get(dose, [])
        if not sources:
            notes.append(
                f"nobody is planted {dose} times: that takes more pictures than anybody has who "
                f"is not needed otherwise; the largest number is {most}."
            )
        elif len(set(sources)) == 1 and len(everywhere) > 1:
            notes.append(
                f"dose {dose} is met by people of one source only ({sources[0]}, n = "
                f"{len(sources)}): what is special about the source is special about the dose."
            )
    return notes


def _by_person(armed: Sequence[Armed]) -> list[list[Unit]]:
    people: dict[str, list[Unit]] = {}
    for unit, _ in armed:
        people.setdefault(unit.identity, []).append(unit)
    return list(people.values())


def _doses(seed: int | None, armed: Sequence[Armed]) -> Iterator[DoseRow]:
    """Rates by arm; whoever meets an arm in several targets counts once, with their mean."""
    for arm in sorted({arm for _, arm in armed}, key=_place):
        people = _by_person([(unit, own) for unit, own in armed if own == arm])
        small_p = _rate(people, lambda unit: unit.p <= LEVEL)
        yield DoseRow(
            seed=seed,
            arm=arm,
            dose=0 if arm == NEVER else dose_of(arm),
            detected=_rate(people, lambda unit: unit.detected),
            small_p=small_p,
            by_votes=_rate(people, lambda unit: unit.by_votes),
            mean_z=float(np.mean([np.mean([unit.z for unit in own]) for own in people])),
            at_level=None if dose_of(arm) else (small_p.low or 0) <= LEVEL,
        )


def _place(arm: str) -> tuple[int, int]:
    apart = {NAME_ONLY: 1, UNPAIRED: 2}
    return (apart.get(arm, 0), dose_of(arm) or 0)


def _agreements(doses: Sequence[DoseRow]) -> list[DoseAgreement]:
    by_arm: dict[str, list[Estimate]] = {}
    for row in doses:
        if row.seed is not None:
            by_arm.setdefault(row.arm, []).append(row.small_p)
    return [
        DoseAgreement(
            arm=arm,
            is_overlapping=all(
                (one.low or 0) <= (other.high or 0) and (other.low or 0) <= (one.high or 0)
                for one, other in combinations(rates, 2)
            ),
        )
        for arm, rates in by_arm.items()
        if len(rates) > 1
    ]


def _rate(people: Sequence[Sequence[Unit]], is_hit: Callable[[Unit], bool]) -> Estimate:
    return _share([float(np.mean([is_hit(unit) for unit in own])) for own in people])


def _share(shares: Sequence[float]) -> Estimate:
    if not shares:
        return Estimate(value=None, low=None, high=None, n=0, method=RATE)
    limits = clopper_pearson(sum(shares), len(shares))
    return Estimate(
        value=sum(shares) / len(shares),
        low=limits.low,
        high=limits.high,
        n=len(shares),
        method=RATE,
    )


def _cells(armed: Sequence[Armed], rule: Literal["votes", "test"]) -> list[ConfusionCell]:
    """Planted and never planted people, flagged or not; who was planted apart is neither."""
    cells = []
    for is_member in (True, False):
        people = _by_person(
            [one for one in armed if (bool(dose_of(one[1])) if is_member else one[1] == NEVER)]
        )
        flagged = [
            float(np.mean([unit.by_votes if rule == "votes" else unit.detected for unit in own]))
            for own in people
        ]
        for is_flagged in (True, False):
            shares = flagged if is_flagged else [1 - share for share in flagged]
            cells.append(
                ConfusionCell(
                    is_member=is_member,
                    is_flagged=is_flagged,
                    people=sum(shares),
                    rate=_share(shares),
                )
            )
    return cells


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same person with and without having been planted."""

    dose: int
    identity: str
    difference: float


def _square_pairs(armed: Sequence[Armed]) -> list[_Pair]:
    """Differences within people: recognisability, which differs between them, cancels."""
    never: dict[str, list[float]] = {}
    at: dict[tuple[int, str], list[float]] = {}
    for unit, arm in armed:
        if arm == NEVER:
            never.setdefault(unit.identity, []).append(unit.z)
        elif dose := dose_of(arm):
            at.setdefault((dose, unit.identity), []).append(unit.z)
    return [
        _Pair(dose, identity, float(np.mean(values) - np.mean(never[identity])))
        for (dose, identity), values in sorted(at.items())
        if identity in never
    ]


_TWINS: Final[Mapping[Compared, Twin]] = {"clean twin": "clean", "swapped twin": "swapped"}


def _twin_pairs(plan: LadderPlan, units: Sequence[Unit], twin: Twin) -> list[_Pair]:
    """Whoever was planted in one of the two models and not in the other."""
    other = {unit.identity: unit for unit in _of(units, plan.seed, twin)}
    here, there = plan.arms(0), plan.arms(0, twin)
    pairs = []
    for unit in _of(units, plan.seed, "planted"):
        if unit.target or unit.identity not in other:
            continue
        arms = here[unit.identity], there[unit.identity]
        if (dose := dose_of(arms[0])) and arms[1] == NEVER:
            difference = unit.z - other[unit.identity].z
        elif (dose := dose_of(arms[1])) and arms[0] == NEVER:
            difference = other[unit.identity].z - unit.z
        else:
            continue
        pairs.append(_Pair(dose, unit.identity, difference))
    return pairs


def _effects(seed: int | None, compared: Compared, pairs: Sequence[_Pair]) -> Iterator[EffectRow]:
    for dose in sorted({pair.dose for pair in pairs}):
        own: dict[str, list[float]] = {}
        for pair in pairs:
            if pair.dose == dose:
                own.setdefault(pair.identity, []).append(pair.difference)
        rng = stream(seed or 0, "sign flips", compared, dose)
        difference, test = _paired(own, rng, f"effect of {dose} plantings")
        yield EffectRow(seed=seed, compared=compared, dose=dose, difference=difference, test=test)


def _paired(
    by_person: Mapping[str, Sequence[float]], rng: np.random.Generator, name: str
) -> tuple[Estimate, Test]:
    """The mean over people of their mean difference, and whether it is above 0."""
    differences = np.array([np.mean(values) for _, values in sorted(by_person.items())])
    limits = mean_interval(differences)
    flipped = sign_flip(differences, rng=rng)
    estimate = Estimate(
        value=flipped.mean,
        low=limits.low if limits else None,
        high=limits.high if limits else None,
        n=flipped.n,
        method="Student's t over people",
    )
    return estimate, Test(
        name=name,
        p=flipped.p,
        statistic=flipped.mean,
        null="signs of the differences flipped",
        p_min=flipped.p_min,
        null_n=flipped.null_n,
    )


def _seen(seed: int | None, armed: Sequence[Armed], seen: Sequence[Unit]) -> Iterator[SeenRow]:
    """What an attack gains whose pictures are those of the training, for the same people."""
    unseen = {(unit.seed, unit.target, unit.identity): unit for unit, _ in armed}
    both = [
        (unseen[key], unit)
        for unit in seen
        if (key := (unit.seed, unit.target, unit.identity)) in unseen
    ]
    if not both:
        return
    gains: dict[str, list[float]] = {}
    before: dict[str, list[Unit]] = {}
    after: dict[str, list[Unit]] = {}
    for one, other in both:
        gains.setdefault(one.identity, []).append(other.z - one.z)
        before.setdefault(one.identity, []).append(one)
        after.setdefault(one.identity, []).append(other)
    rng = stream(seed or 0, "sign flips", "seen")
    difference, test = _paired(gains, rng, "gain of attacking with pictures trained on")
    yield SeenRow(
        seed=seed,
        unseen=_rate(list(before.values()), lambda unit: unit.p <= LEVEL),
        seen=_rate(list(after.values()), lambda unit: unit.p <= LEVEL),
        difference=difference,
        test=test,
    )


def _response(plan: LadderPlan, units: Sequence[Unit]) -> Test:
    """Do scores rise with the dose? The null draws the whole square again."""
    audited = plan.of("audited")
    strata = [person.stratum for person in audited]
    place = {person.identity: number for number, person in enumerate(audited)}
    scored = _of(units, plan.seed, "planted")

    def doses(arms: Sequence[Sequence[str]]) -> list[float]:
        return [float(dose_of(arms[u.target][place[u.identity]]) or 0) for u in scored]

    def redraw(rng: np.random.Generator) -> np.ndarray:
        # One state of the generator gives one square, whichever target is asked for.
        state = rng.bit_generator.state
        square = []
        for target in range(plan.design.targets):
            rng.bit_generator.state = state
            square.append(latin_square(strata, plan.ladders, target=target, rng=rng))
        return np.array(doses(square))

    planted = [list(plan.arms(target).values()) for target in range(plan.design.targets)]
    found = dose_response(
        np.array(doses(planted)),
        np.array([unit.z for unit in scored]),
        [f"{unit.target}, {strata[place[unit.identity]]}" for unit in scored],
        redraw=redraw,
        rng=stream(plan.seed, "dose-response"),
        n_permutations=_PERMUTATIONS,
    )
    return Test(
        name=f"dose-response, seed {plan.seed}",
        p=found.p,
        statistic=found.value,
        null="the whole square drawn again by the code that planted",
        p_min=found.p_min,
        null_n=found.null_n,
    )
