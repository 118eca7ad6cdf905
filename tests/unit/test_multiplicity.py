"""Benjamini-Hochberg, and how many people must be found together."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.stats.multiplicity import benjamini_hochberg, joint_discoveries_needed

p_values = hnp.arrays(float, st.integers(0, 12), elements=st.floats(0, 1), fill=st.nothing())


def rejected_by_step_up(p, alpha):
    """Benjamini and Hochberg's own words: find the largest k with p(k) <= k / m * alpha."""
    order = np.argsort(p)
    below = [k for k in range(1, len(p) + 1) if p[order[k - 1]] * len(p) / k <= alpha]
    return set(order[: max(below, default=0)].tolist())


def test_the_authors_own_example():
    """Benjamini and Hochberg (1995), treatments of infarction: four of fifteen fall at 5 %."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    adjusted = benjamini_hochberg(np.array(p))
    assert (adjusted <= 0.05).sum() == 4
    assert adjusted[3] == pytest.approx(0.0095 * 15 / 4)


@given(p_values, st.floats(0.001, 0.5))
def test_adjusted_values_declare_what_the_step_up_rule_rejects(p, alpha):
    declared = set(np.flatnonzero(benjamini_hochberg(p) <= alpha).tolist())
    assert declared == rejected_by_step_up(p, alpha)


@given(p_values)
def test_adjusting_keeps_the_order_and_never_helps(p):
    adjusted = benjamini_hochberg(p)
    assert (adjusted >= p * (1 - 1e-15)).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_what_is_no_p_value_is_refused(bad):
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg(np.array([0.5, bad]))


@pytest.mark.parametrize(
    ("n_tests", "n_decoys", "needed"),
    [(200, 1000, 4), (200, 4000, 1), (500, 1000, 10), (500, 10_000, 1), (1, 19, 1), (2, 19, 2)],
)
def test_how_many_must_be_found_together(n_tests, n_decoys, needed):
    p_min = 1 / (1 + n_decoys)
    assert joint_discoveries_needed(n_tests, p_min, 0.05) == needed
    together = np.ones(n_tests)
    together[:needed] = p_min
    assert (benjamini_hochberg(together) <= 0.05 + 1e-12).sum() == needed
    together[needed - 1] = 1.0
    assert (benjamini_hochberg(together) <= 0.05).sum() == 0


def test_a_family_that_can_never_declare_anybody_needs_more_than_it_has():
    assert joint_discoveries_needed(10, 1 / 10, 0.05) > 10


def test_rounding_asks_for_nobody_more():
    assert joint_discoveries_needed(7, 0.01, 0.01) == 7
    assert all(joint_discoveries_needed(m, 0.05, 0.05) == m for m in range(1, 300))


@pytest.mark.parametrize("family", [(0, 0.1, 0.05), (3, 0.0, 0.05), (3, 1.5, 0.05), (3, 0.1, 0.0)])
def test_an_impossible_family_is_refused(family):
    with pytest.raises(ValueError, match="no such family"):
        joint_discoveries_needed(*family)
