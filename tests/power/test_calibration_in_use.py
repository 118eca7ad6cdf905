"""Thresholds keep their promise on people they have not seen."""

import numpy as np
from scipy import special

from vlmaudit.seeds import stream
from vlmaudit.stats.calibration import Threshold, conformal_p, cross_fitted_fpr, threshold_for_fpr


def true_rates(n, repetitions, max_fpr=0.05):
    """The real FPR, in a normal population, of thresholds set on n non-members."""
    rng = stream(5, "thresholds", n)
    cuts = [threshold_for_fpr(rng.normal(size=n), max_fpr) for _ in range(repetitions)]
    assert all(isinstance(cut, Threshold) for cut in cuts)
    return np.array([special.ndtr(-cut.value) for cut in cuts])


def test_above_all_of_sixty_is_one_in_sixty_one_on_average():
    rates = true_rates(60, 4000)
    assert abs(rates.mean() - 1 / 61) < 4 * rates.std() / np.sqrt(len(rates))
    assert abs(np.quantile(rates, 0.95) - 0.0487) < 0.004


def test_the_promise_is_broken_at_most_one_time_in_twenty():
    for n in (60, 200, 299):
        broken = int((true_rates(n, 1000) > 0.05).sum())
        assert broken <= 73  # 99.9 % binomial point at .05


def test_the_plain_in_sample_cut_turns_the_row_red():
    rng = stream(5, "in sample")
    cuts = [np.sort(rng.normal(size=60))[-4] for _ in range(1000)]  # 3 of 60 are above: "5 %"
    assert sum(special.ndtr(-cut) > 0.05 for cut in cuts) > 500


def test_cross_fitted_rates_are_those_of_new_people():
    rng = stream(5, "cross-fitting")
    found, real = [], []
    for _ in range(400):
        fitted = cross_fitted_fpr(rng.normal(size=200), 0.05, rng=rng)
        found.append(fitted.value)
        real.append(np.mean([special.ndtr(-cut) for cut in fitted.thresholds]))
    assert abs(np.mean(found) - np.mean(real)) < 4 * np.std(found) / 20


def test_conformal_p_of_new_non_members_is_valid():
    rng = stream(5, "conformal")
    p = [conformal_p(rng.normal(size=60), np.arange(60) > 0)[0] for _ in range(1000)]
    assert 27 <= sum(value <= 0.05 for value in p) <= 73
