"""Exact intervals against published and hand-checked values."""

import pytest

from vlmaudit.stats.intervals import clopper_pearson, controls_needed, upper_limit


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 60, 0, 0.0596),
        (0, 67, 0, 0.0536),
        (0, 299, 0, 0.0123),
        (0, 3, 0, 0.708),
        (0, 8, 0, 0.369),
        (6, 6, 0.541, 1),
        (16, 16, 0.794, 1),
        (27, 30, 0.735, 0.979),
        (2, 100, 0.0024, 0.0704),
        (27, 100, 0.186, 0.368),
        (66, 100, 0.558, 0.752),
        (4, 600, 0.0018, 0.0170),
        (7.5, 15, 0.239, 0.761),
    ],
)
def test_anchors(successes, n, low, high):
    interval = clopper_pearson(successes, n)
    digits = 4 if high < 0.1 else 3
    assert round(interval.low, digits) == low
    assert round(interval.high, digits) == high


@pytest.mark.parametrize(("n", "limit"), [(60, 0.0487), (299, 0.0100)])
def test_what_zero_of_n_still_allows(n, limit):
    assert round(upper_limit(0, n), 4) == limit


def test_all_of_n_allows_everything_above():
    assert upper_limit(8, 8) == 1.0
    assert clopper_pearson(8, 8).high == 1.0


@pytest.mark.parametrize(
    ("hits", "at_5_2_1_percent"),
    [(0, (59, 149, 299)), (1, (93, 236, 473)), (2, (124, 313, 628)), (3, (153, 386, 773))],
)
def test_controls_needed_for_a_claim(hits, at_5_2_1_percent):
    assert tuple(controls_needed(q, hits=hits) for q in (0.05, 0.02, 0.01)) == at_5_2_1_percent


def test_rounding_of_a_sum_is_forgiven_and_more_is_not():
    assert clopper_pearson(sum([0.1] * 30) / 3, 1).high == 1.0
    assert clopper_pearson(-1e-12, 5).low == 0.0
    with pytest.raises(ValueError, match=r"5\.1 successes of 5"):
        clopper_pearson(5.1, 5)
    with pytest.raises(ValueError, match="nan successes"):
        clopper_pearson(float("nan"), 5)


def test_nobody_has_no_interval():
    with pytest.raises(ValueError, match="nobody"):
        clopper_pearson(0, 0)
    with pytest.raises(ValueError, match="nobody"):
        upper_limit(0, 0)


def test_a_level_is_a_probability():
    with pytest.raises(ValueError, match=r"level 95"):
        clopper_pearson(1, 5, level=95)
    with pytest.raises(ValueError, match="no such claim"):
        controls_needed(1.0)
