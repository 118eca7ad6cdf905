"""The quick half: what the answers mean. Pure; runs again without the model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from vlmaudit.audits.condition_rows import condition_rows, mark_hidden
from vlmaudit.audits.counted import covariates_of
from vlmaudit.audits.design import Design, read_design
from vlmaudit.audits.name_leakage import gates, overall
from vlmaudit.audits.name_leakage.arms import arm_rows, words_of
from vlmaudit.audits.name_leakage.conditions import (
    condition_contrasts,
    factorial_rows,
    strata_rows,
)
from vlmaudit.audits.name_leakage.contrasts import contrast_rows
from vlmaudit.audits.name_leakage.finding import ArmRow, Finding, NullRow, PersonRow
from vlmaudit.audits.name_leakage.labels import LabelSheet, labelled_sample
from vlmaudit.audits.name_leakage.likelihood import Likelihood, summed_up, weigh
from vlmaudit.audits.name_leakage.matcher_test import matcher_test
from vlmaudit.audits.name_leakage.nulls import null_rows
from vlmaudit.audits.name_leakage.observed import Observed
from vlmaudit.audits.name_leakage.persons import halves, person_rows
from vlmaudit.audits.name_leakage.rates import Counts, count_leaks, group_rows, rate_rows
from vlmaudit.audits.name_leakage.reading import read_outcomes
from vlmaudit.audits.name_leakage.settings import NULLS, NameLeakage
from vlmaudit.audits.name_leakage.tally import Tally, cohort_of
from vlmaudit.audits.name_leakage.units import unit_rows
from vlmaudit.audits.name_leakage.verdicts import judge
from vlmaudit.data.conditions import ORIGINAL
from vlmaudit.results.records import Failures, Gate
from vlmaudit.seeds import stream
from vlmaudit.stats.swapping import Lift, Swaps


@dataclass(frozen=True, slots=True, eq=False)
class Against:
    """Another model's answers about the same people.

    Attributes:
        name: How the other model is called.
        units: The units table of its run.
    """

    name: str
    units: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """A finding, with the tables that go beside it.

    Attributes:
        finding: What it all means.
        outcomes: A row a question: the answer, its outcome, and where in the answer it shows.
        units: A row a person: rates by condition and prompt category, and covariates.
    """

    finding: Finding
    outcomes: pl.DataFrame
    units: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """What the answers about the study's people come to.

    Attributes:
        tally: All counts.
        cells: The prompts on pictures as they are.
        swaps: People swapped, the same for every rate.
        lift: Over these prompts; None where nothing was answered.
        likelihoods: What the likelihoods of names say, by identity.
        people: Everybody's row.
        arms: The arms of a planted design.
    """

    tally: Tally
    cells: Sequence[int]
    swaps: Swaps
    lift: Lift | None
    likelihoods: Mapping[str, Likelihood]
    people: list[PersonRow]
    arms: list[ArmRow]


def conclude(
    observed: Observed,
    settings: NameLeakage,
    *,
    against: Against | None = None,
    labels: LabelSheet | None = None,
) -> Conclusion:
    """The finding that the answers support under the settings' protocol.

    Args:
        observed: People, and what was answered about them.
        settings: The protocol and its parameters.
        against: Another model, to be compared person by person.
        labels: Answers of this run that somebody judged.
    """
    outcomes = read_outcomes(observed, settings)
    design = read_design(observed.planted) if observed.planted else None
    everything = mark_hidden(outcomes.filter(~pl.col("condition").is_in(NULLS)), observed.facts)
    # A picture in which there was nothing to hide is no picture with something hidden. The paper
    # knew of no such difference.
    shown = everything if settings.protocol == "paper" else everything.filter("is_hidden")
    counted = _count(shown, observed, design, settings)
    nulls = null_rows(
        outcomes.filter(pl.col("condition").is_in(NULLS)), counted.tally, counted.cells
    )
    failures = overall.failures(everything, observed.people)
    checked = _check(counted, nulls, failures, settings)
    verdict, sentence = judge(counted.lift, checked, settings)
    leaks = Counts(count_leaks(shown, "leaks_by_paper"), count_leaks(shown, "leaks_by_audit"))
    rates = rate_rows(counted.tally, counted.swaps, leaks, settings)
    units = unit_rows(counted.tally, counted.people)
    matcher = matcher_test()
    leaks_by = f"leaks_by_{settings.protocol}"
    chance = {"permutations": settings.permutations, "seed": settings.seed}
    finding = Finding(
        protocol=settings.protocol,
        model=observed.model,
        settings=_shown(settings),
        verdict=verdict,
        sentence=sentence,
        gates=checked,
        failures=failures,
        estimates=overall.estimates(
            counted.tally,
            counted.cells,
            counted.lift,
            counted.people,
            covariates_of(observed.people),
        ),
        tests=overall.tests(counted.lift),
        rates=rates,
        groups=group_rows(counted.tally, rates, counted.swaps),
        people=counted.people,
        nulls=nulls,
        contrasts=[
            *contrast_rows(
                units,
                against=against.units if against else None,
                model=observed.model.name if observed.model else "these answers",
                other_model=against.name if against else "",
                **chance,
            ),
            *condition_contrasts(shown, leaks_by, **chance),
        ],
        conditions=condition_rows(observed.facts) if observed.facts is not None else [],
        strata=strata_rows(everything, leaks_by),
        factorial=factorial_rows(shown, leaks_by, **chance),
        arms=counted.arms,
        likelihoods=summed_up(
            counted.likelihoods,
            counted.people,
            observed.scored,
            [one.id for one in settings.scored_prompts],
        )
        if observed.scored
        else None,
        matcher=matcher.model_copy(
            update={"corrected_lift": overall.corrected(counted.lift, matcher)}
        ),
        labels=labelled_sample(outcomes, labels, settings.seed) if labels else None,
        tokens=dict(observed.tokens or {}),
        notes=[
            *observed.notices,
            *overall.notes(outcomes, has_labels=labels is not None, has_design=design is not None),
        ],
    )
    return Conclusion(finding, outcomes, units)


def _count(
    shown: pl.DataFrame, observed: Observed, design: Design | None, settings: NameLeakage
) -> _Counted:
    cohort = cohort_of(observed.people)
    tally = Tally(shown, cohort)
    swaps = Swaps(
        cohort.strata, cohort.alone, stream(settings.seed, "swaps"), settings.permutations
    )
    cells = tally.places(ORIGINAL, [prompt for _, prompt in tally.cells])
    if not cells or not tally.answers[cells].any():
        return _Counted(tally, cells, swaps, None, {}, [], [])
    likelihoods = weigh(observed.scored, observed.people, settings) if observed.scored else {}
    people = person_rows(
        tally,
        cells,
        settings,
        split=halves(shown.filter(pl.col("condition") == ORIGINAL), cohort),
        likelihoods=likelihoods,
        arms=words_of(design, cohort),
    )
    return _Counted(
        tally=tally,
        cells=cells,
        swaps=swaps,
        lift=swaps.lift(tally.said(cells)),
        likelihoods=likelihoods,
        people=people,
        arms=arm_rows(tally, cells, design, likelihoods, settings) if design else [],
    )


def _check(
    counted: _Counted, nulls: Sequence[NullRow], failures: Failures, settings: NameLeakage
) -> list[Gate]:
    tally, lift = counted.tally, counted.lift
    asked = tally.asked.sum(axis=0)
    checked = [
        gates.failures_gate(failures, settings),
        gates.failing_people(asked - tally.answers.sum(axis=0), asked, settings.seed),
        gates.swapped_gate(lift, settings) if lift else None,
        gates.compared_gate(lift, tally.cohort) if lift else None,
        *gates.null_gates(nulls),
        *gates.control_gates(counted.arms, counted.people),
        gates.matcher_gate(matcher_test()),
        gates.resolution_gate(counted.people, settings),
    ]
    return [gate for gate in checked if gate is not None]


def _shown(settings: NameLeakage) -> dict[str, str | int | float | bool | None]:
    shown = asdict(settings)
    for field in ("prompts", "condition_prompts", "scored_prompts"):
        shown[field] = ", ".join(prompt["id"] for prompt in shown[field])
    shown["conditions"] = ", ".join(settings.conditions)
    return shown
