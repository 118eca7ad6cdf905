"""Laws of scaling embeddings to unit length."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from vlmaudit.models.vectors import unit_rows

ROWS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)


@given(ROWS)
def test_a_row_is_of_unit_length_or_nan_as_a_whole(rows):
    unit = unit_rows(rows)
    assert unit.dtype == np.float32
    for row, result in zip(rows, unit, strict=True):
        if np.isfinite(row).all() and row.any():
            assert abs(np.linalg.norm(result) - 1) < 1e-6
        else:
            assert np.isnan(result).all()


@given(ROWS, st.floats(0.5, 2))
def test_scale_does_not_matter(rows, scale):
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(unit_rows(wide * scale), unit_rows(wide), atol=1e-6)
