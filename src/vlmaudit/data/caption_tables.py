"""The caption column of Parquet files and of CSV and TSV tables, however large."""

import csv
import re
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
from pyarrow import types

from vlmaudit.data.caption_columns import (
    ReadNotes,
    batches,
    choose_column,
    slices,
    texts_in,
)
from vlmaudit.data.caption_files import (
    CaptionError,
    line_blocks,
    opened,
    reading,
    text_pieces_of,
)

_BATCH: Final = 1 << 26  # bytes of captions in memory at a time, about
_PAGES: Final = 1 << 20  # bytes read from a column at a time; without, it is read as a whole
_ROW: Final = 1 << 24  # bytes that a row of a CSV table may have
# What a last row of ours holds: a quote that was never closed has swallowed it.
_END: Final = "\x1cthe end of the table\x1c"
# A cell that begins with a quote: closed in its line, or else up to the next tab.
_QUOTED: Final = re.compile(
    rb"""(?m)(?<![^\t\n])"(?:[^"\n]*+(?:""[^"\n]*+)*+"(?=\t|\r?$)|(?P<open>[^\t\r\n]*+))"""
)


def row_groups(path: str) -> list[tuple[int, int]]:
    """How many rows each row group of a Parquet file has, and how many bytes.

    Raises:
        CaptionError: It is torn, or no Parquet.
    """
    with opened(path) as file, _parquet(file) as parquet:
        groups = [parquet.metadata.row_group(n) for n in range(parquet.num_row_groups)]
        return [
            (
                group.num_rows,
                sum(group.column(n).total_compressed_size for n in range(group.num_columns)),
            )
            for group in groups
        ]


def read_parquet(
    path: str, first: int, last: int | None, column: str, *, notes: ReadNotes, rows: int
) -> Iterator[pa.Array]:
    """Batches of captions from row groups `first` up to `last`, or to the end.

    Raises:
        CaptionError: It is torn, no Parquet, or has no column of text by that name.
    """
    with opened(path) as file, _parquet(file) as parquet:
        schema = parquet.schema_arrow
        column = choose_column(column, schema.names)
        if schema.names.count(column) > 1:
            raise CaptionError(f'two columns are called "{column}"; rename one.')
        kind = schema.field(column).type
        if not _is_readable(kind):
            raise CaptionError(f'column "{column}" holds {kind}, no text; say which does.')
        groups = range(first, parquet.num_row_groups if last is None else last)
        rows = min(rows, _rows_that_fit(parquet.metadata, groups, column))
        for batch in parquet.iter_batches(
            batch_size=rows, row_groups=groups, columns=[column], use_threads=False
        ):
            yield from _captions(batch.column(0), notes, rows)


def _parquet(file: Any) -> Any:  # noqa: ANN401 - pyarrow is untyped
    from pyarrow.parquet import ParquetFile

    # Buffered before, the whole column of a row group would be in memory.
    return ParquetFile(file, buffer_size=_PAGES, pre_buffer=False)


def _rows_that_fit(metadata: Any, groups: range, column: str) -> int:  # noqa: ANN401
    """Rows that take up as much memory as a batch may: captions can be books."""
    largest = 1.0
    for group in map(metadata.row_group, groups):
        for part in map(group.column, range(group.num_columns)):
            if part.path_in_schema.partition(".")[0] == column.partition(".")[0]:
                largest = max(largest, part.total_uncompressed_size / max(1, group.num_rows))
    return max(1, int(_BATCH / largest))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_string_view(kind)
        or types.is_binary_view(kind)
        or types.is_null(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind))


def _is_readable(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind) or _is_list(kind):
        return _is_readable(kind.value_type)
    return _is_text(kind) or bool(types.is_struct(kind))


def _captions(array: pa.Array, notes: ReadNotes, rows: int) -> Iterator[pa.Array]:
    """Captions of a stored column, which may be a list of captions or of a chat's turns."""
    kind = array.type
    if types.is_dictionary(kind):
        yield from _captions(array.dictionary_decode(), notes, rows)
    elif _is_list(kind) and _is_text(kind.value_type):
        notes.nulls += array.null_count
        yield from _captions(array.flatten(), notes, rows)
    elif _is_text(kind):
        notes.nulls += array.null_count
        yield from slices(_as_strings(array.drop_null()), rows)
    else:
        yield from batches(_said(array, notes), rows)


def _said(array: pa.Array, notes: ReadNotes) -> Iterator[str]:
    for value in array.to_pylist():
        texts = texts_in([value] if isinstance(value, dict) else value)
        notes.nulls += texts is None
        yield from texts or ()


def _as_strings(array: pa.Array) -> pa.Array:
    """Text or bytes as strings, unchecked: whether they are UTF-8 is for the search to say."""
    kind = array.type
    if types.is_binary(kind):
        return array.view(pa.string())
    if types.is_large_binary(kind):
        return array.view(pa.large_string())
    if types.is_binary_view(kind):
        return array.cast(pa.large_binary()).view(pa.large_string())
    if types.is_string_view(kind) or types.is_null(kind):
        return array.cast(pa.large_string())
    return array


class _Lines:
    """Blocks of lines, and a last row of `_END`, as the file that pyarrow reads.

    A tear is its end, and is kept for later.
    """

    def __init__(self, blocks: Iterator[bytes], end: str) -> None:
        self.torn: CaptionError | None = None
        self.closed = False
        self._blocks = blocks
        self._end = end.encode()
        self._held = memoryview(b"")

    def read(self, n_bytes: int) -> bytes:
        if not self._held:
            self._held = memoryview(self._next())
        taken = bytes(self._held[:n_bytes])
        self._held = self._held[n_bytes:]
        return taken

    def _next(self) -> bytes:
        try:
            block = next(self._blocks, b"")
        except CaptionError as problem:
            self.torn = problem
            block = b""
        if not block:
            block, self._end = self._end, b""
        return block

    def close(self) -> None:
        self.closed = True


def read_table(
    path: str, delimiter: str, column: str, *, notes: ReadNotes, rows: int
) -> Iterator[pa.Array]:
    """Batches of captions of a CSV or TSV table with a header.

    Empty cells are no captions; rows with more or fewer cells than the header are damaged. Many
    TSV tables know no quotes: there, one that is not closed in its line is a sign like others.

    Raises:
        CaptionError: It is torn, no table, or has no column by that name.
    """
    columns = _header(path, delimiter)
    column = choose_column(column, columns)
    end = delimiter.join([_END] * len(columns)) + "\n"
    blocks = line_blocks(text_pieces_of(path))
    lines = _Lines(map(_closed, blocks) if delimiter == "\t" else blocks, end)
    cells = None
    failed = None
    try:
        for following in _cells(path, lines, delimiter, column, notes):
            if cells is not None:
                yield from _captions(cells, notes, rows)
            cells = following
    except CaptionError as problem:
        failed = problem
    if failed is None:
        last = bytes(cells[-1].as_buffer() or b"") if cells is not None else b""
        failed = lines.torn or (None if last == _END.encode() else _never_closed())
        if cells is not None and _END.encode() in last:
            cells = cells.slice(0, len(cells) - 1)
    if cells is not None:
        yield from _captions(cells, notes, rows)
    if failed is not None:
        raise failed


def _closed(block: bytes) -> bytes:
    """Lines of a TSV in which every quote that is not closed in its line is escaped."""

    def close(cell: re.Match[bytes]) -> bytes:
        escaped = cell[0].replace(b'"', b'""')
        return cell[0] if cell["open"] is None else b'"%b"' % escaped

    return _QUOTED.sub(close, block) if b'"' in block else block


def _never_closed() -> CaptionError:
    return CaptionError(
        f"a quote that is never closed, or a row of more than {_ROW >> 20} MB; mend it."
    )


def _cells(
    path: str, lines: _Lines, delimiter: str, column: str, notes: ReadNotes
) -> Iterator[pa.Array]:
    """The cells of a column, block by block."""
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, open_csv

    def skip(_: object) -> str:
        notes.damaged += 1
        return "skip"

    with reading(path):
        try:
            reader = open_csv(
                lines,
                read_options=ReadOptions(block_size=_ROW, use_threads=False),
                parse_options=ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
                ),
                convert_options=ConvertOptions(
                    include_columns=[column],
                    column_types={column: pa.large_string()},
                    check_utf8=False,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
            for batch in reader:
                if batch.num_rows:
                    yield batch.column(0)
        except pa.ArrowInvalid as problem:
            if "straddl" in str(problem) or "out of sync" in str(problem):
                raise _never_closed() from problem
            raise


def _header(path: str, delimiter: str) -> list[str]:
    """The names of a table's columns."""
    head = next(line_blocks(text_pieces_of(path)), b"").decode("utf-8", "surrogateescape")
    try:
        columns = next(csv.reader(head.splitlines(keepends=True), delimiter=delimiter), [])
    except csv.Error as problem:
        raise CaptionError(f"no table: its first line is no header ({problem}).") from problem
    for column in columns:
        if columns.count(column) > 1 and column:
            raise CaptionError(f'two columns are called "{column}"; rename one.')
    return columns
