"""What planting does to the same people: differences between models, within people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vlmaudit.lab.ladder import LadderPlan, Twin, dose_of
from vlmaudit.lab.planting import NEVER
from vlmaudit.results.records import Estimate, Test
from vlmaudit.seeds import stream
from vlmaudit.stats.paired import mean_interval, sign_flip
from vlmaudit.studies.ladder_records import Compared, EffectRow, SeenRow
from vlmaudit.studies.ladder_units import LEVEL, Armed, Unit, of_twin, rate_of


@dataclass(frozen=True, slots=True)
class Pair:
    """The same person with and without having been planted."""

    dose: int
    identity: str
    difference: float


def square_pairs(armed: Sequence[Armed]) -> list[Pair]:
    """Differences within people: recognisability, which differs between them, cancels."""
    never: dict[str, list[float]] = {}
    at: dict[tuple[int, str], list[float]] = {}
    for unit, arm in armed:
        if arm == NEVER:
            never.setdefault(unit.identity, []).append(unit.z)
        elif dose := dose_of(arm):
            at.setdefault((dose, unit.identity), []).append(unit.z)
    return [
        Pair(dose, identity, float(np.mean(values) - np.mean(never[identity])))
        for (dose, identity), values in sorted(at.items())
        if identity in never
    ]


TWINS: Final[Mapping[Compared, Twin]] = {"clean twin": "clean", "swapped twin": "swapped"}


def twin_pairs(plan: LadderPlan, units: Sequence[Unit], twin: Twin) -> list[Pair]:
    """Whoever was planted in one of the two models and not in the other."""
    other = {unit.identity: unit for unit in of_twin(units, plan.seed, twin)}
    here, there = plan.arms(0), plan.arms(0, twin)
    pairs = []
    for unit in of_twin(units, plan.seed, "planted"):
        if unit.target or unit.identity not in other:
            continue
        arms = here[unit.identity], there[unit.identity]
        if (dose := dose_of(arms[0])) and arms[1] == NEVER:
            difference = unit.z - other[unit.identity].z
        elif (dose := dose_of(arms[1])) and arms[0] == NEVER:
            difference = other[unit.identity].z - unit.z
        else:
            continue
        pairs.append(Pair(dose, unit.identity, difference))
    return pairs


def effect_rows(seed: int | None, compared: Compared, pairs: Sequence[Pair]) -> Iterator[EffectRow]:
    """A row a dose; somebody who met it in several seeds counts once, with their mean."""
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


def seen_rows(seed: int | None, armed: Sequence[Armed], seen: Sequence[Unit]) -> Iterator[SeenRow]:
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
        unseen=rate_of(list(before.values()), lambda unit: unit.p <= LEVEL),
        seen=rate_of(list(after.values()), lambda unit: unit.p <= LEVEL),
        difference=difference,
        test=test,
    )
