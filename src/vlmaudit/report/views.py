"""What the report says, in its order: one view of a finding, the same for page and terminal."""

from dataclasses import dataclass
from typing import Final

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.report.attacks import matrix_table, matrix_views, occurrence_view
from vlmaudit.report.claims import claims_view
from vlmaudit.report.comparison import comparison_view
from vlmaudit.report.conditions import condition_table, hiding_sentences
from vlmaudit.report.limits import does_not_prove, handling, proves
from vlmaudit.report.parts import (
    ClaimsView,
    ComparisonView,
    Fact,
    GateView,
    GroupView,
    Headline,
    MatrixView,
    OccurrenceView,
    PeopleTables,
    PersonView,
    Pictures,
    SeriesView,
    Table,
)
from vlmaudit.report.people import people_tables, person_views
from vlmaudit.report.shown import SHOWN_METHOD, shown_table
from vlmaudit.report.tables import (
    curve_method,
    curve_table,
    estimate_table,
    failure_table,
    gate_views,
    group_key,
    group_method,
    group_table,
    group_views,
    provenance_table,
    series_views,
    settings_table,
    test_table,
)
from vlmaudit.report.wording import (
    doubt,
    facts,
    failure_sentences,
    failures_line,
    headline,
    repeat_commands,
    votes_needed,
)
from vlmaudit.results.numbers import visible

IN_WORDS_UP_TO: Final = 12
"""People up to which everyone's evidence is also written out in sentences."""
NO_PICTURES: Final = Pictures({}, ())


@dataclass(frozen=True, slots=True)
class ReportView:
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
    groups: tuple[GroupView, ...]
    group_table: Table
    group_key: tuple[tuple[str, str], ...]
    group_method: str
    series: tuple[SeriesView, ...]
    curve_table: Table
    curve_rule: str
    curve_method: str
    occurrences: OccurrenceView
    matrices: tuple[MatrixView, ...]
    matrix_table: Table
    comparison: ComparisonView | None
    claims: ClaimsView | None
    shown: Table | None
    shown_method: str
    hiding: Table
    hiding_sentences: tuple[str, ...]
    people: PeopleTables
    picture_notes: tuple[str, ...]
    ranking: tuple[PersonView, ...]
    in_words: tuple[PersonView, ...]
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


def view(finding: Finding, pictures: Pictures = NO_PICTURES) -> ReportView:
    """Everything the report says of a finding.

    Args:
        finding: What the audit concluded.
        pictures: Small pictures of people, where they were asked for.
    """
    # Occurrences have a chart of their own.
    groups = group_views(
        [one for one in finding.groups if one.kind != "occurrences" or not finding.occurrences]
    )
    matrices = matrix_views(finding)
    series = series_views(finding)
    people = person_views(finding, pictures.shown)
    model = "a table of votes" if finding.model is None else visible(finding.model.name)
    return ReportView(
        title="Does this model tie faces to names?",
        subtitle=model,
        protocol=finding.protocol,
        doubt=doubt(finding),
        headline=headline(finding),
        facts=facts(finding),
        gates=gate_views(finding.gates),
        failures_line=failures_line(finding.failures),
        notes=tuple(visible(note) for note in finding.notes),
        groups=groups,
        group_table=group_table(finding, groups),
        group_key=group_key(finding, groups),
        group_method=group_method(finding),
        series=series,
        curve_table=curve_table(series),
        curve_rule=votes_needed(finding),
        curve_method=curve_method(finding),
        occurrences=occurrence_view(finding),
        matrices=matrices,
        matrix_table=matrix_table(matrices),
        comparison=comparison_view(finding),
        claims=claims_view(finding),
        shown=shown_table(finding.shown) if finding.shown else None,
        shown_method=SHOWN_METHOD,
        hiding=condition_table(finding.conditions),
        hiding_sentences=hiding_sentences(finding.conditions, finding.protocol),
        people=people_tables(finding, people),
        picture_notes=pictures.notes,
        ranking=people,
        in_words=people if len(people) <= IN_WORDS_UP_TO else (),
        failure_table=failure_table(finding.failures),
        failure_sentences=failure_sentences(finding),
        proves=proves(finding),
        does_not_prove=does_not_prove(finding),
        estimate_table=estimate_table(finding),
        test_table=test_table(finding),
        settings_table=settings_table(finding),
        provenance_table=provenance_table(finding),
        repeat=repeat_commands(finding),
        handling=handling(finding, with_pictures=bool(pictures.shown)),
    )
