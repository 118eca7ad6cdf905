"""What a ladder of targets shows: shares by dose, dose-response, agreement of seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, TypeVar

import numpy as np

from vlmaudit.audits.identity_inference.finding import ConfusionCell
from vlmaudit.lab.ladder import LadderPlan, dose_of, source_of
from vlmaudit.lab.planting import NAME_ONLY, NEVER, UNPAIRED
from vlmaudit.results.records import Estimate, Test
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import dose_response, latin_square
from vlmaudit.studies.ladder_effects import (
    TWINS,
    effect_rows,
    seen_rows,
    square_pairs,
    twin_pairs,
)
from vlmaudit.studies.ladder_records import (
    DoseAgreement,
    DoseRow,
    LadderFinding,
    MatrixRow,
    TargetRow,
)
from vlmaudit.studies.ladder_units import (
    LEVEL,
    Armed,
    Unit,
    by_person,
    of_twin,
    rate_of,
    share_of,
)

_PERMUTATIONS: Final = 999
_Row = TypeVar("_Row")
_Armed = Mapping[int, Sequence[Armed]]


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
        compared: {seed: twin_pairs(plan, observed.units, twin) for seed, plan in plans.items()}
        for compared, twin in TWINS.items()
    }
    pairs = {"square": {seed: square_pairs(own) for seed, own in armed.items()}, **twins}
    return LadderFinding(
        seeds=list(plans),
        targets=first.design.targets,
        people=len(first.of("audited")),
        settings=dict(observed.settings),
        removed=observed.removed,
        left_out=dict(observed.left_out),
        notes=_notes(first),
        doses=doses,
        by_source=list(_doses_by_source(plans, armed)),
        agreements=_agreements(doses),
        effects=[
            row
            for seed in _every(plans)
            for compared, by_seed in pairs.items()
            for row in effect_rows(seed, compared, _chosen(by_seed, seed))
        ],
        responses=responses,
        is_repeated=all(t.statistic > 0 and t.p <= LEVEL for t in responses) if enough else None,
        seen=[row for seed, own in _seeds(armed) for row in seen_rows(seed, own, observed.seen)],
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


def _armed(plan: LadderPlan, units: Sequence[Unit]) -> list[Armed]:
    arms = {target: plan.arms(target) for target in range(plan.design.targets)}
    return [(u, arms[u.target][u.identity]) for u in of_twin(units, plan.seed, "planted")]


def _notes(plan: LadderPlan) -> list[str]:
    """What the pictures did not allow: doses that nobody meets, or people of one source only."""
    notes = []
    audited = plan.of("audited")
    most = max((person.training for person in plan.people), default=0)
    by_dose: dict[int, list[str]] = {}
    for person in audited:
        for dose in {dose_of(arm) for arm in plan.ladders[person.stratum]} - {None}:
            by_dose.setdefault(dose or 0, []).append(source_of(person.stratum))
    planned = {dose_of(arm) or 0 for rung in plan.design.rungs for arm in rung.arms} - {0}
    everywhere = {source for sources in by_dose.values() for source in sources}
    for dose in sorted(planned):
        sources = by_dose.get(dose, [])
        if not sources:
            notes.append(
                f"nobody is planted {_times(dose)}: that takes more pictures than anybody has who "
                f"is not needed otherwise; the largest number is {most}."
            )
        elif len(set(sources)) == 1 and len(everywhere) > 1:
            notes.append(
                f"dose {dose} is met by people of one source only ({sources[0]}, n = "
                f"{len(sources)}): what is special about the source is special about the dose."
            )
    return notes


def _times(dose: int) -> str:
    return "once" if dose == 1 else f"{dose} times"


def _doses_by_source(plans: Mapping[int, LadderPlan], armed: _Armed) -> Iterator[DoseRow]:
    """Shares in each source, where there are several: people of one meet other doses."""
    sources = {
        person.identity: source_of(person.stratum)
        for plan in plans.values()
        for person in plan.of("audited")
    }
    if len(set(sources.values())) < 2:
        return
    everybody = _chosen(armed, None)
    for source in sorted(set(sources.values())):
        own = [one for one in everybody if sources[one[0].identity] == source]
        yield from _doses(_every(plans)[-1], own, source)


def _doses(seed: int | None, armed: Sequence[Armed], source: str = "") -> Iterator[DoseRow]:
    """Rates by arm; whoever meets an arm in several targets counts once, with their mean."""
    for arm in sorted({arm for _, arm in armed}, key=_place):
        people = by_person([(unit, own) for unit, own in armed if own == arm])
        small_p = rate_of(people, lambda unit: unit.p <= LEVEL)
        yield DoseRow(
            seed=seed,
            source=source,
            arm=arm,
            dose=0 if arm == NEVER else dose_of(arm),
            detected=rate_of(people, lambda unit: unit.detected),
            small_p=small_p,
            by_votes=rate_of(people, lambda unit: unit.by_votes),
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


def _cells(armed: Sequence[Armed], rule: Literal["votes", "test"]) -> list[ConfusionCell]:
    """Planted and never planted people, flagged or not; who was planted apart is neither."""
    cells = []
    for is_member in (True, False):
        people = by_person(
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
                    rate=share_of(shares),
                )
            )
    return cells


def _response(plan: LadderPlan, units: Sequence[Unit]) -> Test:
    """Do scores rise with the dose? The null draws the whole square again."""
    audited = plan.of("audited")
    strata = [person.stratum for person in audited]
    place = {person.identity: number for number, person in enumerate(audited)}
    scored = of_twin(units, plan.seed, "planted")

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
