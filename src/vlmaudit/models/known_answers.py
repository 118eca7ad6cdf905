"""A short summary of embeddings in which a change anywhere is seen."""

import hashlib
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from vlmaudit.models.vectors import TOLERANCES
from vlmaudit.results.self_test import KnownAnswers

N_NUMBERS: Final = 16
_DIGITS: Final = 7  # a hundredth of what fp32 may be off


def summarised(
    pictures: Float[np.ndarray, "pictures dim"], texts: Float[np.ndarray, "texts dim"], dtype: str
) -> KnownAnswers | None:
    """Sixteen numbers for each embedding; None where an embedding is not made of numbers.

    Each number is the embedding's sum with random signs (Johnson and Lindenstrauss, in the form
    of Achlioptas 2003). The first sixteen coordinates would not do: they say nothing of the
    others, and the distance that an embedding has moved cannot be told from them.
    """
    if not (np.isfinite(pictures).all() and np.isfinite(texts).all()):
        return None
    return KnownAnswers(
        dtype=dtype,
        tolerance=TOLERANCES[dtype],
        pictures=_summary(pictures),
        texts=_summary(texts),
    )


def _summary(rows: Float[np.ndarray, "rows dim"]) -> tuple[tuple[float, ...], ...]:
    sums = rows.astype(np.float64) @ _signs(rows.shape[1])
    return tuple(tuple(round(float(number), _DIGITS) for number in row) for row in sums)


def _signs(dim: int) -> Int[np.ndarray, "dim numbers"]:
    """Random signs from a hash, the same on every machine and under every version of numpy."""
    n_bits = dim * N_NUMBERS
    drawn = np.frombuffer(hashlib.shake_128(b"known answers").digest((n_bits + 7) // 8), np.uint8)
    return 1 - 2 * np.unpackbits(drawn)[:n_bits].reshape(dim, N_NUMBERS).astype(np.int64)
