"""Files that know whether they are as they were written: a digest of all their bytes is in them.

A bit that flips in a page of numbers makes another number, and a Parquet file does not say so; a
damaged footer may even end the process. So nothing is decoded before the digest was compared. The
file's name belongs to it, so that files cannot be mixed up either.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from vlmaudit.errors import RunError
from vlmaudit.results.files import write_text, write_whole

_KEY: Final = "vlmaudit.digest"
_LENGTH: Final = 32  # hexadecimal digits
_BLANK: Final = "0" * _LENGTH
_PLACE: Final = re.compile(_KEY.encode() + rb"..([0-9a-f]{32})", re.DOTALL)

POLARS_ERRORS: Final = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What the table library raises on a damaged file that was not checked before."""


def write_table(path: Path, table: pl.DataFrame, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table as Parquet, whole, for its owner alone, with its digest in its metadata."""

    def write(part: Path) -> None:
        table.write_parquet(part, metadata={**(metadata or {}), _KEY: _BLANK})
        data = part.read_bytes()
        start, end = _digest_place(data)
        with part.open("r+b") as file:
            file.seek(start)
            file.write(_digest(path.name, data[:start], _BLANK.encode(), data[end:]).encode())

    write_whole(path, write, private=True)


def read_table(path: Path, *, mend: str) -> pl.DataFrame:
    """Read a table that `write_table` wrote.

    Args:
        path: Where it stands.
        mend: What to do if it is damaged, for the message.

    Raises:
        FileNotFoundError: It is not there.
        RunError: It is not as it was written.
    """
    return pl.read_parquet(io.BytesIO(_whole(path, mend)))


def read_metadata(path: Path, *, mend: str) -> dict[str, str]:
    """The metadata of a table that `write_table` wrote; raises as `read_table` does."""
    return pl.read_parquet_metadata(io.BytesIO(_whole(path, mend)))


def write_json(path: Path, content: object) -> None:
    """Write a document with its digest beside the content."""
    text = json.dumps(content, ensure_ascii=False)
    digest = _digest(path.name, text.encode())
    write_text(path, json.dumps({"digest": digest, "content": content}, ensure_ascii=False) + "\n")


def read_json(path: Path, *, mend: str) -> object:
    """Read a document that `write_json` wrote.

    Raises:
        FileNotFoundError: It is not there.
        RunError: It is not as it was written.
    """
    try:
        document = json.loads(path.read_bytes())
        text = json.dumps(document["content"], ensure_ascii=False)
        is_whole = document["digest"] == _digest(path.name, text.encode())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as problem:
        raise _damaged(path, mend) from problem
    if not is_whole:
        raise _damaged(path, mend)
    return document["content"]


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as numpy does, with its digest behind it."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    body = np.ascontiguousarray(array).data
    digest = _digest(path.name, head.getvalue(), body)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            # numpy's own writer does not say "no space left" when a disk is full.
            file.write(head.getvalue())
            file.write(body)
            file.write(digest.encode())

    write_whole(path, write, private=True)


def read_array(path: Path) -> np.ndarray | None:
    """An array that `write_array` wrote, on disk; None where it is missing or damaged."""
    try:
        with path.open("rb") as file:
            end = path.stat().st_size - _LENGTH
            digest = hashlib.blake2b(key=path.name.encode(), digest_size=_LENGTH // 2)
            while end > 0 and (chunk := file.read(min(end, 1 << 20))):
                digest.update(chunk)
                end -= len(chunk)
            is_whole = file.read() == digest.hexdigest().encode()
    except OSError:
        return None
    return np.load(path, mmap_mode="r") if is_whole else None


def _whole(path: Path, mend: str) -> bytes:
    """A table's bytes, once it is known that they are those that were written."""
    try:
        data = path.read_bytes()
        start, end = _digest_place(data)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as problem:
        raise _damaged(path, mend) from problem
    if data[start:end].decode() != _digest(path.name, data[:start], _BLANK.encode(), data[end:]):
        raise _damaged(path, mend)
    return data


def _digest_place(data: bytes) -> tuple[int, int]:
    """Where the digest stands: the last mention of its key, behind all that comes from outside.

    Raises:
        ValueError: It is not there.
    """
    # The footer is at the end, and what follows the key in it are two bytes of its encoding.
    key = data.rfind(_KEY.encode())
    found = _PLACE.match(data, key) if key >= 0 else None
    if found is None:
        raise ValueError("no digest")
    return found.span(1)


def _digest(name: str, *parts: bytes | memoryview) -> str:
    digest = hashlib.blake2b(key=name.encode(), digest_size=_LENGTH // 2)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _damaged(path: Path, mend: str) -> RunError:
    return RunError(f"{path}: damaged; {mend}")
