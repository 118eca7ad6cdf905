"""Locks on files: the system itself lets go of them when their process ends, however it ends."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Lock a file, which is made where it is not there; None if another process holds it.

    Args:
        path: The file that stands for what is locked.
        shared: Any number of holders may share the lock, as long as nobody holds it alone.

    Returns:
        An open file descriptor; closing it lets go of the lock.
    """
    return _lock(path, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, when_busy: Callable[[], None]) -> Iterator[None]:
    """Hold a file's lock alone; waits for whoever has it.

    Args:
        path: The file that stands for what is locked.
        when_busy: Called once if somebody has to be waited for.
    """
    descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if descriptor is None:
        when_busy()
        descriptor = _lock(path, fcntl.LOCK_EX)
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, how: int) -> int | None:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if _is_the_same(descriptor, path):
            return descriptor
        # Its last holder removed the file between our opening and our locking it.
        os.close(descriptor)


def _is_the_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
