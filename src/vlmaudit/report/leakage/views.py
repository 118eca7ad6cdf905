"""What the report of a name-leakage finding says, in its order: one view for page and terminal."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from vlmaudit.audits.name_leakage.finding import Finding, PersonRow
from vlmaudit.report.leakage import evidence, limits, origin, people, tables, wording
from vlmaudit.report.leakage.answers import AnswersView, answers_view
from vlmaudit.report.leakage.conditions import ConditionsView, conditions_view
from vlmaudit.report.leakage.numbers import maybe_percent
from vlmaudit.report.leakage.outcomes import OutcomeLook, outcomes_seen
from vlmaudit.report.parts import Fact, GateView, Headline, PeopleTables, Pictures, Table
from vlmaudit.report.tables import failure_table, gate_views
from vlmaudit.report.wording import failures_line
from vlmaudit.results.numbers import count, counted, visible

NO_PICTURES: Final = Pictures({}, ())


@dataclass(frozen=True, slots=True)
class LeakageView:
    """Everything on the page, in its order."""

    title: str
    subtitle: str
    protocol: str
    doubt: str
    headline: Headline
    facts: tuple[Fact, ...]
    gates: tuple[GateView, ...]
    failures_line: str
    notes: tuple[str, ...]
    group_table: Table
    group_method: str
    behaviour_table: Table
    rephrasings: tuple[tuple[str, Table], ...]
    prompts_table: Table
    outcome_key: tuple[OutcomeLook, ...]
    outcome_table: Table
    figure_4: Table
    figure_4_method: str
    distribution: Table
    distribution_method: str
    correlation: str
    arm_table: Table
    null_table: Table
    contrast_table: Table
    conditions: ConditionsView | None
    likelihood_sentences: tuple[str, ...]
    hidden_table: Table | None
    matcher_sentences: tuple[str, ...]
    matcher_table: Table
    matcher_kinds: Table
    rule_table: Table | None
    people: PeopleTables
    ranking: tuple[PersonRow, ...]
    picture_notes: tuple[str, ...]
    answers: AnswersView
    failure_table: Table
    failure_sentences: tuple[str, ...]
    proves: tuple[str, ...]
    does_not_prove: tuple[str, ...]
    estimate_table: Table
    test_table: Table
    settings_table: Table
    provenance_table: Table
    repeat: tuple[str, ...]
    handling: str


def view(
    finding: Finding,
    answers: pl.DataFrame | None = None,
    *,
    budget: int = 0,
    pictures: Pictures = NO_PICTURES,
) -> LeakageView:
    """Everything the report says of a finding.

    Args:
        finding: What the audit concluded.
        answers: Answers to quote, with the columns of `answers.COLUMNS`.
        budget: Bytes of page that these may take.
        pictures: Small pictures of people, where they were asked for.
    """
    quoted = answers_view(finding, answers, budget)
    model = "a table of answers" if finding.model is None else visible(finding.model.name)
    return LeakageView(
        title="Does this model say who is in the picture?",
        subtitle=model,
        protocol=finding.protocol,
        doubt=wording.doubt(finding),
        headline=wording.headline(finding),
        facts=wording.facts(finding),
        gates=gate_views(finding.gates),
        failures_line=failures_line(finding.failures),
        notes=tuple(visible(note) for note in finding.notes),
        group_table=tables.group_table(finding),
        group_method=_group_method(finding),
        behaviour_table=tables.behaviour_table(finding),
        rephrasings=tables.rephrasing_tables(finding),
        prompts_table=tables.prompts_table(finding),
        outcome_key=outcomes_seen(finding),
        outcome_table=tables.outcome_table(finding),
        figure_4=people.figure_4_table(finding),
        figure_4_method=_figure_4_method(finding),
        distribution=people.distribution_table(finding),
        distribution_method=_distribution_method(finding),
        correlation=wording.correlation_words(finding.estimates),
        arm_table=evidence.arm_table(finding),
        null_table=tables.null_table(finding),
        contrast_table=tables.contrast_table(finding),
        conditions=conditions_view(finding),
        likelihood_sentences=evidence.likelihood_sentences(finding),
        hidden_table=evidence.hidden_table(finding),
        matcher_sentences=evidence.matcher_sentences(finding),
        matcher_table=evidence.matcher_table(finding),
        matcher_kinds=evidence.matcher_kinds(finding),
        rule_table=evidence.rule_table(finding),
        people=people.people_tables(finding, pictures.shown),
        ranking=tuple(people.strongest_first(finding)),
        picture_notes=pictures.notes,
        answers=quoted,
        failure_table=failure_table(finding.failures),
        failure_sentences=_failure_sentences(finding),
        proves=limits.proves(finding),
        does_not_prove=limits.does_not_prove(finding),
        estimate_table=origin.estimate_table(finding),
        test_table=origin.test_table(finding),
        settings_table=origin.settings_table(finding),
        provenance_table=origin.provenance_table(finding),
        repeat=wording.repeat_commands(finding),
        handling=limits.handling(
            finding, with_pictures=bool(pictures.shown), with_answers=bool(quoted.rows)
        ),
    )


def _group_method(finding: Finding) -> str:
    shown = [group.rate for group in finding.groups]
    lifts = [group.lift for group in finding.groups if group.lift is not None]
    others = (
        "Of others: how often the same names are said on pictures of other people of the same sex,"
        " the mean over rephrasings. p: people exchanged, never pictures."
    )
    return f"{evidence.methods([*shown, *lifts])} {others}"


def _figure_4_method(finding: Finding) -> str:
    counts = {
        shown: sum(person.shown == shown for person in finding.people)
        for shown in ("top", "sample")
    }
    return (
        f"{counted(counts['top'], 'person', 'people')} most leaked on every other picture, drawn"
        " with their rate on the pictures between: who is chosen and shown on the same pictures"
        f" looks more leaked than they are. {count(counts['sample'])} of the others were drawn by"
        " the seed. A person's answers hang together; the rates carry no interval of their own."
    )


def _distribution_method(finding: Finding) -> str:
    rates = sorted(person.rate for person in finding.people if person.rate is not None)
    if not rates:
        return ""
    never = sum(rate == 0 for rate in rates)
    half = maybe_percent(rates[len(rates) // 2])
    return (
        f"{count(never)} of {counted(len(rates), 'person', 'people')} are never named; half of all"
        f" are named in {half} of their answers or more."
    )


def _failure_sentences(finding: Finding) -> tuple[str, ...]:
    said = []
    failures = finding.failures
    if failures.people_lost:
        lost = ", ".join(visible(identity) for identity in failures.people_lost)
        said.append(f"No answer was had about: {lost}.")
    undecided = [person for person in finding.people if person.detected is None]
    said += [
        f"No decision for {visible(person.name)}: {visible(person.note)}"
        for person in undecided[:20]
        if person.note
    ]
    if failures.failed:
        said.append(
            "A question without an answer counts as missing, never as “no name”; an empty answer"
            " is an answer without a name."
        )
    return tuple(said)
