"""Thresholds, conformal p-values and operating points at hand-checked values."""

import numpy as np
import pytest

from vlmaudit.stats.calibration import (
    Refusal,
    Threshold,
    TprAtFpr,
    conformal_p,
    cross_fitted_fpr,
    fpr_excess_probability,
    hits_against_chance,
    structural_fpr,
    threshold_for_fpr,
    tpr_at_fpr,
)


def test_conformal_p_counts_non_members_at_or_above():
    scores = np.array([9.0, 4.0, 4.0, 1.0, 0.0])
    is_non_member = np.array([False, False, True, True, True])
    # Of three non-members none reaches 9, one (a tie, against) reaches 4; a non-member is
    # compared with the other two only.
    assert conformal_p(scores, is_non_member).tolist() == pytest.approx(
        [1 / 4, 2 / 4, 1 / 3, 2 / 3, 1]
    )


def test_conformal_p_without_non_members_is_one():
    assert conformal_p(np.array([3.0, 4.0]), np.array([False, False])).tolist() == [1.0, 1.0]


def test_scores_that_differ_by_rounding_are_tied():
    scores = np.array([0.1 + 0.2, 0.3])
    assert conformal_p(scores, np.array([False, True])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("n", "p"), [(60, 0.0164), (299, 0.0033)])
def test_smallest_conformal_p(n, p):
    scores = np.append(np.arange(float(n)), 1e6)
    assert round(conformal_p(scores, np.arange(n + 1) < n)[-1], 4) == p


@pytest.mark.parametrize(("n", "k"), [(59, 0), (120, 1), (200, 4), (299, 8), (1000, 38)])
def test_exceedances_that_assure_five_percent(n, k):
    found = threshold_for_fpr(np.arange(float(n)), 0.05)
    assert isinstance(found, Threshold)
    assert found.exceedances == k
    assert found.value == n - 1 - k
    assert found.upper_fpr <= 0.05


def test_above_all_of_sixty():
    found = threshold_for_fpr(np.arange(60.0), 0.05)
    assert isinstance(found, Threshold)
    assert found.mean_fpr == 1 / 61
    assert round(found.upper_fpr, 4) == 0.0487


def test_too_few_non_members_are_refused_with_the_number_needed():
    found = threshold_for_fpr(np.arange(58.0), 0.05)
    assert isinstance(found, Refusal)
    assert found.non_members_needed == 59
    assert "58 non-members" in found.reason


@pytest.mark.parametrize(("exceedances", "n", "risk"), [(3, 60, 0.65), (10, 200, 0.58)])
def test_the_plain_in_sample_rate_is_wrong_more_often_than_not(exceedances, n, risk):
    found = fpr_excess_probability(0.05, exceedances=exceedances, n_non_members=n)
    assert round(found, 2) == risk


def test_cross_fitting_judges_each_half_by_the_other():
    scores = np.random.default_rng(3).permutation(np.arange(400.0))
    found = cross_fitted_fpr(scores, 0.05, rng=np.random.default_rng(0))
    assert not isinstance(found, Refusal)
    assert found.n == 400
    halves = np.split(scores[np.random.default_rng(0).permutation(400)], 2)
    by_hand = [(halves[0] > found.thresholds[1]).mean(), (halves[1] > found.thresholds[0]).mean()]
    assert found.value == pytest.approx(np.mean(by_hand))
    assert found.low < found.value < found.high


def test_cross_fitting_needs_enough_in_each_half():
    found = cross_fitted_fpr(np.arange(117.0), 0.05, rng=np.random.default_rng(0))
    assert isinstance(found, Refusal)
    assert found.non_members_needed == 118


def test_tpr_at_an_operating_point():
    non_members = np.arange(1.0, 60.0)  # 59 of them: 3 / 60 is allowed at 5 %, so two above
    members = np.array([100.0, 57.5, 57.0, 56.5])
    scores = np.concatenate([members, non_members])
    found = tpr_at_fpr(scores, np.arange(63) < 4, 0.05)
    assert isinstance(found, TprAtFpr)
    assert found.value == 0.5  # 57.0 is tied with the third largest: not above it
    assert found.threshold == 57.0
    assert found.mean_fpr == pytest.approx(0.05)
    assert round(found.upper_fpr, 4) == 0.1029
    assert (round(found.low, 3), round(found.high, 3)) == (0.068, 0.932)


def test_tpr_is_refused_where_no_p_value_is_small_enough():
    scores = np.arange(28.0)
    found = tpr_at_fpr(scores, scores >= 18, 0.05)
    assert isinstance(found, Refusal)
    assert found.non_members_needed == 19
    assert "59 to claim" in found.reason
    assert isinstance(tpr_at_fpr(np.arange(29.0), np.arange(29) >= 19, 0.05), TprAtFpr)


@pytest.mark.parametrize(("max_fpr", "needed"), [(0.05, 19), (0.02, 49), (0.01, 99), (0.001, 999)])
def test_the_number_refused_for_is_enough(max_fpr, needed):
    refused = tpr_at_fpr(np.arange(needed + 0.0), np.arange(needed) < 1, max_fpr)
    assert isinstance(refused, Refusal)
    assert refused.non_members_needed == needed
    assert isinstance(
        tpr_at_fpr(np.arange(needed + 1.0), np.arange(needed + 1) < 1, max_fpr), TprAtFpr
    )


def test_structural_fpr_is_mean_winners_over_names():
    assert structural_fpr(np.array([5, 3, 4]), 1000) == 0.004
    with pytest.raises(ValueError, match="pool of 3"):
        structural_fpr(np.array([5]), 3)


def test_hits_against_chance_at_the_ends():
    assert hits_against_chance(0, 10, 0.0) == 1.0
    assert hits_against_chance(1, 10, 0.0) == 0.0
    assert hits_against_chance(10, 10, 1.0) == 1.0
    with pytest.raises(ValueError, match="11 hits of 10"):
        hits_against_chance(11, 10, 0.5)


@pytest.mark.parametrize("function", [conformal_p, lambda s, m: tpr_at_fpr(s, m, 0.05)])
def test_a_score_that_is_not_finite_is_refused(function):
    with pytest.raises(ValueError, match="not finite"):
        function(np.array([1.0, np.nan]), np.array([True, False]))
