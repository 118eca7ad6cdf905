"""Ranks with shared ties, against scipy's."""

import numpy as np
from scipy import stats

from vlmaudit.stats.ranks import midranks


def test_it_is_scipys_rankdata_row_by_row():
    rows = np.random.default_rng(0).integers(0, 9, size=(50, 23))
    assert np.array_equal(midranks(rows), stats.rankdata(rows, axis=1))


def test_nobody_and_one_person_have_ranks_too():
    assert midranks(np.zeros((3, 0))).shape == (3, 0)
    assert midranks(np.array([7.0])).tolist() == [1.0]
