"""Laws of the AUC, and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.stats.roc import auc, auc_difference

scores_lists = st.lists(st.integers(0, 12), min_size=10, max_size=25)


def kernel(members, non_members):
    """1 where the member is above, one half for ties."""
    a, b = np.array(members)[:, None], np.array(non_members)[None, :]
    return (a > b) + 0.5 * (a == b)


def arrays(members, non_members):
    scores = np.array([*members, *non_members], dtype=float)
    return scores, np.arange(len(scores)) < len(members)


@given(scores_lists, scores_lists)
def test_value_and_delong_variance_by_brute_force(members, non_members):
    wins = kernel(members, non_members)
    found = auc(*arrays(members, non_members))
    assert found.value == pytest.approx(wins.mean())
    variance = wins.mean(1).var(ddof=1) / len(members) + wins.mean(0).var(ddof=1) / len(non_members)
    assert (found.standard_error or 0.0) == pytest.approx(np.sqrt(variance))
    assert found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12


@given(scores_lists, scores_lists)
def test_it_mirrors_when_the_groups_are_swapped(members, non_members):
    scores, is_member = arrays(members, non_members)
    found, mirrored = auc(scores, is_member), auc(scores, ~is_member)
    assert found.value == pytest.approx(1 - mirrored.value)
    assert found.low == pytest.approx(1 - mirrored.high)


@given(scores_lists, scores_lists)
def test_it_ignores_units_and_order(members, non_members):
    scores, is_member = arrays(members, non_members)
    shuffled = np.random.default_rng(0).permutation(len(scores))
    assert auc(np.exp(scores), is_member) == auc(scores, is_member)
    again = auc(scores[shuffled], is_member[shuffled])
    assert again.low == pytest.approx(auc(scores, is_member).low)


@given(scores_lists, scores_lists, st.integers(0, 99))
def test_paired_difference_by_brute_force(members, non_members, seed):
    scores, is_member = arrays(members, non_members)
    other = np.random.default_rng(seed).integers(0, 9, size=len(scores)).astype(float)
    found = auc_difference(scores, other, is_member)
    back = auc_difference(other, scores, is_member)
    wins = kernel(members, non_members) - kernel(other[is_member], other[~is_member])
    variance = wins.mean(1).var(ddof=1) / len(members) + wins.mean(0).var(ddof=1) / len(non_members)
    assert found.value == pytest.approx(wins.mean())
    assert (found.standard_error or 0.0) == pytest.approx(np.sqrt(variance))
    assert back.value == pytest.approx(-found.value)
    assert back.low == pytest.approx(-found.high)
    assert back.p == pytest.approx(found.p)
