"""The block in flight: outcomes on disk as they come, so that a kill costs one batch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmaudit.results.files import sync_folder
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.locks import try_lock

Row = dict[str, Any]


class Journal:
    """An append-only file with a batch of outcomes a line, written by one process at a time.

    A batch is there whole or not at all: a line that was torn, or damaged since, is cut off with
    what follows it when the journal is opened again. That the batch is the unit keeps later batches
    the same whenever a run was stopped.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take over a locked file; `open_journal` is the way here."""
        self._path = path
        self._descriptor = descriptor
        self.batches = _keep_whole_lines(descriptor)

    def append(self, rows: Sequence[Row]) -> None:
        """Write a batch; once this returns, it survives a power cut.

        Raises:
            OSError: The disk is full; what was written before stays.
        """
        batch = list(rows)
        line = json.dumps({"digest": fingerprint(batch), "rows": batch}, allow_nan=False) + "\n"
        data = memoryview(line.encode())
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)
        self.batches.append(batch)

    def remove(self) -> None:
        """Remove the file: what it held stands in a sealed block now."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file, which stays for whoever goes on."""
        os.close(self._descriptor)


def open_journal(path: Path) -> Journal | None:
    """Open a block's journal for writing; None while another process has it."""
    is_new = not path.exists()
    descriptor = try_lock(path)
    if descriptor is None:
        return None
    if is_new:
        sync_folder(path.parent)
    return Journal(path, descriptor)


def read_journal(path: Path) -> list[list[Row]]:
    """The batches of a journal that somebody else may be writing; it is left as it is."""
    try:
        return _whole_lines(path.read_bytes())[0]
    except FileNotFoundError:  # sealed since it was listed
        return []


def _keep_whole_lines(descriptor: int) -> list[list[Row]]:
    """The batches that were written whole; the file is cut behind the last of them."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        batches, end = _whole_lines(file.read())
    os.ftruncate(descriptor, end)
    os.lseek(descriptor, end, os.SEEK_SET)
    return batches


def _whole_lines(data: bytes) -> tuple[list[list[Row]], int]:
    """The batches up to the first line that was not written to its end, and where that begins."""
    batches: list[list[Row]] = []
    end = 0
    for line in data.splitlines(keepends=True):
        batch = _batch(line)
        if batch is None:
            break
        batches.append(batch)
        end += len(line)
    return batches, end


def _batch(line: bytes) -> list[Row] | None:
    """A line's rows; None where they are not those that were to be written."""
    if not line.endswith(b"\n"):
        return None
    try:
        batch = json.loads(line)
        is_whole = batch["digest"] == fingerprint(batch["rows"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return batch["rows"] if is_whole else None
