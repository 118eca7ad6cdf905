"""The report in a terminal: the answer, its bounds and its conditions, in 80 columns."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.report.parts import GateView, GroupView, Mark
from vlmaudit.report.views import ReportView, view
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    counted,
    decimal,
    hits,
    interval,
    p_number,
    visible,
)
from vlmaudit.results.vocabulary import Verdict

# Lines longer than this tire the eye, however wide the terminal is.
_WIDEST: Final = 96
IN_WORDS_UP_TO: Final = 3
"""People up to whom everybody has a sentence; more of them have a line in a table."""
PEOPLE: Final = 10
"""People in that table: the strongest evidence."""
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


def print_finding(
    finding: Finding, console: Console | None = None, *, page: Path | None = None
) -> None:
    """Print the answer with its error bounds, groups, gates and failures.

    Everything is said in words and signs; colour only helps. Names are printed as they are and
    never read as markup.

    Args:
        finding: What the audit concluded.
        console: Where to print; standard output by default.
        page: Where the whole report lies, if it was written.
    """
    console = console or Console()
    width = min(console.width, _WIDEST)
    shown = view(finding)
    for part in _parts(shown):
        console.print(part, width=width)
    if page is not None:
        console.print()
        # A path broken over two lines cannot be clicked or copied.
        console.print(Text(f"Report: {visible(str(page))}"), soft_wrap=True)


def _parts(shown: ReportView) -> Iterable[Text | Table | Padding]:
    headline = shown.headline
    yield Text.assemble(
        (f"{headline.word}.", _STYLES[headline.verdict]), " ", (headline.title, "bold")
    )
    yield _indented(headline.sentence)
    for sentence in headline.bounds:
        yield _indented(sentence)
    if shown.groups:
        yield Text()
        yield _groups(shown.groups)
    if len(shown.ranking) > IN_WORDS_UP_TO:
        yield Text()
        yield from _people(shown)
    else:
        for person in shown.ranking:
            yield Text()
            yield Text.assemble((f"{person.name}:", "bold"), " ", person.sentence)
            if person.evidence:
                yield _indented(person.evidence, "dim")
    if shown.comparison:
        yield Text()
        yield Text(shown.comparison.sentence)
    if shown.gates:
        yield Text()
        yield _gates(shown.gates)
    yield Text()
    yield Text(shown.failures_line)
    for note in shown.notes:
        yield _indented(note, "dim")


def _indented(sentence: str, style: str = "") -> Padding:
    return Padding(Text(sentence, style=style), (0, 0, 0, 2))


def _people(shown: ReportView) -> Iterable[Table | Padding]:
    """The people with the strongest evidence, one line each, however long a name is."""
    table = _plain_table(expand=True)
    # A name gives way to the numbers; the whole of it stands in the page.
    table.add_column("Person", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("Decision", no_wrap=True)
    table.add_column("Votes", justify="right", no_wrap=True)
    table.add_column("Strength", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("Adjusted", justify="right", no_wrap=True)
    for person in shown.ranking[:PEOPLE]:
        row = person.row
        table.add_row(
            Text(person.name),
            Text(f"{_MARKS[person.mark]} {person.decision}"),
            Text(NO_VALUE if row.score is None else count(row.score)),
            Text(NO_VALUE if row.z is None else decimal(row.z)),
            Text(NO_VALUE if row.p is None else p_number(row.p)),
            Text(NO_VALUE if row.p_adjusted is None else p_number(row.p_adjusted)),
        )
    yield table
    if (left := len(shown.ranking) - PEOPLE) > 0:
        yield _indented(f"… and {counted(left, 'person', 'people')} more, in the page.", "dim")


def _groups(groups: Iterable[GroupView]) -> Table:
    table = _plain_table(expand=False)
    table.add_column("Group", overflow="fold")
    table.add_column("Detected", justify="right", no_wrap=True)
    table.add_column("Share", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for group in groups:
        known = group.detected.value is not None
        table.add_row(
            Text(group.label),
            Text(hits(group.detected)),
            Text(bound(group.detected), style="bold"),
            Text(interval(group.detected) if known else NO_VALUE),
        )
    return table


def _plain_table(*, expand: bool) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=expand)


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
