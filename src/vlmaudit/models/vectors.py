"""Directions in an embedding space."""

from typing import Final

import numpy as np
from jaxtyping import Float

# How far two ways to compute one embedding may lie apart: a few times what rounding does.
TOLERANCES: Final = {"float32": 1e-5, "bfloat16": 4e-2, "float16": 5e-3}


def unit_rows(rows: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
    """Rows scaled to length 1, in fp32; a row without a direction becomes NaN as a whole.

    A row of zeros, or one that holds NaN or infinity, has no direction. It must reach the caller
    as NaN, to be recorded as a failure: a finite stand-in would take part in votes.

    >>> unit_rows(np.array([[3.0, 4.0]])).tolist() == [[np.float32(0.6), np.float32(0.8)]]
    True
    >>> unit_rows(np.array([[0.0, 0.0], [np.inf, 1.0]])).tolist()
    [[nan, nan], [nan, nan]]
    """
    wide = rows.astype(np.float64)  # squares of large fp32 numbers overflow in fp32
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    lengths[~np.isfinite(lengths) | (lengths == 0)] = np.nan
    with np.errstate(invalid="ignore"):
        return (wide / lengths).astype(np.float32)
