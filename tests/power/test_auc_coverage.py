"""The AUC's interval covers in the sizes we meet; DeLong's alone would not for three people."""

import numpy as np
import pytest
from scipy import special

from vlmaudit.seeds import stream
from vlmaudit.stats import roc
from vlmaudit.stats.roc import auc


def coverage(n_members, n_non_members, area, repetitions):
    rng = stream(13, "auc", n_members, n_non_members, str(area))
    is_member = np.arange(n_members + n_non_members) < n_members
    distance = np.sqrt(2) * special.ndtri(area)
    covered = 0
    for _ in range(repetitions):
        found = auc(rng.normal(size=len(is_member)) + distance * is_member, is_member)
        covered += found.low <= area <= found.high
    return covered / repetitions


@pytest.mark.parametrize("area", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("sizes", [(3, 150), (10, 10), (60, 60)])
def test_it_covers(sizes, area):
    assert coverage(*sizes, area, 1000) >= 0.927


def test_delong_over_three_people_turns_the_row_red(monkeypatch):
    monkeypatch.setattr(roc, "MIN_GROUP", 2)
    assert coverage(3, 150, 0.8, 500) < 0.87
