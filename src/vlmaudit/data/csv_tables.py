"""CSV tables that people write, by hand or with a spreadsheet; every error names its line."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from vlmaudit.errors import InputError, did_you_mean


def read_csv(
    path: Path, *, wanted: Sequence[str], required: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with a header, each with its line: cells by column, without blanks.

    Args:
        path: The table, in UTF-8.
        wanted: The columns it may have, for the message; others come along.
        required: The columns it must have.

    Raises:
        InputError: It cannot be read, or is no such table.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as problem:
        raise InputError(f"{path}: the table cannot be read ({problem}).") from problem
    # Strict: a quote that is never closed would swallow the rows below it without a word.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            if not cells:
                continue
            stripped = [cell.strip() for cell in cells]
            if columns is None:
                columns = stripped
                _check_columns(path, columns, wanted, required)
                continue
            if len(stripped) != len(columns):
                raise InputError(
                    f"{path.name}:{reader.line_num}: {len(columns)} cells wanted, as in the first "
                    "line."
                )
            # Spreadsheets leave empty columns behind; what is in one without a name says nothing.
            named = zip(columns, stripped, strict=True)
            yield reader.line_num, {column: cell for column, cell in named if column}
    except csv.Error as problem:
        raise InputError(f"{path.name}:{reader.line_num}: no CSV ({problem}).") from problem
    if columns is None:
        _check_columns(path, [], wanted, required)


def _check_columns(
    path: Path, columns: Sequence[str], wanted: Sequence[str], required: Sequence[str]
) -> None:
    for column in required:
        if column not in columns:
            hint = did_you_mean(column, columns)
            raise InputError(
                f'{path.name}:1: no column "{column}"; wanted {",".join(wanted)}.{hint}'
            )
    for column in columns:
        if column and columns.count(column) > 1:
            raise InputError(f'{path.name}:1: two columns are called "{column}".')
