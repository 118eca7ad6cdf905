"""Plain tables from elsewhere: Parquet, CSV or JSON lines, by their ending."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import polars as pl

from vlmaudit.data.paths import is_plain
from vlmaudit.errors import InputError, did_you_mean


def read_table(path: Path, columns: Sequence[str], *, optional: Sequence[str] = ()) -> pl.DataFrame:
    """Read the named columns as text, without blanks around it; what is null is empty.

    Args:
        path: The table.
        columns: Those it must have.
        optional: Those that come along where it has them.

    Raises:
        InputError: The file cannot be read, has another ending, or lacks a column.
    """
    if not is_plain(path):
        raise InputError(
            f"{path}: the table's name is no UTF-8, or begins with a ~ that the shell left as it "
            "is; rename it, or write it out."
        )
    ending = path.suffix.lower()
    try:
        match ending:
            case ".parquet":
                table = _read_parquet(path)
            case ".csv":
                table = pl.read_csv(path, infer_schema=False)
            case ".jsonl" | ".ndjson":
                table = pl.read_ndjson(path)
            case _:
                raise InputError(f'{path}: ending "{ending}": wanted .parquet, .csv or .jsonl.')
    except (OSError, ValueError, pl.exceptions.PolarsError) as problem:
        raise InputError(f"{path}: the table cannot be read ({_first(problem)}).") from problem
    for column in columns:
        if column not in table.columns:
            hint = did_you_mean(column, table.columns)
            raise InputError(f'{path}: no column "{column}"; wanted {",".join(columns)}.{hint}')
    if table.is_empty():
        raise InputError(f"{path}: no rows in it.")
    columns = [*columns, *(column for column in optional if column in table.columns)]
    try:
        texts = table.select(pl.col(columns).cast(pl.String))
    except pl.exceptions.PolarsError as problem:
        raise InputError(
            f"{path}: {', '.join(columns)} must be texts ({_first(problem)})."
        ) from problem
    return texts.select(pl.all().fill_null("").str.strip_chars())


def _read_parquet(path: Path) -> pl.DataFrame:
    """By Arrow, and checked: on a damaged file, polars may end the process."""
    import pyarrow.parquet

    # What programs note about a table may be damaged as well, and says nothing here.
    table = pyarrow.parquet.read_table(path).replace_schema_metadata(None)
    table.validate(full=True)
    return cast("pl.DataFrame", pl.from_arrow(table))


def _first(problem: Exception) -> str:
    """The first line of what a library says, which may go on for many."""
    return (str(problem).splitlines() or ["no reason given"])[0]
