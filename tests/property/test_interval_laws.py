"""Laws of the exact intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.stats.intervals import clopper_pearson, controls_needed, upper_limit

people = st.integers(1, 400)


@st.composite
def successes_of(draw):
    n = draw(people)
    return draw(st.floats(0, n)), n


@given(successes_of())
def test_it_contains_the_rate(given_counts):
    successes, n = given_counts
    interval = clopper_pearson(successes, n)
    rounding = 1e-12
    assert 0 <= interval.low <= successes / n + rounding
    assert successes / n - rounding <= interval.high <= 1


@given(st.data(), people)
def test_it_mirrors(data, n):
    successes = data.draw(st.integers(0, 4 * n)) / 4
    interval, mirrored = clopper_pearson(successes, n), clopper_pearson(n - successes, n)
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-9)
    assert interval.high == pytest.approx(1 - mirrored.low, abs=1e-9)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1), st.integers(2, 9))
def test_more_draws_of_the_same_people_change_nothing(flags, times):
    draws = np.array(flags, dtype=float)
    repeated = np.tile(draws, (1, times))
    n = len(draws)
    before = clopper_pearson(draws.mean(axis=1).sum(), n)
    after = clopper_pearson(repeated.mean(axis=1).sum(), n)
    assert before.low == pytest.approx(after.low, abs=1e-9)
    assert before.high == pytest.approx(after.high, abs=1e-9)


@given(successes_of(), st.integers(2, 5))
def test_more_people_with_the_same_rates_narrow_it(given_counts, times):
    successes, n = given_counts
    few, many = clopper_pearson(successes, n), clopper_pearson(times * successes, times * n)
    assert many.high - many.low < few.high - few.low


@given(successes_of())
def test_one_sided_limits_are_inside_two_sided_ones(given_counts):
    successes, n = given_counts
    assert successes / n <= upper_limit(successes, n) <= clopper_pearson(successes, n).high + 1e-12


@given(st.floats(0.004, 0.9), st.integers(0, 6), st.sampled_from([0.9, 0.95, 0.99]))
def test_controls_needed_is_the_smallest_number_that_does(rate, hits, level):
    n = controls_needed(rate, hits=hits, level=level)
    assert upper_limit(hits, n, level=level) <= rate + 1e-9
    if n - 1 > hits:
        assert upper_limit(hits, n - 1, level=level) > rate - 1e-9
