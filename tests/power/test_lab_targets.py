"""Over several lab targets: tests keep their level where nothing was planted, also far out."""

import numpy as np
import pytest
from rich.console import Console
from scipy.special import bdtr

from vlmaudit.studies.demo import run_demo

pytestmark = [pytest.mark.torch, pytest.mark.prove]

SEEDS = (1, 2, 3, 4)


def allowed(n, level):
    """As many as a sound test exceeds once in a thousand times."""
    return next(k for k in range(n + 1) if bdtr(k, n, level) >= 0.999)


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    return [
        run_demo(tmp_path_factory.mktemp(f"seed{seed}"), seed=seed, console=Console(quiet=True))
        for seed in SEEDS
    ]


def p_values(findings, arm):
    return np.array([row.p for one in findings for row in one.people if row.arm == arm])


def test_the_never_planted_of_four_targets(findings):
    p = p_values(findings, "never planted")
    assert len(p) >= 4 * 299
    for level in (0.05, 0.01):
        assert (p <= level).sum() <= allowed(len(p), level)
    # Kolmogorov's distance at 99.9 %: 1.86 / sqrt(n) on the anti-conservative side.
    levels = np.sort(p)
    excess = (np.arange(1, len(p) + 1) / len(p) - levels).max()
    assert excess <= 1.86 / np.sqrt(len(p))


@pytest.mark.parametrize("arm", ["name planted with strangers", "face and name planted apart"])
def test_the_planted_apart_of_four_targets(findings, arm):
    p = p_values(findings, arm)
    assert len(p) >= 200
    assert (p <= 0.05).sum() <= allowed(len(p), 0.05)


def test_the_planted_of_four_targets_are_found(findings):
    for words in ("planted 16 times", "planted 64 times"):
        rates = [row.detected.value for one in findings for row in one.groups if row.group == words]
        assert np.mean(rates) >= 0.7, (words, rates)


def test_votes_of_the_never_planted_agree_with_their_structural_rate(findings):
    for one in findings:
        chance = next(test for test in one.tests if test.name.startswith("votes of the absent"))
        assert chance.p >= 0.001
