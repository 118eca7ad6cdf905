"""Which column of a file holds its captions, and captions as Arrow arrays."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from vlmaudit.data.caption_files import CaptionError
from vlmaudit.errors import did_you_mean

# img2dataset writes "caption" and "txt", LAION "TEXT", tuning sets for chat the last two.
_COLUMNS: Final = ("caption", "captions", "text", "txt", "conversations", "messages")
_SHOWN: Final = 12
_BATCH: Final = 1 << 24  # signs


@dataclass(slots=True)
class ReadNotes:
    """What was met that gave no caption.

    Attributes:
        nulls: Rows and records without a caption: null, missing, or not text.
        damaged: Lines and rows that could not be parsed.
    """

    nulls: int = 0
    damaged: int = 0


def find_column(wanted: str, columns: Iterable[str]) -> str | None:
    """The column of captions: the one wanted, or else the first of the usual ones, or None.

    >>> find_column("", ["URL", "TEXT"]), find_column("alt", ["URL", "TEXT"])
    ('TEXT', None)
    """
    if wanted:
        return wanted if wanted in columns else None
    there = list(columns)
    for usual in _COLUMNS:
        if usual in there:
            return usual
    lowered = {column.lower(): column for column in reversed(there)}
    return next((lowered[usual] for usual in _COLUMNS if usual in lowered), None)


def choose_column(wanted: str, columns: Sequence[str]) -> str:
    """The column of captions.

    Raises:
        CaptionError: There is none; the message names the columns that are there.
    """
    column = find_column(wanted, columns)
    if column is None:
        raise missing_column(wanted, columns)
    return column


def missing_column(wanted: str, columns: Sequence[str]) -> CaptionError:
    """The error for a file in which no column of captions is."""
    shown = [repr(column)[1:-1] for column in columns[:_SHOWN]]
    there = ", ".join(shown + ["…"] * (len(columns) > _SHOWN)) or "nothing"
    if wanted:
        hint = did_you_mean(wanted, columns)
        return CaptionError(f'no column "{wanted}"; there are {there}.{hint}')
    return CaptionError(
        f"no column of captions ({', '.join(_COLUMNS)}); there are {there}: say which."
    )


def texts_in(value: Any) -> list[str] | None:  # noqa: ANN401 - whatever JSON can hold
    r"""The captions of a value: a text, several, or the turns of a chat as one; None if no text.

    >>> texts_in(["a dog", "a hound"])
    ['a dog', 'a hound']
    >>> texts_in([{"from": "human", "value": "Who?"}, {"role": "assistant", "content": "Ada."}])
    ['Who?\nAda.']
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return None
    texts = [text for text in value if isinstance(text, str)]
    if texts:
        return texts
    turns = [text for turn in value if isinstance(turn, dict) for text in _turn(turn)]
    return ["\n".join(turns)] if turns else None


def _turn(turn: dict[str, Any]) -> list[str]:
    """What is said in a turn, whose content may itself be a list of texts and pictures."""
    said = next((turn[key] for key in ("value", "content", "text") if turn.get(key)), None)
    if isinstance(said, str):
        return [said]
    if isinstance(said, list):
        return [
            text
            for part in said
            for text in (_turn(part) if isinstance(part, dict) else [part])
            if isinstance(text, str)
        ]
    return []


def caption_array(captions: list[str]) -> pa.Array:
    """Captions as large strings; what stands for bytes that are no UTF-8 becomes these again."""
    try:
        return pa.array(captions, pa.large_string())
    except UnicodeEncodeError:
        encoded = [_encoded(caption) for caption in captions]
        return pa.array(encoded, pa.large_binary()).view(pa.large_string())


def _encoded(caption: str) -> bytes:
    try:
        return caption.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a sign, which JSON can spell: no UTF-8 either
        return caption.encode("utf-8", "surrogatepass")


def line_array(block: bytes) -> pa.Array:
    r"""The lines of a block as large strings, made from its bytes as they are.

    Args:
        block: Lines that end in ``\n`` or ``\r\n``, the last one too.
    """
    if b"\r\n" in block:
        block = block.replace(b"\r\n", b"\n")
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    starts = np.zeros(len(ends) + 1, dtype=np.int64)
    starts[1:] = ends - np.arange(len(ends))  # where they end when no line feed is between them
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(block.replace(b"\n", b""))]
    return pa.Array.from_buffers(pa.large_string(), len(ends), buffers)


def batches(captions: Iterable[str], rows: int) -> Iterator[pa.Array]:
    """Captions in arrays of at most so many.

    Raises:
        CaptionError: As `captions`, after what came before it.
    """
    batch: list[str] = []
    n_signs = 0
    torn = None
    try:
        for caption in captions:
            batch.append(caption)
            n_signs += len(caption)
            if len(batch) >= rows or n_signs >= _BATCH:
                yield caption_array(batch)
                batch, n_signs = [], 0
    except CaptionError as problem:
        torn = problem
    if batch:
        yield caption_array(batch)
    if torn is not None:
        raise torn


def slices(array: pa.Array, rows: int) -> Iterator[pa.Array]:
    """An array in slices of at most so many rows."""
    for first in range(0, len(array), rows):
        yield array.slice(first, rows)
