"""The captions of webdataset tars, past their pictures."""

import itertools
import json
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa

from vlmaudit.data.caption_columns import ReadNotes, batches, find_column
from vlmaudit.data.caption_files import CaptionError, endings_of, unpacked
from vlmaudit.data.caption_records import captions_of

_BLOCK: Final = tarfile.BLOCKSIZE
_SKIPPED: Final = 1 << 20  # bytes at a time, of what cannot be sought


def read_tar(path: str, column: str, *, notes: ReadNotes, rows: int) -> Iterator[pa.Array]:
    """Batches of captions of a tar, whose members of one name up to the first dot are a sample.

    Of a sample, the column of its ``.json`` goes first; else every line of its ``.txt``, or of
    the member that ends in the column's name, is a caption.

    Raises:
        CaptionError: It is torn, no tar, or none of its first samples has a caption.
    """
    yield from batches(captions_of(_samples(path, column, notes), column, notes), rows)


def _samples(path: str, column: str, notes: ReadNotes) -> Iterator[dict[str, Any]]:
    text = column.lower() or "txt"
    members = _members(path, {"json", text})
    for _, group in itertools.groupby(members, key=lambda member: member[0]):
        parts = {ending: content for _, ending, content in group}
        record: dict[str, Any] = dict.fromkeys(parts)
        if "json" in parts:
            try:
                said = json.loads(parts["json"].decode("utf-8", "surrogateescape"))
            except (ValueError, RecursionError):
                notes.damaged += 1
                said = None
            if isinstance(said, dict):
                if find_column(column, said) is not None:
                    yield said
                    continue
                record = said | record
        if text in parts:
            lines = parts[text].decode("utf-8", "surrogateescape").lstrip("\ufeff").split("\n")
            stripped = [line.strip() for line in lines]
            record = {column or text: [line for line in stripped if line]}
        yield record


def _members(path: str, wanted: set[str]) -> Iterator[tuple[str, str, bytes]]:
    """Name up to its first dot, ending and, if it is wanted, content of each file in a tar."""
    with unpacked(path) as file:
        can_seek = not endings_of(path)[1]
        long_name = ""
        while (header := _header(file)) is not None:
            padding = -header.size % _BLOCK
            if header.type in {tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE}:
                content = _take(file, header.size + padding)[: header.size]
                if header.type == tarfile.XHDTYPE:
                    long_name = _extended_path(content) or long_name
                else:
                    long_name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
                continue
            name = PurePosixPath(long_name or header.name)
            stem, _, ending = name.name.partition(".")
            content = b""
            if header.isreg() and ending.lower() in wanted:
                content = _take(file, header.size + padding)[: header.size]
            elif can_seek:
                file.seek(file.tell() + header.size + padding)
            else:
                for first in range(0, header.size + padding, _SKIPPED):
                    _take(file, min(_SKIPPED, header.size + padding - first))
            if header.type in {tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK}:
                continue
            long_name = ""
            if header.isreg() and stem:
                yield str(name.parent / stem), ending.lower(), content


def _header(file: Any) -> tarfile.TarInfo | None:  # noqa: ANN401 - a file of pyarrow or fsspec
    """The next header of a tar, or None at its end, which is a block of zeros."""
    block = _take(file, _BLOCK)
    if not any(block):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as problem:
        raise CaptionError(f"torn, or no tar ({problem}); get it again.") from problem


def _take(file: Any, n_bytes: int) -> bytes:  # noqa: ANN401
    taken = file.read(n_bytes)
    if len(taken) < n_bytes:
        raise CaptionError("torn, or no tar (its end is missing); get it again.")
    return taken


def _extended_path(content: bytes) -> str:
    """The path in a header of records such as ``17 path=a/b.txt`` with a line feed each."""
    while content:
        length = content.partition(b" ")[0]
        if not length.isdigit() or int(length) <= len(length):
            return ""
        record, content = content[len(length) + 1 : int(length)], content[int(length) :]
        key, _, value = record.partition(b"=")
        if key == b"path":
            return value.rstrip(b"\n").decode("utf-8", "surrogateescape")
    return ""
