"""Randomness is an argument and has a name; there is no global seed."""

import hashlib

import numpy as np


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """The random stream for one purpose.

    Seed and purpose are hashed together: a new purpose never shifts another's numbers, and a
    shard draws the same numbers wherever it runs.

    >>> bool(stream(7, "decoys").random() == stream(7, "decoys").random())
    True
    >>> bool(stream(7, "decoys").random() == stream(7, "draws").random())
    False
    """
    # repr keeps 1 and "1" apart; the unit separator keeps ("ab", "c") and ("a", "bc") apart.
    purpose = "\x1f".join(repr(part) for part in (seed, *path))
    digest = hashlib.blake2b(purpose.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest))
