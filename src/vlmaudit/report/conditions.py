"""What was done to pictures under conditions, and whether it worked: for page and terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlmaudit.audits.condition_rows import ConditionRow, condition_rows
from vlmaudit.report.parts import Cell, Column
from vlmaudit.report.parts import Row as PageRow
from vlmaudit.report.parts import Table as PageTable
from vlmaudit.results.numbers import NO_VALUE, count, counted, interval, percent, visible
from vlmaudit.results.records import Estimate


def print_rendered(
    facts: pl.DataFrame,
    unreadable: Sequence[tuple[str, str]],
    sheets: Sequence[Path],
    out: Path,
    console: Console | None = None,
) -> None:
    """Say what was written, and where hiding failed.

    Args:
        facts: A row a picture and condition.
        unreadable: Pictures that could not be read, with the reason.
        sheets: Contact sheets that were drawn.
        out: Where everything lies.
        console: Where to print; the terminal unless told otherwise.
    """
    console = console or Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("Condition", overflow="fold")
    for heading in ("Pictures", "Hidden", "Not found", "Faces left", "Person"):
        table.add_column(heading, justify="right")
    for row in condition_rows(facts):
        table.add_row(*_cells(row))
    console.print(table)
    for image, reason in unreadable:
        console.print(Text(visible(f"Not readable: {image}: {reason}")), soft_wrap=True)
    console.print(
        "Hidden: all that the condition takes away was found. Where it was not, the picture is as "
        "it was, and no audit counts it as anonymised. Person: median share of the picture."
    )
    where = (
        f"{counted(len(sheets), 'contact sheet', 'contact sheets')}: {sheets[0].parent}"
        if sheets
        else f"Pictures: {out}"
    )
    console.print(Text(visible(where)), soft_wrap=True)


def print_filtered(
    dropped: pl.DataFrame,
    out: Path,
    *,
    pictures: int,
    kept: int,
    without: Sequence[str],
    console: Console | None = None,
) -> None:
    """Say what the OCR filter left out, and why.

    Args:
        dropped: What was not kept as it is: ``image, became, part, read``.
        out: Where everything lies.
        pictures: How many there were.
        kept: How many were kept as they are.
        without: People of whom no picture is left.
        console: Where to print; the terminal unless told otherwise.
    """
    console = console or Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("Picture", "", "Name", "Read"):
        table.add_column(heading, overflow="fold")
    for row in dropped.head(_MOST_ROWS).select("image", "became", "part", "read").iter_rows():
        table.add_row(*(Text(visible(one)) for one in row))
    if dropped.height:
        console.print(table)
    console.print(
        f"{count(kept)} of {counted(pictures, 'picture', 'pictures')} kept as they are, "
        f"{count(dropped.height)} not."
    )
    if without:
        names = ", ".join(without[:_MOST_ROWS])
        console.print(Text(visible(f"No picture is left of: {names}")), soft_wrap=True)
    console.print(Text(visible(f"Pictures, and dropped.csv: {out}")), soft_wrap=True)


_MOST_ROWS: Final = 20
"""Lines of a table in the terminal; all of them stand in the file."""


def _cells(row: ConditionRow) -> tuple[str, ...]:
    left = row.faces_left.value if row.faces_left else None
    return (
        row.condition,
        count(row.pictures),
        count(row.hidden),
        count(row.pictures - row.hidden),
        NO_VALUE if left is None else percent(left),
        NO_VALUE if row.mask_area is None else percent(row.mask_area),
    )


def condition_table(rows: Sequence[ConditionRow]) -> PageTable:
    """What every condition did to pictures, and whether it worked."""
    return PageTable(
        "What was done to the pictures, and whether it worked",
        (
            Column("Shown as"),
            Column("Pictures", is_number=True),
            Column("Hidden", "all of it was found", True),
            Column("Not hidden"),
            Column("Faces left", "still found afterwards", True),
            Column("Still told apart", "by a face recogniser", True),
            Column("Person", "median share, 5 and 95 % quantiles", True),
        ),
        tuple(
            PageRow(
                (
                    Cell(visible(row.condition), (visible(row.words),)),
                    Cell(count(row.pictures), (counted(row.people, "person", "people"),)),
                    Cell(count(row.hidden)),
                    Cell(count(row.pictures - row.hidden), tuple(_lacking(row))),
                    _of_people(row.faces_left),
                    _of_people(row.verified),
                    _area(row),
                )
            )
            for row in rows
        ),
    )


def _lacking(row: ConditionRow) -> Sequence[str]:
    return [f"{count(number)}: {visible(reason)}" for reason, number in row.not_hidden.items()]


def _of_people(estimate: Estimate | None) -> Cell:
    if estimate is None or estimate.value is None:
        return Cell(NO_VALUE)
    people = counted(estimate.n, "person", "people")
    return Cell(percent(estimate.value), (interval(estimate), f"n = {people}"))


def _area(row: ConditionRow) -> Cell:
    if row.mask_area is None or row.mask_low is None or row.mask_high is None:
        return Cell(NO_VALUE)
    small = [f"{percent(row.mask_low)} to {percent(row.mask_high)}"]
    if row.several:
        small.append(f"{count(row.several)} with several people")
    return Cell(percent(row.mask_area), tuple(small))


def hiding_sentences(rows: Sequence[ConditionRow], protocol: str) -> tuple[str, ...]:
    """What a reader must know before believing a rate under a condition."""
    said = []
    changed = sum(row.pictures for row in rows)
    failed = changed - sum(row.hidden for row in rows)
    if failed:
        kept = "they count like the others" if protocol == "paper" else "they are left out"
        said.append(
            f"In {count(failed)} of {counted(changed, 'changed picture', 'changed pictures')} "
            "something that was to be taken away was not found. They were not anonymised; under "
            f"this protocol {kept}."
        )
    if any(row.faces_left is not None and row.faces_left.value for row in rows):
        said.append(
            "A face that is still found afterwards is a face, and not yet a known one: whether it "
            "can be told apart is what a recogniser says."
        )
    if any(row.faces and row.faces_left is None for row in rows):
        said.append(
            "Where faces are was given in a table: whether they are still found once they are "
            "hidden was not looked at."
        )
    return tuple(said)
