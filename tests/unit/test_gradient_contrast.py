"""Gradients of seen and unseen records: the record is the unit, whatever the number of batches."""

import numpy as np
import pytest
from scipy import stats

from vlmaudit.stats.gradient_contrast import expected_cosine, gradient_contrast


def cosines(records, batches, *, seed=0, shift=0.0, modules=3):
    """Records differ as much as batches do; `shift` is what having been seen adds to module 0."""
    rng = np.random.default_rng(seed)
    seen = np.arange(2 * records) < records
    values = rng.standard_normal((2 * records, 1, modules))
    values = values + rng.standard_normal((2 * records, batches, modules))
    values[seen, :, 0] += shift
    return values, seen


def test_what_was_planted_is_found_in_its_module():
    values, seen = cosines(50, 4, shift=2.0, seed=1)
    first, *others = gradient_contrast(
        values.mean(axis=1), seen, permutations=999, rng=np.random.default_rng(0)
    )
    assert first.p_adjusted == pytest.approx(0.001)
    assert first.low < first.difference < first.high
    assert first.difference == pytest.approx(first.seen - first.unseen)
    assert first.low < 2.0 < first.high
    assert all(one.p_adjusted > 0.05 for one in others)


def test_a_lower_cosine_is_found_as_well():
    values, seen = cosines(50, 4, shift=-2.0)
    found = gradient_contrast(
        values.mean(axis=1), seen, permutations=999, rng=np.random.default_rng(0)
    )
    assert found[0].p_adjusted == pytest.approx(0.001)


def test_permuting_records_keeps_the_level_where_a_test_over_batches_does_not():
    # STATISTICS section 7: 200 batches re-use 20 + 20 records.
    by_record = by_batch = 0
    for seed in range(200):
        values, seen = cosines(20, 10, seed=seed, modules=1)
        (found,) = gradient_contrast(
            values.mean(axis=1), seen, permutations=199, rng=np.random.default_rng(seed)
        )
        by_record += found.p <= 0.05
        items = values[:, :, 0]
        by_batch += stats.ttest_ind(items[seen].ravel(), items[~seen].ravel()).pvalue <= 0.05
    assert by_record <= 21  # the 99.9 % point of Bin(200, .05)
    assert by_batch >= 60  # they say 43 %


def test_intervals_cover_what_is_there():
    covered = 0
    for seed in range(200):
        values, seen = cosines(20, 2, seed=seed, shift=0.7, modules=1)
        (found,) = gradient_contrast(
            values.mean(axis=1), seen, permutations=99, rng=np.random.default_rng(seed)
        )
        covered += found.low <= 0.7 <= found.high
    assert covered >= 181


def test_cosines_of_noise_are_those_of_the_law():
    rng = np.random.default_rng(0)
    width = 400
    for size in (1, 16):
        found = []
        for _ in range(300):
            mean = np.zeros(width)
            mean[0] = 1.0
            clean = mean + rng.standard_normal(width) * np.sqrt(100 / width / size)
            stamped = clean + rng.standard_normal(width) * np.sqrt(50 / width / size)
            found.append(clean @ stamped / np.linalg.norm(clean) / np.linalg.norm(stamped))
        law = expected_cosine(signal=1, noise=100, added=50, batch_size=size)
        assert np.mean(found) == pytest.approx(law, abs=0.01)


def test_what_cannot_be_compared_is_refused():
    values, seen = cosines(1, 1)
    with pytest.raises(ValueError, match="two a side"):
        gradient_contrast(values.mean(axis=1), seen, rng=np.random.default_rng(0))
    values, seen = cosines(5, 1)
    values[0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        gradient_contrast(values.mean(axis=1), seen, rng=np.random.default_rng(0))
