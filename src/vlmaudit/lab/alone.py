"""What a training must not share with anybody: its folder, threads and global randomness."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vlmaudit.errors import RunError
from vlmaudit.results.locks import try_lock

_LOCK_NAME: Final = ".training.lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else trains in this folder.

    Raises:
        RunError: Somebody does.
    """
    path = folder / _LOCK_NAME
    lock = try_lock(path)
    if lock is None:
        raise RunError(f"{folder}: another process is training there; wait for it, or stop it.")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def one_thread(weights_seed: int) -> Iterator[None]:
    """One thread of torch and first weights from a seed; all is put back as it was after.

    With one thread sums have one order, so that a seed gives the same weights everywhere.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(weights_seed)
            yield
    finally:
        torch.set_num_threads(before)
