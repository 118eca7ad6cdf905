"""Every unit has the same chance of every arm; the dose test is calibrated and finds doses."""

import numpy as np

from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import assign, dose_response

STRATA = ["a"] * 2 + ["b"] * 5 + ["c"] * 6
ARMS = {"never": 6, "once": 4, "often": 3}


def test_every_unit_has_the_same_chance_of_every_arm():
    repetitions, rng = 6000, stream(17, "fairness")
    names = list(ARMS)
    counts = np.zeros((len(STRATA), len(ARMS)))
    for _ in range(repetitions):
        for unit, arm in enumerate(assign(STRATA, ARMS, rng=rng)):
            counts[unit, names.index(arm)] += 1
    chances = np.array(list(ARMS.values())) / len(STRATA)
    errors = np.sqrt(chances * (1 - chances) / repetitions)
    # 39 comparisons: the largest of so many normal errors passes 4.5 once in 3000 times.
    assert np.abs((counts / repetitions - chances) / errors).max() < 4.5


PEOPLE = ["eligible, women"] * 14 + ["eligible, men"] * 9 + ["women"] * 30 + ["men"] * 27
DOSES = {"0": 50, "4": 15, "16": 15}


def plant(rng):
    return np.array([int(arm) for arm in assign(PEOPLE, DOSES, rng=rng)])


def p_values(effect, repetitions, n_permutations):
    rng = stream(17, "dose", str(effect))
    # Strata differ much in their scores, whatever was planted.
    level = np.array([2.0 * person.startswith("eligible") for person in PEOPLE])
    found = []
    for _ in range(repetitions):
        doses = plant(rng)
        scores = level + effect * np.sqrt(doses) + rng.normal(size=len(PEOPLE))
        response = dose_response(
            doses, scores, PEOPLE, redraw=plant, rng=rng, n_permutations=n_permutations
        )
        found.append(response.p)
    return np.array(found)


def test_nothing_planted_is_found_at_its_level():
    p = p_values(0.0, 400, 39)
    assert (p <= 0.05).sum() <= 35
    assert (p <= 0.5).mean() > 0.4


def test_a_planted_dose_response_is_found():
    assert (p_values(0.3, 20, 99) <= 0.05).mean() >= 0.9
