"""The published kind of separation without any seen-ness (PROTOCOLS 6.3), and the probe's level."""

import numpy as np
import pytest

from vlmaudit.seeds import stream
from vlmaudit.stats.probes import record_means, record_probe
from vlmaudit.stats.split_probe import entity_disjoint_accuracy, split_probe

RECORDS, ITEMS, WIDTH = 20, 25, 4096
# Signal of a record, its share told rightly on a random split, and of labels drawn at random.
ANCHORS = {0.05: (0.533, 0.520), 0.10: (0.635, 0.650), 0.20: (0.883, 0.897), 0.30: (0.988, 0.987)}


def drawn(signal, *, seed, strength=0.0):
    """20 + 20 records of 25 items each around a point of the record's, noise 1, width 4096."""
    rng = stream(seed, "anchors", str(signal))
    points = signal * rng.standard_normal((2 * RECORDS, WIDTH))
    seen = np.repeat(np.arange(2 * RECORDS) < RECORDS, ITEMS)
    states = np.repeat(points, ITEMS, axis=0) + rng.standard_normal((len(seen), WIDTH))
    direction = rng.standard_normal(WIDTH)
    states += np.where(seen, strength, -strength)[:, None] * direction / np.linalg.norm(direction)
    names = np.repeat([f"record-{place}" for place in range(2 * RECORDS)], ITEMS).tolist()
    return states.astype(np.float32), seen, names


def anchors(signal, seeds, **more):
    """Mean over seeds: on the paper's split, on other records, with labels drawn at random."""
    found = []
    for seed in seeds:
        states, seen, names = drawn(signal, seed=seed, **more)
        split = split_probe(states, seen, names, seed=seed)
        disjoint = entity_disjoint_accuracy(states, seen, names, seed=seed)
        found.append((split.accuracy, disjoint, split.control))
    return np.mean(found, axis=0)


@pytest.mark.parametrize(
    ("signal", "seeds"),
    [
        (0.20, 3),
        *(pytest.param(signal, 8, marks=pytest.mark.prove) for signal in ANCHORS),
    ],
)
def test_a_random_split_separates_what_nobody_saw(signal, seeds):
    split, disjoint, control = anchors(signal, range(seeds))
    # Theirs are means of three; a share among 200 items has an error of .035 at most.
    wanted_split, wanted_control = ANCHORS[signal]
    assert split == pytest.approx(wanted_split, abs=0.06)
    assert control == pytest.approx(wanted_control, abs=0.06)
    assert disjoint == pytest.approx(0.5, abs=0.08)


@pytest.mark.prove
def test_the_probe_on_records_calls_it_chance():
    for signal in ANCHORS:
        for seed in range(5):
            states, _, names = drawn(signal, seed=seed)
            means, order = record_means(states[:, None], names)
            arm = np.array([int(name.removeprefix("record-")) < RECORDS for name in order])
            (layer,) = record_probe(means, arm, rng=stream(seed, "level", str(signal))).layers
            assert layer.p > 0.01


@pytest.mark.parametrize("seeds", [1, pytest.param(5, marks=pytest.mark.prove)])
def test_a_planted_direction_is_found_on_other_records(seeds):
    split, disjoint, control = anchors(0.20, range(seeds), strength=3.0)
    assert split > 0.98
    assert disjoint == pytest.approx(0.968, abs=0.03)
    assert control == pytest.approx(0.87, abs=0.08)
