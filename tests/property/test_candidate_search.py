"""Laws of the search for the nearest pictures: blocks change nothing, and of equals the first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.stats.candidate_search import nearest_pictures


def naive(queries, pictures, k, is_usable):
    """All products at once, sorted: whole numbers, so that equals are exactly equal."""
    scores = queries.astype(np.float64) @ pictures.astype(np.float64).T
    scores[:, ~is_usable] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    order[np.isneginf(best)] = -1
    missing = ((0, 0), (0, k - order.shape[1]))
    return (
        np.pad(order, missing, constant_values=-1),
        np.pad(best, missing, constant_values=-np.inf),
    )


@st.composite
def searches(draw):
    """Few different whole numbers in few dimensions: most scores are ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_queries, n_pictures = draw(st.integers(0, 5)), draw(st.integers(0, 40))
    dim, most = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    queries = rng.integers(-most, most + 1, (n_queries, dim)).astype(np.float32)
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    pictures = rng.integers(-most, most + 1, (n_pictures, dim)).astype(dtype)
    is_usable = rng.random(n_pictures) < draw(st.sampled_from([1.0, 0.5, 0.0]))
    return queries, pictures, is_usable, draw(st.integers(1, 12)), draw(st.integers(1, 50))


@given(searches())
def test_any_block_gives_what_the_full_product_gives(search):
    queries, pictures, is_usable, k, block = search
    found = nearest_pictures(queries, pictures, k=k, is_usable=is_usable, block=block)
    place, cosine = naive(queries, pictures, k, is_usable)
    np.testing.assert_array_equal(found.place, place)
    np.testing.assert_array_equal(found.cosine, cosine.astype(np.float32))


@given(searches())
def test_pictures_that_fail_are_as_good_as_not_there(search):
    queries, pictures, is_usable, k, block = search
    broken = pictures.copy()
    broken[~is_usable] = np.nan
    found = nearest_pictures(queries, broken, k=k, is_usable=is_usable, block=block)
    alone = nearest_pictures(queries, pictures[is_usable], k=k, block=block)
    there = np.flatnonzero(is_usable)
    expected = np.where(alone.place < 0, -1, there[alone.place] if len(there) else -1)
    np.testing.assert_array_equal(found.place, expected)
    np.testing.assert_array_equal(found.cosine, alone.cosine)


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_unit_vectors_are_found_up_to_rounding(seed, block):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((230, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries, pictures = rows[:30], rows[30:]
    found = nearest_pictures(queries, pictures, k=7, block=block)
    full = np.sort(queries @ pictures.T, axis=1)[:, ::-1][:, :7]
    np.testing.assert_allclose(found.cosine, full, atol=1e-6)
    np.testing.assert_allclose(
        found.cosine, np.einsum("qd,qkd->qk", queries, pictures[found.place]), atol=1e-6
    )


def test_a_memory_map_is_read_block_by_block(tmp_path):
    """What is in memory does not grow with the set, other than one byte a picture."""
    import tracemalloc

    n, dim, block = 60_000, 32, 512
    pictures = np.memmap(tmp_path / "set", dtype=np.float16, mode="w+", shape=(n, dim))
    pictures[:] = np.random.default_rng(0).standard_normal((n, dim))
    queries = np.asarray(pictures[[5, 59_999]], dtype=np.float32)
    tracemalloc.start()
    found = nearest_pictures(queries, pictures, k=3, block=block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.place[:, 0].tolist() == [5, 59_999]
    assert peak < 8 * block * dim * 4  # the whole set in fp32 would be 60 times as much


def test_what_cannot_be_searched_is_refused():
    rows = np.ones((2, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="0 pictures"):
        nearest_pictures(rows, rows, k=0)
    with pytest.raises(ValueError, match="finite"):
        nearest_pictures(rows * np.nan, rows, k=1)
    with pytest.raises(ValueError, match="finite"):
        nearest_pictures(rows, rows * np.inf, k=1)
