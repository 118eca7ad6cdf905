"""Writing files so that a reader finds them whole or not at all."""

import errno
import os
import shutil
from collections.abc import Callable
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
    # The new name itself must survive a power cut, not only the bytes it stands for.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def make_private(folder: Path) -> Path:
    """A folder that only its owner may enter, for what holds names, answers or embeddings."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder
