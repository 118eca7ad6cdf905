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
    monkeypatch.setattr(blind, "TREES", 30)
    p = np.array([baseline.p for baseline in baselines(120, n=50)])
    assert (p <= 0.05).sum() <= 14  # 99.9 % binomial point
    assert 0.3 < (p <= 0.5).mean() < 0.7


def test_a_covariate_of_one_standard_deviation_is_found():
    found = baselines(3, n=200, effect=1.0, n_permutations=99)
    assert all(baseline.label == "confounded" for baseline in found)
    assert all(baseline.p == baseline.p_min for baseline in found)


@pytest.mark.parametrize(("a_side", "sd"), [(60, 0.069), (100, 0.049)])
def test_chance_spreads_wider_than_a_reader_might_think(a_side, sd):
    is_member = np.arange(2 * a_side) < a_side
    found = []
    for study in range(3):
        rng = stream(19, "spread", a_side, study)
        table = {f"covariate {place}": rng.normal(size=2 * a_side) for place in range(8)}
        found.append(blind_baseline(table, is_member, randomised=False, rng=rng).null_sd)
    assert abs(np.mean(found) - sd) < 0.012


@pytest.mark.prove
def test_nothing_known_is_found_at_its_level_in_many_studies(monkeypatch):
    # The permutations are exact with any number of trees; few keep this within a minute.
    monkeypatch.setattr(blind, "TREES", 30)
    p = np.array([baseline.p for baseline in baselines(400, n=120, n_permutations=39)])
    assert (p <= 0.05).sum() <= 35
    assert 0.4 < (p <= 0.5).mean() < 0.6
