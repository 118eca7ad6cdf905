"""Probes on records: laws that must hold, and planted truth in both directions."""

import numpy as np
import pytest

from vlmaudit.stats.probes import probe_change, record_means, record_probe, twin_probe


def drawn(records, *, layers=3, width=64, seed=0):
    """States of records that know nothing, and their arms."""
    seen = np.arange(2 * records) % 2 == 0
    states = np.random.default_rng(seed).standard_normal((2 * records, layers, width))
    return states.astype(np.float32), seen


def planted(records, *, layer, strength, **more):
    states, seen = drawn(records, **more)
    states[seen, layer, 0] += strength
    return states, seen


def probe(states, seen, seed=0, **more):
    return record_probe(states, seen, rng=np.random.default_rng(seed), **more)


def test_a_planted_direction_is_found_in_its_layer_and_in_no_other():
    states, seen = planted(60, layer=1, strength=4.0)
    first, second, third = probe(states, seen, permutations=199).layers
    assert second.p_adjusted == pytest.approx(1 / 200)
    assert second.auc > 0.9
    assert second.low < second.auc < second.high
    assert second.selectivity > 0.3
    assert min(first.p_adjusted, third.p_adjusted) > 0.05


@pytest.mark.parametrize(("records", "strength", "wanted"), [(20, 2.0, 0.852), (100, 1.5, 0.874)])
def test_accuracy_is_that_of_the_law(records, strength, wanted):
    # STATISTICS section 8: d = 1024, record and item noise together .1625, nine tenths trained on.
    found = []
    for seed in range(60):
        states, seen = drawn(records, layers=1, width=1024, seed=seed)
        states *= np.sqrt(0.1625)
        states[:, 0, 0] += np.where(seen, strength / 2, -strength / 2)
        found.append(probe(states, seen, seed, permutations=9).layers[0].accuracy)
    # A ridge is not quite the mean-difference probe of the law; three standard errors are .03.
    assert np.mean(found) == pytest.approx(wanted, abs=0.04)


def on_pictures(records, *, strength=0.0, layers=3, width=64, seed=0):
    """A seen and an unseen record on the same pictures, which differ more than records do."""
    states, seen = drawn(records, layers=layers, width=width, seed=seed)
    blocks = np.arange(2 * records) // 2
    pictures = 5 * np.random.default_rng(seed + 1).standard_normal((records, layers, width))
    states += pictures[blocks].astype(np.float32)
    if layers > 1:
        states[seen, 1, 0] += strength
    return states, seen, blocks


def test_what_the_pictures_do_is_taken_off():
    states, seen, blocks = on_pictures(60, strength=4.0)
    first, second, _ = probe(states, seen, blocks=blocks, permutations=199).layers
    assert second.p_adjusted == pytest.approx(1 / 200)
    assert second.auc > 0.9
    assert first.p_adjusted > 0.05
    # Left alone, each record's neighbour of the other arm is what it resembles most.
    assert probe(states, seen, permutations=19).layers[0].auc < 0.3


def test_the_level_is_kept_on_shared_pictures():
    smallest = []
    for seed in range(120):
        states, seen, blocks = on_pictures(20, layers=6, width=40, seed=seed)
        result = probe(states, seen, seed, blocks=blocks, permutations=99)
        smallest.append(min(layer.p_adjusted for layer in result.layers))
    assert sum(p <= 0.05 for p in smallest) <= 15
    assert sum(p <= 0.5 for p in smallest) >= 40


def test_intervals_cover_one_half_on_shared_pictures():
    covered = 0
    for seed in range(100):
        states, seen, blocks = on_pictures(30, layers=1, width=200, seed=seed)
        (layer,) = probe(states, seen, seed, blocks=blocks, permutations=99).layers
        covered += layer.low <= 0.5 <= layer.high
    assert covered >= 84


def test_where_nothing_is_planted_the_level_is_kept_over_layers():
    smallest = []
    for seed in range(120):
        states, seen = drawn(20, layers=6, width=40, seed=seed)
        result = probe(states, seen, seed, permutations=99)
        smallest.append(min(layer.p_adjusted for layer in result.layers))
    # The 99.9 % point of Bin(120, .05).
    assert sum(p <= 0.05 for p in smallest) <= 15


def test_intervals_cover_one_half_where_nothing_is_planted():
    covered = 0
    for seed in range(100):
        states, seen = drawn(30, layers=1, width=200, seed=seed)
        (layer,) = probe(states, seen, seed, permutations=99).layers
        covered += layer.low <= 0.5 <= layer.high
    assert covered >= 84  # .90 to .99, less three standard errors


def test_control_is_chance_and_selectivity_what_is_left():
    states, seen = planted(40, layer=0, strength=5.0)
    layer = probe(states, seen, permutations=299).layers[0]
    assert layer.control == pytest.approx(0.5, abs=0.02)
    assert layer.selectivity == pytest.approx(layer.accuracy - layer.control)


def test_nothing_depends_on_origin_or_scale():
    states, seen = planted(30, layer=0, strength=2.0)
    as_is, moved = probe(states, seen), probe(100 + 7 * states, seen)
    assert [one.auc for one in as_is.layers] == pytest.approx([one.auc for one in moved.layers])
    np.testing.assert_allclose(as_is.scores, moved.scores, atol=1e-3)


def test_turning_the_arms_round_changes_no_area():
    states, seen = planted(30, layer=0, strength=2.0)
    for one, other in zip(probe(states, seen).layers, probe(states, ~seen).layers, strict=True):
        assert one.auc == pytest.approx(other.auc, abs=0.12)


def test_equal_states_tell_nothing_apart():
    seen = np.arange(40) % 2 == 0
    (layer,) = probe(np.ones((40, 1, 8), np.float32), seen).layers
    assert layer.auc == 0.5
    assert layer.p_adjusted == 1.0


def test_a_cue_that_both_checkpoints_have_is_no_change():
    """Strings that tell the arms apart are told in both; memory is told in one of them."""
    cue, seen = planted(60, layer=0, strength=4.0)
    alike = cue + 0.1 * np.random.default_rng(1).standard_normal(cue.shape).astype(np.float32)
    change = probe_change(cue, alike, seen, rng=np.random.default_rng(0), permutations=199)
    assert change[0].auc > 0.9
    assert min(layer.p_adjusted for layer in change) > 0.05
    blind, _ = drawn(60, seed=5)
    change = probe_change(cue, blind, seen, rng=np.random.default_rng(0), permutations=199)
    assert change[0].p_adjusted <= 0.01
    assert change[0].difference == pytest.approx(change[0].auc - change[0].other_auc)


def test_twins_take_a_cue_away_and_leave_memory():
    rng = np.random.default_rng(0)
    cue, seen = planted(60, layer=0, strength=6.0)
    noise = [0.3 * rng.standard_normal(cue.shape).astype(np.float32) for _ in range(2)]
    memory = np.zeros_like(cue)
    memory[:, 0, 1] = 0.5
    first = cue + noise[0] + np.where(seen, 1, -1)[:, None, None] * memory
    second = cue + noise[1] + np.where(seen, -1, 1)[:, None, None] * memory
    forgotten = twin_probe(cue + noise[0], cue + noise[1], seen, rng=rng, permutations=199)
    assert abs(forgotten.layers[0].auc - 0.5) < 0.2
    assert forgotten.layers[0].p_adjusted > 0.01
    remembered = twin_probe(first, second, seen, rng=rng, permutations=199)
    assert remembered.layers[0].auc > 0.95
    assert remembered.layers[0].p_adjusted <= 0.01


def test_means_are_over_each_records_items_wherever_they_stand():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((700, 2, 5)).astype(np.float32)
    records = [f"record-{place % 7}" for place in rng.permutation(700)]
    means, names = record_means(states, records)
    for place, name in enumerate(names):
        own = states[[record == name for record in records]]
        np.testing.assert_allclose(means[place], own.mean(axis=0), atol=1e-6)


def test_the_more_items_of_a_record_count_no_more():
    """Duplicating every item changes nothing: the record is the unit."""
    states, seen = planted(30, layer=0, strength=1.0)
    names = [str(place) for place in range(60)]
    means, _ = record_means(np.repeat(states, 5, axis=0), np.repeat(names, 5).tolist())
    assert probe(means, seen).layers == probe(states, seen).layers


def test_what_cannot_be_probed_is_refused():
    states, seen = drawn(3)
    with pytest.raises(ValueError, match="3 records on a side"):
        probe(states, seen)
    states, seen = drawn(10)
    uneven = np.where(np.arange(20) == 3, 0, np.arange(20) // 2)
    with pytest.raises(ValueError, match="more records of one arm"):
        probe(states, seen, blocks=uneven)
    states[3, 1, 2] = np.nan
    with pytest.raises(ValueError, match="not a finite number"):
        probe(states, seen)
    with pytest.raises(ValueError, match="cannot be subtracted"):
        twin_probe(states, states[:, :2], seen, rng=np.random.default_rng(0))
