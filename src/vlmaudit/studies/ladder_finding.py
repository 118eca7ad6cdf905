"""What a ladder of targets shows: dose-response, twins, and the arms that must show nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field

from vlmaudit.lab.ladder import LadderPlan, Twin, dose_of
from vlmaudit.lab.planting import NAME_ONLY, NEVER, UNPAIRED
from vlmaudit.results.records import Estimate, Record, Test
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import dose_response, latin_square
from vlmaudit.stats.intervals import clopper_pearson
from vlmaudit.stats.paired import mean_interval, sign_flip

Compared = Literal["square", "clean twin", "swapped twin"]

LEVEL: Final = 0.05
RATE: Final = "fractional Clopper-Pearson over people"
_PERMUTATIONS: Final = 999


@dataclass(frozen=True, slots=True)
class Unit:
    """What one target's audit found of one person."""

    seed: int
    target: int
    twin: Twin
    identity: str
    z: float
    p: float
    detected: bool


class DoseRow(Record):
    """People at a dose, in the planted targets of one seed."""

    seed: int
    arm: str = Field(description="never, paired N, name-only or unpaired.")
    dose: int | None = Field(description="Pictures planted with the name; None: planted apart.")
    detected: Estimate = Field(description="Share that the audit detects.")
    small_p: Estimate = Field(description="Share with p of at most .05, uncorrected.")
    mean_z: float | None


class EffectRow(Record):
    """What planting does to the same people: with it minus without it."""

    seed: int
    compared: Compared
    dose: int
    difference: Estimate = Field(description="Mean difference of z, planted minus not.")
    test: Test


class LadderFinding(Record):
    """ladder.json: everything that a ladder's report shows."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    seeds: list[int]
    targets: int = Field(description="Planted targets a seed.")
    people: int = Field(description="Audited people a seed.")
    removed: int = Field(description="Training pictures taken out as near-duplicates.")
    left_out: dict[str, int] = Field(description="Pictures that could not be read, by reason.")
    doses: list[DoseRow]
    effects: list[EffectRow]
    responses: list[Test] = Field(description="Dose-response, a test a seed.")
    is_repeated: bool | None = Field(
        description="Same sign and p of at most .05 in at least three seeds; None: fewer seeds."
    )


def conclude_ladder(
    units: Sequence[Unit],
    plans: Mapping[int, LadderPlan],
    *,
    removed: int,
    left_out: Mapping[str, int],
) -> LadderFinding:
    """Put together what the audits of all targets found.

    Args:
        units: A row a person and target; who could not be tested is missing.
        plans: The plan of each seed.
        removed: Training pictures that were near-duplicates of attack pictures.
        left_out: Unreadable pictures by reason.
    """
    responses = [_response(plan, units) for plan in plans.values()]
    enough = len(responses) >= 3
    first = next(iter(plans.values()))
    return LadderFinding(
        seeds=list(plans),
        targets=first.design.targets,
        people=len(first.of("audited")),
        removed=removed,
        left_out=dict(left_out),
        doses=[row for plan in plans.values() for row in _doses(plan, units)],
        effects=[row for plan in plans.values() for row in _effects(plan, units)],
        responses=responses,
        is_repeated=all(t.statistic > 0 and t.p <= LEVEL for t in responses) if enough else None,
    )


def _of(units: Sequence[Unit], seed: int, twin: Twin) -> list[Unit]:
    return [unit for unit in units if unit.seed == seed and unit.twin == twin]


def _doses(plan: LadderPlan, units: Sequence[Unit]) -> Iterator[DoseRow]:
    """Rates by arm; whoever meets an arm in several targets counts once, with their mean."""
    by_arm: dict[str, dict[str, list[Unit]]] = {}
    arms = {target: plan.arms(target) for target in range(plan.design.targets)}
    for unit in _of(units, plan.seed, "planted"):
        arm = arms[unit.target][unit.identity]
        by_arm.setdefault(arm, {}).setdefault(unit.identity, []).append(unit)
    for arm in sorted(by_arm, key=_place):
        people = list(by_arm[arm].values())
        yield DoseRow(
            seed=plan.seed,
            arm=arm,
            dose=0 if arm == NEVER else dose_of(arm),
            detected=_rate([float(np.mean([u.detected for u in own])) for own in people]),
            small_p=_rate([float(np.mean([u.p <= LEVEL for u in own])) for own in people]),
            mean_z=float(np.mean([np.mean([u.z for u in own]) for own in people])),
        )


def _place(arm: str) -> tuple[int, int]:
    apart = {NAME_ONLY: 1, UNPAIRED: 2}
    return (apart.get(arm, 0), dose_of(arm) or 0)


def _rate(shares: Sequence[float]) -> Estimate:
    limits = clopper_pearson(sum(shares), len(shares))
    return Estimate(
        value=sum(shares) / len(shares),
        low=limits.low,
        high=limits.high,
        n=len(shares),
        method=RATE,
    )


def _effects(plan: LadderPlan, units: Sequence[Unit]) -> Iterator[EffectRow]:
    """Differences within people: recognisability, which differs between them, cancels."""
    arms = {target: plan.arms(target) for target in range(plan.design.targets)}
    planted = _of(units, plan.seed, "planted")
    never: dict[str, list[float]] = {}
    at: dict[int, dict[str, list[float]]] = {}
    for unit in planted:
        arm = arms[unit.target][unit.identity]
        if arm == NEVER:
            never.setdefault(unit.identity, []).append(unit.z)
        elif dose := dose_of(arm):
            at.setdefault(dose, {}).setdefault(unit.identity, []).append(unit.z)
    yield from _differences(plan.seed, "square", at, never)
    yield from _twin_effects(plan, units, "clean", "clean twin")
    yield from _twin_effects(plan, units, "swapped", "swapped twin")


def _twin_effects(
    plan: LadderPlan, units: Sequence[Unit], twin: Twin, compared: Compared
) -> Iterator[EffectRow]:
    """Whoever was planted in one of the two models and not in the other."""
    other = {unit.identity: unit for unit in _of(units, plan.seed, twin)}
    here, there = plan.arms(0), plan.arms(0, twin)
    with_it: dict[int, dict[str, list[float]]] = {}
    without: dict[str, list[float]] = {}
    for unit in _of(units, plan.seed, "planted"):
        if unit.target or unit.identity not in other:
            continue
        arms = here[unit.identity], there[unit.identity]
        dose = dose_of(arms[0]) or dose_of(arms[1])
        if dose and NEVER in arms:
            scores = dict(zip(arms, (unit.z, other[unit.identity].z), strict=True))
            without[unit.identity] = [scores.pop(NEVER)]
            with_it.setdefault(dose, {})[unit.identity] = list(scores.values())
    yield from _differences(plan.seed, compared, with_it, without)


def _differences(
    seed: int,
    compared: Compared,
    at: Mapping[int, Mapping[str, Sequence[float]]],
    never: Mapping[str, Sequence[float]],
) -> Iterator[EffectRow]:
    for dose in sorted(at):
        differences = np.array(
            [
                np.mean(values) - np.mean(never[identity])
                for identity, values in sorted(at[dose].items())
                if identity in never
            ]
        )
        if not differences.size:
            continue
        limits = mean_interval(differences)
        flipped = sign_flip(differences, rng=stream(seed, "sign flips", compared, dose))
        yield EffectRow(
            seed=seed,
            compared=compared,
            dose=dose,
            difference=Estimate(
                value=flipped.mean,
                low=limits.low if limits else None,
                high=limits.high if limits else None,
                n=flipped.n,
                method="Student's t over people",
            ),
            test=Test(
                name=f"effect of {dose} plantings",
                p=flipped.p,
                statistic=flipped.mean,
                null="signs of the differences flipped",
                p_min=flipped.p_min,
                null_n=flipped.null_n,
            ),
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
