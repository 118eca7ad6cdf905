"""Laws of conformal p-values and operating points."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vlmaudit.stats.calibration import (
    Refusal,
    Threshold,
    conformal_p,
    hits_against_chance,
    threshold_for_fpr,
    tpr_at_fpr,
)

tied_scores = st.lists(st.integers(-6, 6), min_size=1, max_size=60)


@given(tied_scores, tied_scores, st.sampled_from([0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5]))
def test_tpr_is_the_best_of_all_thresholds_that_keep_the_promise(members, non_members, max_fpr):
    scores = np.array(members + non_members, dtype=float)
    is_member = np.arange(len(scores)) < len(members)
    best = None
    for threshold in [-math.inf, *scores]:
        above = sum(score > threshold for score in non_members)
        if (1 + above) / (len(non_members) + 1) <= max_fpr + 1e-12:
            best = max(best or 0.0, float(np.mean([score > threshold for score in members])))
    found = tpr_at_fpr(scores, is_member, max_fpr)
    if isinstance(found, Refusal):
        assert best is None
    else:
        assert found.value == pytest.approx(best)
        assert found.value == pytest.approx(np.mean(np.array(members) > found.threshold))
        declared = conformal_p(scores, ~is_member)[is_member] <= max_fpr + 1e-12
        assert found.value == pytest.approx(declared.mean())
        assert found.mean_fpr <= max_fpr + 1e-12


@given(tied_scores, tied_scores)
def test_conformal_p_by_brute_force(others, non_members):
    scores = np.array(others + non_members, dtype=float)
    is_non_member = np.arange(len(scores)) >= len(others)
    found = conformal_p(scores, is_non_member)
    for i, own in enumerate(scores):
        rivals = [s for j, s in enumerate(scores) if is_non_member[j] and j != i]
        assert found[i] == pytest.approx((1 + sum(s >= own for s in rivals)) / (len(rivals) + 1))


@given(tied_scores, tied_scores, st.floats(0.1, 50), st.floats(-5, 5))
def test_conformal_p_ignores_units(others, non_members, scale, shift):
    scores = np.array(others + non_members, dtype=float)
    is_non_member = np.arange(len(scores)) >= len(others)
    moved = conformal_p(scale * scores + shift, is_non_member)
    assert moved.tolist() == conformal_p(scores, is_non_member).tolist()


@given(st.integers(1, 700), st.sampled_from([0.01, 0.02, 0.05, 0.2]), st.sampled_from([0.9, 0.95]))
def test_the_threshold_allows_as_much_as_its_promise_and_no_more(n, max_fpr, assurance):
    found = threshold_for_fpr(np.arange(float(n)), max_fpr, assurance=assurance)
    if isinstance(found, Refusal):
        assert n < found.non_members_needed
        assert stats.beta.sf(max_fpr, 1, n) > 1 - assurance
        return
    assert isinstance(found, Threshold)
    k = found.exceedances
    assert stats.beta.sf(max_fpr, k + 1, n - k) <= 1 - assurance + 1e-12
    assert found.upper_fpr <= max_fpr + 1e-9
    if k + 1 < n:
        assert stats.beta.sf(max_fpr, k + 2, n - k - 1) > 1 - assurance


@given(st.data(), st.integers(1, 300), st.floats(0.001, 0.999))
def test_hits_against_chance_is_scipys_binomial_test(data, n, rate):
    hits = data.draw(st.integers(0, n))
    expected = stats.binomtest(hits, n, rate).pvalue
    assert hits_against_chance(hits, n, rate) == pytest.approx(expected, rel=1e-6, abs=1e-12)
