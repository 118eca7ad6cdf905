"""A name-leakage finding in a terminal: answer, bounds and conditions, in 80 columns."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vlmaudit.audits.name_leakage.finding import Finding, PersonRow
from vlmaudit.report.leakage.conditions import condition_totals
from vlmaudit.report.leakage.numbers import maybe_percent, points, points_interval
from vlmaudit.report.leakage.people import decision
from vlmaudit.report.leakage.tables import group_null
from vlmaudit.report.leakage.views import LeakageView, view
from vlmaudit.report.leakage.wording import group_words, main_groups
from vlmaudit.report.parts import GateView, Mark
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    counted,
    interval,
    p_number,
    visible,
)
from vlmaudit.results.vocabulary import Verdict

# Lines longer than this tire the eye, however wide the terminal is.
_WIDEST: Final = 96
PEOPLE: Final = 10
"""People in the table: those most clearly named."""
_MARKS: Final[dict[Mark, str]] = {"yes": "●", "no": "○", "unknown": "?"}
_SIGNS: Final[dict[Mark, tuple[str, str]]] = {
    "yes": ("✓", "green"),
    "no": ("✗", "bold red"),
    "unknown": ("?", "yellow"),
}
_STYLES: Final[dict[Verdict, str]] = {
    "found": "bold red",
    "not_found": "bold blue",
    "inconclusive": "bold yellow",
    "confounded": "bold magenta",
}


def print_leakage_finding(
    finding: Finding, console: Console | None = None, *, page: Path | None = None
) -> None:
    """Print the answer with its error bounds, prompts, people, gates and failures.

    Everything is said in words and signs; colour only helps. Names are printed as they are and
    never read as markup; answers are not quoted.

    Args:
        finding: What the audit concluded.
        console: Where to print; standard output by default.
        page: Where the whole report lies, if it was written.
    """
    console = console or Console()
    width = min(console.width, _WIDEST)
    for part in _parts(finding, view(finding)):
        console.print(part, width=width)
    if page is not None:
        console.print()
        # A path broken over two lines cannot be clicked or copied.
        console.print(Text(f"Report: {visible(str(page))}"), soft_wrap=True)


def _parts(finding: Finding, shown: LeakageView) -> Iterable[Text | Table | Padding]:
    headline = shown.headline
    yield Text.assemble(
        (f"{headline.word}.", _STYLES[headline.verdict]), " ", (headline.title, "bold")
    )
    yield _indented(headline.sentence)
    for sentence in headline.bounds:
        yield _indented(sentence)
    if finding.groups:
        yield Text()
        yield _groups(finding)
    if shown.conditions:
        yield Text()
        yield _conditions(finding)
        for sentence in shown.conditions.effects:
            yield _indented(sentence)
    if shown.ranking:
        yield Text()
        yield from _people(shown.ranking)
    if shown.likelihood_sentences:
        yield Text()
        yield Text(shown.likelihood_sentences[-1])
    if shown.gates:
        yield Text()
        yield _gates(shown.gates)
    yield Text()
    yield Text(shown.failures_line)
    for note in shown.notes:
        yield _indented(note, "dim")


def _indented(sentence: str, style: str = "") -> Padding:
    return Padding(Text(sentence, style=style), (0, 0, 0, 2))


def _plain_table(*, expand: bool) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=expand)


def _groups(finding: Finding) -> Table:
    """The prompt categories on unchanged pictures; other conditions stand in the page."""
    table = _plain_table(expand=False)
    table.add_column("Asked", overflow="fold")
    for heading in ("Named", "95 % interval", "Of others", "Lift, points"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group, row in main_groups(finding).items():
        lift = None if row.lift is None else row.lift.value
        table.add_row(
            Text(group_words(group)),
            Text(bound(row.rate), style="bold"),
            Text(NO_VALUE if row.rate.value is None else interval(row.rate)),
            Text(maybe_percent(group_null(finding, row))),
            Text(NO_VALUE if lift is None else points(lift)),
        )
    return table


def _conditions(finding: Finding) -> Table:
    """How much each condition changes, over all prompts that were asked under it."""
    table = _plain_table(expand=False)
    table.add_column("Shown as", overflow="fold")
    for heading in ("Named", "As it is", "Points", "95 % interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in condition_totals(finding):
        value = row.difference.value
        p = row.p if row.p_adjusted is None else row.p_adjusted
        table.add_row(
            Text(visible(row.first.rpartition(": ")[0])),
            Text(maybe_percent(row.first_rate), style="bold"),
            Text(maybe_percent(row.second_rate)),
            Text(NO_VALUE if value is None else points(value)),
            Text(points_interval(row.difference)),
            Text(p_number(p)),
        )
    return table


def _people(people: tuple[PersonRow, ...]) -> Iterable[Table | Padding]:
    """Those most clearly named, one line each, however long a name is."""
    table = _plain_table(expand=True)
    # A name gives way to the numbers; the whole of it stands in the page.
    table.add_column("Person", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("Decision", no_wrap=True)
    # With few people to compare with, detection goes by the rank among all pairs.
    by_cells = any(person.p_cell is not None for person in people)
    for heading in ("Named", "Answers", "Of others", "p, pairs" if by_cells else "p", "Adjusted"):
        table.add_column(heading, justify="right", no_wrap=True)
    for person in people[:PEOPLE]:
        mark, words = decision(person)
        p = person.p_cell if by_cells else person.p
        table.add_row(
            Text(visible(person.name)),
            Text(f"{_MARKS[mark]} {words}"),
            Text(maybe_percent(person.rate)),
            Text(count(person.answers)),
            Text(maybe_percent(person.said_of_others)),
            Text(NO_VALUE if p is None else p_number(p)),
            Text(NO_VALUE if person.p_adjusted is None else p_number(person.p_adjusted)),
        )
    yield table
    if (left := len(people) - PEOPLE) > 0:
        yield _indented(f"… and {counted(left, 'person', 'people')} more, in the page.", "dim")


def _gates(gates: Iterable[GateView]) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for gate in gates:
        sign, style = _SIGNS[gate.mark]
        label = f" [{gate.label}]" if gate.label else ""
        table.add_row(
            Text(sign, style=style),
            Text.assemble((gate.name, "bold"), f" {gate.state}{label}: {gate.sentence}"),
        )
    return table
