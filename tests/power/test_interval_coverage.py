"""Coverage of the interval for rates with repeated draws, and of one that is wrong on purpose."""

import pytest

from vlmaudit.seeds import stream
from vlmaudit.stats.intervals import clopper_pearson

DRAWS = 20
CELLS = [(15, 0.02), (15, 0.1), (15, 0.98), (60, 0.02), (60, 0.5), (150, 0.02), (150, 0.98)]
# 99.9 % binomial point of 1000 repetitions at 95 %: a sound interval fails once in a thousand.
ACCEPTED = 0.927


def over_people(flags):
    people = flags.shape[0]
    return clopper_pearson(flags.mean(axis=1).sum(), people)


def over_people_times_draws(flags):
    return clopper_pearson(flags.sum(), flags.size)


def coverage(interval_of, people, rate, repetitions):
    """Share of simulated studies whose interval holds the rate; people differ widely."""
    rng = stream(11, "coverage", people, str(rate))
    covered = 0
    for _ in range(repetitions):
        # Most people are always or never flagged: their rates are beta with mean `rate`.
        own = rng.beta(0.2 * rate, 0.2 * (1 - rate), size=(people, 1))
        interval = interval_of(rng.random((people, DRAWS)) < own)
        covered += interval.low <= rate <= interval.high
    return covered / repetitions


@pytest.mark.parametrize(("people", "rate"), CELLS)
def test_fractional_clopper_pearson_covers(people, rate):
    assert coverage(over_people, people, rate, 1000) >= ACCEPTED


@pytest.mark.parametrize(("people", "rate"), CELLS)
def test_counting_draws_as_people_turns_the_row_red(people, rate):
    assert coverage(over_people_times_draws, people, rate, 1000) < ACCEPTED - 0.2


@pytest.mark.prove
@pytest.mark.parametrize(("people", "rate"), CELLS)
def test_fractional_clopper_pearson_is_conservative(people, rate):
    assert coverage(over_people, people, rate, 10_000) >= 0.95
