"""A memorization finding in a terminal: the answer, the four means, gates and failures."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.words import ANSWERS, MEANS
from vlmaudit.report.memorization.words import ANSWER_MARKS, headline, limits_of, role_words
from vlmaudit.report.parts import GateView, Mark
from vlmaudit.report.tables import gate_views
from vlmaudit.report.wording import failures_line
from vlmaudit.results.numbers import NO_VALUE, bound, count, interval, p_number, visible
from vlmaudit.results.vocabulary import Verdict

# Lines longer than this tire the eye, however wide the terminal is.
_WIDEST: Final = 96
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


def print_memorization_finding(
    finding: Finding, console: Console | None = None, *, page: Path | None = None
) -> None:
    """Print the answer, what each of the four means says, gates and failures.

    Everything is said in words and signs; colour only helps.

    Args:
        finding: What the audit concluded.
        console: Where to print; standard output by default.
        page: Where the whole report lies, if it was written.
    """
    console = console or Console()
    width = min(console.width, _WIDEST)
    for part in _parts(finding):
        console.print(part, width=width)
    if page is not None:
        console.print()
        # A path broken over two lines cannot be clicked or copied.
        console.print(Text(f"Report: {visible(str(page))}"), soft_wrap=True)


def _parts(finding: Finding) -> Iterable[Text | Table | Padding]:
    shown = headline(finding)
    yield Text.assemble((f"{shown.word}.", _STYLES[shown.verdict]), " ", (shown.title, "bold"))
    yield _indented(shown.sentence)
    yield Text()
    yield _means(finding)
    if finding.utility:
        yield Text()
        yield _utility(finding)
    yield Text()
    yield _gates(gate_views(finding.gates))
    yield Text()
    yield Text(failures_line(finding.failures, one="record", many="records"))
    for note in (*finding.notes, *finding.missing):
        yield _indented(visible(note), "dim")


def _indented(sentence: str, style: str = "") -> Padding:
    return Padding(Text(sentence, style=style), (0, 0, 0, 2))


def _plain_table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _means(finding: Finding) -> Table:
    table = _plain_table()
    table.add_column("Seen from unseen by", overflow="fold")
    table.add_column("Answer", no_wrap=True)
    for heading in ("Seen", "Unseen", "AUC", "95 % interval", "p, adjusted"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in finding.means:
        if row.answer == "not_asked":
            continue
        p = row.p_adjusted
        table.add_row(
            Text(MEANS[row.mean]),
            Text(f"{_MARKS[ANSWER_MARKS[row.answer]]} {ANSWERS[row.answer]}"),
            Text(count(row.n_seen)),
            Text(count(row.n_unseen)),
            Text(NO_VALUE if row.auc is None else f"{row.auc:.2f}", style="bold"),
            Text(limits_of(row.low, row.high)),
            Text(NO_VALUE if p is None else p_number(p)),
        )
    return table


def _utility(finding: Finding) -> Table:
    table = _plain_table()
    table.add_column("Still good for", overflow="fold")
    table.add_column("Checkpoint")
    for heading in ("Right", "95 % interval", "Questions"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in finding.utility:
        table.add_row(
            Text(visible(row.measure)),
            Text(role_words(row.role)),
            Text(bound(row.rate), style="bold"),
            Text(interval(row.rate)),
            Text(count(row.rate.n)),
        )
    return table


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
