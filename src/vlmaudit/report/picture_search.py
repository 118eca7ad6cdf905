"""A search for people's faces in the terminal."""

from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlmaudit.results.numbers import count, counted, visible

_SHOWN: Final = 12
"""People with the most pictures that are shown."""


def print_found(counts: pl.DataFrame, console: Console | None = None) -> None:
    """Say in how many pictures each person is found, those with the most first.

    Args:
        counts: A row a person, with ``identity, pictures, near_duplicates, candidates``.
        console: Where to print; the terminal unless told otherwise.
    """
    found = counts.filter(pl.col("pictures") > 0).sort(
        "pictures", "identity", descending=[True, False]
    )
    if found.is_empty():
        return
    console = console or Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("Person", overflow="fold")
    for heading in ("Pictures found", "Near-duplicates", "Looked at"):
        table.add_column(heading, justify="right")
    columns = ("identity", "pictures", "near_duplicates", "candidates")
    for identity, *numbers in found.select(columns).head(_SHOWN).iter_rows():
        table.add_row(Text(visible(identity)), *map(count, numbers))
    console.print(table)
    if len(found) > _SHOWN:
        more = counted(len(found) - _SHOWN, "person", "people")
        console.print(f"… and {more} more, in counts.csv.", highlight=False)
