"""Exposure, canaries and the one-run bound, against the laws of the statistics page."""

import numpy as np
import pytest

from vlmaudit.stats.exposure import canary_test, exposure_bits, mean_exposure
from vlmaudit.stats.one_run import epsilon_lower_bound, guess_canaries


def ranks_of_nobody(n, decoys, seed=0):
    higher = np.random.default_rng(seed).integers(0, decoys + 1, n)
    return exposure_bits(higher, np.zeros(n, int), np.full(n, decoys))


def test_where_nothing_is_known_exposure_has_its_mean_and_variance():
    bits = ranks_of_nobody(200_000, 10_000)
    assert bits.mean() == pytest.approx(1.443, abs=0.02)
    assert bits.var() == pytest.approx(2.081, abs=0.06)


def test_its_ceiling_is_that_of_the_decoys_and_ties_count_against():
    assert exposure_bits(np.array([0]), np.array([0]), np.array([10_000]))[0] == pytest.approx(
        13.29, abs=0.005
    )
    assert exposure_bits(np.array([0]), np.array([10_000]), np.array([10_000]))[0] == 0.0
    with pytest.raises(ValueError, match="not among its decoys"):
        exposure_bits(np.array([3]), np.array([3]), np.array([5]))


@pytest.mark.parametrize(("n", "critical"), [(20, 2.011), (40, 1.837), (100, 1.688)])
def test_critical_means_are_those_of_the_page(n, critical):
    assert mean_exposure(np.full(n, 1.0)).critical == pytest.approx(critical, abs=5e-4)
    assert mean_exposure(np.full(n, critical)).p == pytest.approx(0.05, abs=1e-3)


def test_the_level_of_the_mean_is_kept():
    ps = np.array([mean_exposure(ranks_of_nobody(30, 1000, seed)).p for seed in range(1000)])
    assert (ps <= 0.05).sum() <= 73
    assert (ps <= 0.5).mean() == pytest.approx(0.5, abs=0.06)


def test_canaries_that_are_known_are_told_from_those_left_out():
    rng = np.random.default_rng(0)
    included = rng.random(60) < 0.5
    scores = rng.standard_normal(60) + 2.0 * included
    found = canary_test(scores, included, permutations=999, rng=rng)
    assert found.p == pytest.approx(0.001)
    assert found.auc > 0.8
    turned = canary_test(-scores, included, permutations=999, rng=rng)
    assert turned.p > 0.9
    assert turned.auc == pytest.approx(1 - found.auc)
    tied = canary_test(np.zeros(60), included, permutations=99, rng=rng)
    assert (tied.auc, tied.p) == (0.5, 1.0)
    with pytest.raises(ValueError, match="needs both"):
        canary_test(scores, np.ones(60, bool), permutations=99, rng=rng)


@pytest.mark.parametrize(
    ("right", "guesses", "delta", "epsilon"),
    [
        (20, 20, 0.0, 1.823),
        (40, 40, 0.0, 2.554),
        (100, 100, 0.0, 3.493),
        (1000, 1000, 0.0, 5.809),
        (75, 100, 0.0, 0.702),
        (600, 1000, 0.0, 0.297),
        (100, 100, 1e-5, 3.490),
    ],
)
def test_bounds_are_those_of_the_page(right, guesses, delta, epsilon):
    bound = epsilon_lower_bound(right, guesses, guesses, delta=delta)
    assert bound == pytest.approx(epsilon, abs=1e-3)


def test_guessing_rules_nothing_out():
    assert epsilon_lower_bound(50, 100, 100) == 0.0
    assert epsilon_lower_bound(0, 100, 100) == 0.0
    rng = np.random.default_rng(0)
    claims = 0
    for _ in range(300):
        included = rng.random(50) < 0.5
        right = guess_canaries(rng.standard_normal(50), included, 50)
        claims += epsilon_lower_bound(right, 50, 50) > 0
    assert claims <= 29  # the 99.9 % point of Bin(300, .05)


def test_the_top_half_is_guessed_in_and_the_bottom_half_out():
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    included = np.array([True, True, False, True, False, False])
    assert guess_canaries(scores, included, 6) == 4
    assert guess_canaries(scores, included, 4) == 4
    with pytest.raises(ValueError, match="7 guesses"):
        guess_canaries(scores, included, 7)
