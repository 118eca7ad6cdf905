"""A count of names in the terminal."""

from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlmaudit.audits.name_counts.finding import Bin, CountsFinding, summary_path
from vlmaudit.results.numbers import count, counted, rate, visible

_SHOWN: Final = 12
"""Names with the most captions that are shown."""


def print_counts(
    finding: CountsFinding, table: pl.DataFrame, out: Path, console: Console | None = None
) -> None:
    """Say who is named most, how many are named how often, and what went wrong.

    Args:
        finding: Of the count.
        table: A row a name.
        out: Where it was written.
        console: Where to print; the terminal unless told otherwise.
    """
    console = console or Console()

    def line(text: str) -> None:
        console.print(Text(visible(text)), soft_wrap=True)

    most = table.filter(pl.col("captions") > 0).sort("captions", "name", descending=[True, False])
    if len(most):
        shown = Table(box=None, pad_edge=False)
        shown.add_column("Name", overflow="fold")
        shown.add_column("Captions", justify="right")
        shown.add_column("Mentions", justify="right")
        for name, captions, times in most.head(_SHOWN).iter_rows():
            shown.add_row(Text(visible(name)), count(captions), count(times))
        console.print(shown)
        if len(most) > _SHOWN:
            line(f"… and {counted(len(most) - _SHOWN, 'name', 'names')} more.")
    bins = Table(box=None, pad_edge=False)
    bins.add_column("Captions")
    bins.add_column("Names", justify="right")
    for one in finding.bins:
        bins.add_row(_range(one), count(one.names))
    console.print(bins)
    line(
        f"{counted(finding.captions, 'caption', 'captions')} read; "
        f"{rate(finding.naming)} name anyone of the list."
    )
    if finding.naming_anyone.n:
        line(
            f"Anybody's name, in the list or not: {rate(finding.naming_anyone)} of a sample. The "
            "detector looks for a usual first name with a word in capitals behind it, in Latin "
            "letters; it misses others."
        )
    left_out = [
        (finding.nulls, "row without a caption", "rows without a caption"),
        (finding.damaged, "damaged row", "damaged rows"),
        (finding.invalid, "caption that is no UTF-8", "captions that are no UTF-8"),
    ]
    for number, single, several in left_out:
        if number:
            line(f"Besides: {counted(number, single, several)}.")
    for notice in finding.notices:
        line(f"Note: {notice}")
    for failure in finding.failed:
        line(f"Not counted: {failure.unit}: {failure.reason}")
    if finding.failed:
        line("The counts leave these out. The same command tries them again.")
    line(f"Written to {out} and {summary_path(out)}")


def _range(one: Bin) -> str:
    if one.most is None:
        return f"{count(one.least)} and more"
    return count(one.least) if one.least == one.most else f"{count(one.least)} to {count(one.most)}"
