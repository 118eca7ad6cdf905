"""Writing files so that a reader finds them whole or not at all."""

import csv
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

_NEARLY_FULL: Final = 1 << 16  # bytes: less than any file that may not fit


def write_whole(path: Path, write: Callable[[Path], object], *, private: bool = False) -> None:
    """Write beside `path`, reach the disk, then take its name.

    Args:
        path: Where the file shall stand.
        write: Writes the content to the path it is given.
        private: Readable by its owner alone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.touch(mode=0o600 if private else 0o644)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except Exception as problem:
        # Not every library says so in a way that can be told from a bug.
        if shutil.disk_usage(path.parent).free < _NEARLY_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from problem
        raise
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_leftovers(folder: Path, names: str = "*") -> None:
    """Remove what a kill left of files that were being written; nobody else may be writing them.

    Args:
        folder: Where they stand.
        names: A pattern of the files' final names.
    """
    for part in folder.glob(f".{names}.*.part"):
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut, as its bytes do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table with a header, whole or not at all."""

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_whole(path, write)


def make_private(folder: Path) -> Path:
    """A folder that only its owner may enter, for what holds names, answers or embeddings."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder
