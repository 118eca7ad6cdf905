"""The gate stays quiet where covariates know nothing, and speaks where they do."""

import numpy as np
import pytest

from vlmaudit.seeds import stream
from vlmaudit.stats import blind
from vlmaudit.stats.blind import blind_baseline


def baselines(repetitions, *, n, effect=0.0, n_permutations=19):
    """Gates of studies whose first covariate shifts by `effect` standard deviations."""
    found = []
    for repetition in range(repetitions):
        rng = stream(19, "blind", n, str(effect), repetition)
        is_member = rng.permutation(np.arange(n) < n // 2)
        strata = rng.choice(["female", "male"], size=n)
        table = {f"covariate {place}": rng.normal(size=n) for place in range(5)}
        table["covariate 0"] += effect * is_member
        # A covariate that differs between strata, as everything does.
        table["covariate 1"] += 2.0 * (strata == "male")
        found.append(
            blind_baseline(
                {**table, "sex": strata},
                is_member,
                strata=strata.tolist(),
                randomised=False,
                rng=rng,
                n_permutations=n_permutations,
            )
        )
    return found


def test_nothing_known_is_found_at_its_level(monkeypatch):
    monkeypatch.setattr(blind, "TREES", 40)
    p = np.array([baseline.p for baseline in baselines(150, n=50)])
    assert (p <= 0.05).sum() <= 17  # 99.9 % binomial point
    assert 0.3 < (p <= 0.5).mean() < 0.7


def test_a_covariate_of_one_standard_deviation_is_found():
    found = baselines(3, n=200, effect=1.0, n_permutations=99)
    assert all(baseline.label == "confounded" for baseline in found)
    assert all(baseline.p == baseline.p_min for baseline in found)


@pytest.mark.prove
def test_nothing_known_is_found_at_its_level_in_many_studies():
    found = baselines(400, n=120, n_permutations=39)
    p = np.array([baseline.p for baseline in found])
    assert (p <= 0.05).sum() <= 35
    # 60 people a side: the null SD of the better AUC, and how rarely so few people are "balanced".
    assert abs(np.mean([baseline.null_sd for baseline in found]) - 0.069) < 0.012
    assert np.mean([baseline.label == "balanced" for baseline in found]) < 0.65
