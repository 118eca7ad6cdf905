"""The one randomised assignment, and the test that re-draws it."""

from collections import Counter

import numpy as np
import pytest

from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import assign, dose_response, planted_arms

STRATA = ["a"] * 10 + ["b"] * 7 + ["c"] * 3
ARMS = {"never": 8, "once": 7, "often": 5}


def test_arms_are_exact_and_strata_balanced():
    arms = assign(STRATA, ARMS, rng=stream(0, "arms"))
    assert Counter(arms) == ARMS
    for stratum, size in Counter(STRATA).items():
        for arm, total in ARMS.items():
            fair = size * total / len(STRATA)
            got = sum(s == stratum and a == arm for s, a in zip(STRATA, arms, strict=True))
            assert int(fair) <= got <= int(fair) + (fair % 1 > 0)


def test_the_same_seed_gives_the_same_arms():
    first, again = (assign(STRATA, ARMS, rng=stream(7, "arms")) for _ in range(2))
    assert first == again
    assert first != assign(STRATA, ARMS, rng=stream(8, "arms"))


def test_a_planted_study_replays_from_its_seed():
    assert planted_arms(STRATA, ARMS, seed=3) == planted_arms(STRATA, ARMS, seed=3)
    assert planted_arms(STRATA, ARMS, seed=3) != planted_arms(STRATA, ARMS, seed=4)


def test_nobody_is_assigned_to_nothing():
    assert assign([], {"seen": 0}, rng=stream(0)) == []


@pytest.mark.parametrize("arms", [{"seen": 1}, {"seen": 3}, {"seen": 3, "unseen": -1}])
def test_arms_that_do_not_fit_are_refused(arms):
    with pytest.raises(ValueError, match="do not share out 2 units"):
        assign(["a", "b"], arms, rng=stream(0))


DOSES = {"0": 30, "4": 15, "16": 15}
PEOPLE = ["women"] * 36 + ["men"] * 24


def plant(rng):
    return np.array([int(arm) for arm in assign(PEOPLE, DOSES, rng=rng)])


def respond(doses, scores, strata=PEOPLE, redraw=plant, n=199):
    return dose_response(
        doses, scores, strata, redraw=redraw, rng=stream(0, "redraw"), n_permutations=n
    )


def test_a_score_that_is_the_dose():
    doses = plant(stream(1, "plant"))
    found = respond(doses, doses.astype(float))
    assert found.value == pytest.approx(1.0)
    assert found.p == found.p_min == 1 / 200
    assert (found.n, found.null_n) == (60, 199)


def test_falling_scores_are_not_evidence():
    doses = plant(stream(1, "plant"))
    found = respond(doses, -doses.astype(float))
    assert found.value == pytest.approx(-1.0)
    assert found.p == 1.0


def test_a_difference_between_strata_is_not_a_dose_response():
    strata = ["eligible"] * 20 + ["not"] * 20

    def redraw(rng):
        # Only the eligible may get the large doses, and they score higher whatever they get.
        return np.concatenate([rng.permutation([25] * 10 + [75] * 10), np.zeros(20)])

    scores = np.concatenate([np.full(20, 9.0), np.arange(20.0)])
    found = dose_response(redraw(stream(0)), scores, strata, redraw=redraw, rng=stream(1))
    assert (found.value, found.p, found.n) == (0.0, 1.0, 0)


def test_two_strata_by_hand():
    # Ranks / n within strata: (1, 2) / 2 and (1, 2, 3) / 3; the second stratum is reversed in part.
    doses, scores = np.array([1, 4, 1, 4, 16]), np.array([0.1, 0.2, 0.2, 0.1, 0.3])
    found = respond(doses, scores, ["a", "a", "b", "b", "b"], lambda rng: rng.permutation(doses), 9)
    cross = 2 * 0.25**2 + 1 / 9
    square = 2 * 0.25**2 + 2 / 9
    assert found.value == pytest.approx(cross / square)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="3 doses, 2 scores, 3 strata"):
        respond(np.arange(3), np.arange(2.0), ["a"] * 3)
    with pytest.raises(ValueError, match="not finite"):
        respond(np.arange(2), np.array([1.0, np.nan]), ["a"] * 2)
