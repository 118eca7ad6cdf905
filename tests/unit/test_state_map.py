"""The picture of hidden states: its effect size is right, and its null is over records."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from vlmaudit.stats.state_map import arms_silhouette, main_components, plane


def items(rng, records=20, each=5, width=12, noise=0.3, shift=0.0):
    """Items about a centre a record; the first half of the records is moved along one axis."""
    centres = rng.normal(size=(records, width))
    centres[: records // 2, 0] += shift
    states = np.repeat(centres, each, axis=0) + noise * rng.normal(size=(records * each, width))
    names = np.repeat([f"r{number}" for number in range(records)], each)
    seen = np.repeat(np.arange(records) < records // 2, each)
    return states, seen, names.tolist()


def test_the_silhouette_is_scikit_learns():
    states, seen, names = items(np.random.default_rng(0), shift=2.0)
    found = arms_silhouette(states, seen, names, permutations=9, rng=np.random.default_rng(1))
    assert found.value == pytest.approx(silhouette_score(states, seen), abs=1e-9)


def test_records_that_cluster_by_themselves_are_not_arms_that_lie_apart():
    ps = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        states, seen, names = items(rng, records=12, noise=0.05)
        ps.append(arms_silhouette(states, seen, names, permutations=99, rng=rng).p)
    # Were items permuted, each of which stays near its record's others, most would seem real.
    assert 2 <= sum(p <= 0.05 for p in ps) <= 20


def test_records_on_the_same_pictures_are_permuted_within_them():
    """Free permutations would call every such cloud less apart than chance: p near 1 throughout."""
    within, free = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pictures = np.repeat(3 * rng.normal(size=(20, 6)), 2, axis=0)
        states = pictures + 0.2 * rng.normal(size=(40, 6))
        seen, names = np.arange(40) % 2 == 0, [str(number) for number in range(40)]
        for ps, blocks in ((within, np.arange(40) // 2), (free, None)):
            found = arms_silhouette(states, seen, names, blocks=blocks, permutations=99, rng=rng)
            ps.append(found.p)
    assert 0.35 < np.mean(within) < 0.65
    assert np.mean(free) > 0.9


def test_arms_that_lie_apart_are_found():
    rng = np.random.default_rng(3)
    states, seen, names = items(rng, shift=4.0)
    found = arms_silhouette(states, seen, names, permutations=199, rng=rng)
    assert found.p == pytest.approx(1 / 200)
    assert found.value > 0.1


def test_an_arm_of_one_item_has_no_neighbours():
    states, seen = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) == 4
    names = [str(number) for number in range(9)]
    found = arms_silhouette(states, seen, names, permutations=9, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(silhouette_score(states, seen), abs=1e-9)


def test_the_picture_is_the_same_again_and_keeps_neighbours():
    states, seen, _ = items(np.random.default_rng(0), shift=30.0, width=200)
    first, again = (plane(main_components(states)) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == (100, 2)
    assert silhouette_score(first, seen) > 0.4


def test_equal_states_are_one_point():
    flat = main_components(np.ones((10, 4)))
    assert not plane(flat).any()
    names = [str(number) for number in range(10)]
    found = arms_silhouette(
        flat, np.arange(10) < 5, names, permutations=9, rng=np.random.default_rng(0)
    )
    assert (found.value, found.p) == (0, 1)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="7 items: nothing to draw"):
        main_components(np.ones((7, 4)))


@pytest.mark.parametrize("seen", [np.ones(10, bool), np.arange(10) % 2 == 0])
def test_a_record_is_of_one_arm_and_there_are_two(seen):
    with pytest.raises(ValueError, match="not of two arms"):
        arms_silhouette(np.ones((10, 4)), seen, ["a"] * 5 + ["b"] * 5, rng=np.random.default_rng(0))
