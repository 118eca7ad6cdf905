"""The AUC and its interval at hand-checked values."""

import numpy as np
import pytest

from vlmaudit.stats.roc import auc, auc_difference


def group(n_members, n_non_members):
    return np.arange(n_members + n_non_members) < n_members


def test_ties_count_one_half():
    found = auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    assert found.value == (1 + 1 + 0.5 + 1) / 4


def test_a_perfect_ranking_is_not_certainty():
    found = auc(np.concatenate([np.full(10, 2.0), np.arange(20.0) / 20]), group(10, 20))
    assert (found.value, found.high) == (1.0, 1.0)
    assert round(found.low, 2) == 0.69  # .025 ** (1 / 10)
    assert found.method == "exact, disjoint pairs"
    assert found.standard_error is None


def test_a_perfectly_wrong_ranking_mirrors_it():
    found = auc(np.arange(30.0), group(10, 20))
    assert (found.value, found.low) == (0.0, 0.0)
    assert round(found.high, 2) == 0.31


def test_scores_that_are_all_tied_say_nothing_rather_than_one_half():
    found = auc(np.ones(40), group(20, 20))
    assert found.value == 0.5
    assert found.low < 0.3 < 0.7 < found.high


def test_a_single_member_gets_a_wide_interval():
    found = auc(np.array([5.0, *np.arange(9.0)]), group(1, 9))
    assert found.high - found.low > 0.8
    assert found.method == "exact, disjoint pairs"


def test_delong_where_it_is_defined():
    rng = np.random.default_rng(0)
    found = auc(rng.normal(size=60) + np.repeat([1.0, 0.0], 30), group(30, 30))
    assert found.method == "DeLong"
    assert 0 < found.low < found.value < found.high < 1


def test_difference_to_a_blind_guess():
    rng = np.random.default_rng(0)
    signal = np.repeat([2.0, 0.0], 40)
    attack, blind = signal + rng.normal(size=80), 0.2 * signal + rng.normal(size=80)
    found = auc_difference(attack, blind, group(40, 40))
    assert found.value == pytest.approx(
        auc(attack, group(40, 40)).value - auc(blind, group(40, 40)).value
    )
    assert found.p < 0.002
    assert 0 < found.low < found.value < found.high < 1


def test_no_difference_is_not_a_certain_zero():
    scores = np.arange(40.0)
    found = auc_difference(scores, scores, group(20, 20))
    assert (found.value, found.p) == (0.0, 1.0)
    assert found.low < 0 < found.high
    assert found.method == "exact, disjoint pairs"


def test_a_total_difference_has_an_honest_p():
    scores = np.arange(24.0)
    found = auc_difference(-scores, scores, group(12, 12))
    assert found.value == 1.0
    assert found.p == pytest.approx(2 * 0.5**12)
    assert found.low < 1.0


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ValueError, match="3 members, 0 non-members"):
        auc(np.arange(3.0), group(3, 0))
    with pytest.raises(ValueError, match="not finite"):
        auc(np.array([np.inf, 1.0]), group(1, 1))
