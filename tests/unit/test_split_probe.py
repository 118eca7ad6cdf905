"""The paper's probe: what a random split of items shows where nothing was ever seen."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from vlmaudit.stats.split_probe import (
    coordinates,
    entity_disjoint_accuracy,
    logistic_scores,
    split_probe,
    split_probes,
)


def drawn(signal, *, seed=0, strength=0.0, records=20, items=25, width=1024):
    """Items around a point of their record's; `strength` moves the arms apart along a direction."""
    rng = np.random.default_rng(seed)
    points = signal * rng.standard_normal((2 * records, width))
    seen = np.repeat(np.arange(2 * records) < records, items)
    states = np.repeat(points, items, axis=0) + rng.standard_normal((len(seen), width))
    direction = rng.standard_normal(width)
    states += np.where(seen, strength, -strength)[:, None] * direction / np.linalg.norm(direction)
    names = np.repeat([f"record-{place}" for place in range(2 * records)], items).tolist()
    return states.astype(np.float32), seen, names


def test_a_random_split_tells_records_apart_that_nobody_saw():
    states, seen, names = drawn(0.4)
    found = split_probe(states, seen, names)
    assert found.accuracy > 0.85
    # … and tells labels apart that were drawn just now: it knows records, not arms.
    assert found.selectivity < 0.1
    assert entity_disjoint_accuracy(states, seen, names) == pytest.approx(0.5, abs=0.15)


def test_what_was_planted_is_found_on_records_not_trained_on():
    states, seen, names = drawn(0.2, strength=3.0)
    assert entity_disjoint_accuracy(states, seen, names) > 0.9


def test_the_split_is_the_papers():
    states, seen, names = drawn(0.2)
    train, test = train_test_split(np.arange(1000), test_size=0.2, random_state=42, stratify=seen)
    reference = LogisticRegression(max_iter=5000).fit(states[train], seen[train])
    found = split_probe(states, seen, names)
    assert found.items == 200
    assert found.accuracy == pytest.approx(reference.score(states[test], seen[test]), abs=0.015)
    assert found.low < found.accuracy < found.high


@pytest.mark.parametrize("width", [40, 3000])
@pytest.mark.parametrize("largest", [1.0, 300.0])
def test_scores_are_scikit_learns(width, largest):
    """Also where a few coordinates are hundreds of times as large, as in real models."""
    states, seen, names = drawn(0.1, width=width, records=8, items=20)
    states[:, :2] *= largest
    states[:, 1] += 5 * largest
    (found,) = list(split_probes(states[:, None], seen, names))
    train, test = train_test_split(np.arange(320), test_size=0.2, random_state=42, stratify=seen)
    reference = LogisticRegression(max_iter=5000, tol=1e-6).fit(
        states[train].astype(np.float64), seen[train]
    )
    assert found.accuracy == pytest.approx(reference.score(states[test], seen[test]), abs=0.04)


def test_more_penalty_makes_smaller_scores():
    states, seen, _ = drawn(0.1, width=20)
    labels, everything = seen[None], np.ones((1, len(seen)), dtype=bool)
    strong, weak = (
        np.abs(logistic_scores(coordinates(states), labels, everything, strength=strength)).mean()
        for strength in (1e-3, 10)
    )
    assert strong < 0.8 * weak


def test_probes_fitted_together_are_those_fitted_alone():
    states, seen, _ = drawn(0.1, width=30)
    rng = np.random.default_rng(0)
    labels = np.stack([seen, ~seen, rng.random(len(seen)) < 0.5])
    train = rng.random(labels.shape) < 0.8
    together = logistic_scores(coordinates(states), labels, train)
    for place, scores in enumerate(together):
        alone = LogisticRegression(max_iter=5000, tol=1e-6).fit(
            states[train[place]], labels[place, train[place]]
        )
        np.testing.assert_allclose(scores, alone.decision_function(states), atol=0.02)


def test_a_label_that_is_held_out_changes_nothing():
    states, seen, _ = drawn(0.1, width=30)
    train = np.arange(len(seen)) % 5 != 0
    other = np.where(train, seen, ~seen)
    np.testing.assert_array_equal(
        *(
            logistic_scores(coordinates(states), labels[None], train[None])
            for labels in (seen, other)
        )
    )


def test_what_cannot_be_probed_is_refused():
    states, seen, names = drawn(0.1, width=20)
    with pytest.raises(ValueError, match="do not fill 30 folds"):
        entity_disjoint_accuracy(states, seen, names, folds=30)
    turned = seen.copy()
    turned[0] = not turned[0]
    with pytest.raises(ValueError, match="in both arms"):
        entity_disjoint_accuracy(states, turned, names)
    states[5, 5] = np.inf
    with pytest.raises(ValueError, match="not a finite number"):
        split_probe(states, seen, names)
