"""The captions of JSON records, in lines or in one large JSON text."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from vlmaudit.data.caption_columns import (
    ReadNotes,
    batches,
    find_column,
    missing_column,
    texts_in,
)
from vlmaudit.data.caption_files import CaptionError, line_blocks, text_pieces_of

_ENOUGH: Final = 1000  # records without the column, after which none is expected to have it
_WINDOW: Final = 1 << 20  # signs
_LONGEST_WORD: Final = len("-Infinity") + 3
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_decode: Final = json.JSONDecoder().raw_decode


def read_lines(path: str, column: str, *, notes: ReadNotes, rows: int) -> Iterator[pa.Array]:
    """Batches of captions of JSON lines; lines that are no JSON are damaged.

    Raises:
        CaptionError: It is torn, holds no JSON lines, or none of its records has the column.
    """
    records = _parsed(line_blocks(text_pieces_of(path)), notes)
    yield from batches(captions_of(records, column, notes), rows)


def read_json(path: str, column: str, *, notes: ReadNotes, rows: int) -> Iterator[pa.Array]:
    """Batches of captions of a JSON text that is never in memory as a whole.

    It may be an array of records or of captions, an object with such arrays of records in it
    (COCO's ``annotations``), or a single record.

    Raises:
        CaptionError: It is torn, no such JSON, or none of its records has the column.
    """
    records = _records(_Window(text_pieces_of(path)), column)
    yield from batches(captions_of(records, column, notes), rows)


def captions_of(records: Iterable[Any], column: str, notes: ReadNotes) -> Iterator[str]:
    """The captions of records, which may be captions themselves; those without are counted.

    Raises:
        CaptionError: None of the first records has the column; the message names the first's.
    """
    n_without = 0
    is_there = False
    there: list[str] = []
    for record in records:
        found = find_column(column, record) if isinstance(record, dict) else None
        if found is None and (column or not isinstance(record, str)):
            n_without += 1
            notes.nulls += 1
            if not there and isinstance(record, dict):
                there = list(record)
            if n_without == _ENOUGH and not is_there:
                break
            continue
        is_there = True
        texts = texts_in(record if found is None else record[found])
        notes.nulls += texts is None
        yield from texts or ()
    if n_without and not is_there:
        raise missing_column(column, there)


def _parsed(blocks: Iterator[bytes], notes: ReadNotes) -> Iterator[Any]:
    n_parsed = n_damaged = 0
    for block in blocks:
        for line in block.decode("utf-8", "surrogateescape").split("\n"):
            text = line.strip(" \t\r")
            if not text:
                continue
            try:
                record, end = _decode(text)  # twice as fast as json.loads
            except (ValueError, RecursionError):
                end = -1
            if end != len(text):
                n_damaged += 1
                notes.damaged += 1
                continue
            n_parsed += 1
            yield record
        if n_damaged and not n_parsed:
            raise CaptionError(f"no JSON lines: none of the first {n_damaged} could be parsed.")


class _Window:
    """A JSON text of which no more than the value that is being parsed is in memory."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._torn: CaptionError | None = None
        self._text = ""
        self._at = 0
        self._n_before = 0

    def peek(self) -> str:
        """The next sign that is no blank, or nothing at the end."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def value(self) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """The value that begins at the next sign."""
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except json.JSONDecodeError as problem:
                if self._may_be_cut(problem) and self._read_on():
                    continue
                raise self._damaged(problem.pos, problem.msg) from problem
            except RecursionError as problem:
                raise self._damaged(self._at, "too deep") from problem
            may_go_on = isinstance(value, int | float) and len(self._text) - end <= len("e+")
            if may_go_on and self._read_on():
                continue
            self._at = end
            return value

    def elements(self) -> Iterator[Any]:
        """The elements of the array that begins at the next sign."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        yield self.value()
        while self._take(",]") == ",":
            yield self.value()

    def each_key(self) -> Iterator[str]:
        """The keys of the object that begins at the next sign; take each one's value in turn."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        while True:
            key = self.value()
            self._take(":")
            yield str(key)
            if self._take(",}") == "}":
                return

    def _take(self, signs: str) -> str:
        sign = self.peek()
        if not sign or sign not in signs:
            raise self._damaged(self._at, f"wanted {' or '.join(signs)}")
        self._at += 1
        return sign

    def _may_be_cut(self, problem: json.JSONDecodeError) -> bool:
        """Whether a problem may be that the text goes on behind the window."""
        return (
            problem.msg.startswith("Unterminated string")
            or len(self._text) - problem.pos <= _LONGEST_WORD
            or self._text[problem.pos :].isspace()
        )

    def _read_on(self) -> bool:
        """Make the window reach at least twice as far; False at the end of the text."""
        if self._torn is not None:
            raise self._torn
        parts = [self._text[self._at :]]
        wanted = max(_WINDOW, len(parts[0]))
        n_signs = 0
        try:
            while n_signs < wanted and (piece := next(self._pieces, b"")):
                parts.append(self._decode(piece))
                n_signs += len(parts[-1])
        except CaptionError as problem:  # not before what precedes the tear was parsed
            self._torn = problem
        self._n_before += self._at
        self._text, self._at = "".join(parts), 0
        if self._torn is not None and not n_signs:
            raise self._torn
        return n_signs > 0

    def _damaged(self, position: int, reason: str) -> CaptionError:
        return CaptionError(
            f"no JSON from sign {self._n_before + position + 1:,} on ({reason}); "
            "get it again or mend it."
        )


def _records(window: _Window, column: str) -> Iterator[Any]:
    if not window.peek():
        raise CaptionError("empty, hence no JSON; get it again.")
    while sign := window.peek():
        if sign == "[":
            yield from window.elements()
        elif sign == "{":
            yield from _records_in_object(window, column)
        else:
            window.value()
            raise CaptionError("no array of records; wanted such as COCO's or LLaVA's.")


def _records_in_object(window: _Window, column: str) -> Iterator[Any]:
    """The elements of the arrays in an object that hold captions, or else itself as a record."""
    record: dict[str, Any] = {}
    is_listed = False
    for key in window.each_key():
        if window.peek() != "[" or find_column(column, [key]):
            record[key] = window.value()
            continue
        record[key] = None
        elements = window.elements()
        first = next(elements, None)
        holds_captions = isinstance(first, dict) and find_column(column, first) is not None
        is_listed |= holds_captions
        if holds_captions:
            yield first
        for element in elements:  # read in any case: the next key stands behind them
            if holds_captions:
                yield element
    if not is_listed:
        yield record
