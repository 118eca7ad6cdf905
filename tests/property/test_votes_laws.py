"""Votes are counted as a plain reading of the rule counts them, and as the rule's laws demand."""

from collections import Counter

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vlmaudit.seeds import stream
from vlmaudit.stats.votes import (
    NO_NAME,
    agreement,
    distinct_winners,
    draw_agreements,
    picture_orders,
    plurality,
    vote_counts,
    winners,
)

N_NAMES = 5

# Few names and few pictures: ties for the first place are common.
one_template = hnp.arrays(
    np.int64, st.integers(0, 12), elements=st.integers(NO_NAME, N_NAMES - 1), fill=st.nothing()
)
tables = hnp.arrays(
    np.int64,
    st.tuples(st.integers(1, 9), st.integers(1, 4)),
    elements=st.integers(NO_NAME, N_NAMES - 1),
    fill=st.nothing(),
)


def read_plainly(votes):
    """The rule as the paper's code has it, word for word."""
    counts = Counter(vote for vote in votes if vote != NO_NAME).most_common()
    if not counts:
        return NO_NAME
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return NO_NAME
    return counts[0][0]


def check_against_plain_reading(counted):
    """Raise AssertionError unless `counted` agrees with the plain reading on every short vote."""

    @settings(database=None)
    @example(np.array([0, 1]))
    @example(np.array([0, 0, 1, 1, 2]))
    @given(one_template)
    def check(votes):
        assert counted(votes) == read_plainly(votes.tolist())

    check()


def test_plurality_is_what_a_plain_reading_counts():
    check_against_plain_reading(plurality)


def test_a_plurality_that_keeps_ties_would_be_noticed():
    """Broken on purpose: the first of the most frequent names wins also when it shares."""

    def keeps_ties(votes):
        names, counts = np.unique(votes[votes >= 0], return_counts=True)
        return int(names[counts.argmax()]) if len(names) else NO_NAME

    with pytest.raises(AssertionError):
        check_against_plain_reading(keeps_ties)


def test_a_majority_in_place_of_a_plurality_would_be_noticed():
    """Broken on purpose: what the paper's text says, which is not what its code does."""

    def majority(votes):
        leader = read_plainly(votes.tolist())
        return leader if 2 * np.count_nonzero(votes == leader) > len(votes) else NO_NAME

    with pytest.raises(AssertionError):
        check_against_plain_reading(majority)


@given(tables)
def test_templates_are_counted_one_by_one(votes):
    won = winners(votes)
    assert won.tolist() == [plurality(column) for column in votes.T]
    assert distinct_winners(votes) == len({name for name in won.tolist() if name != NO_NAME})


@given(one_template, st.randoms(use_true_random=False))
def test_order_does_not_matter(votes, random):
    shuffled = votes.tolist()
    random.shuffle(shuffled)
    assert plurality(np.array(shuffled, dtype=np.int64)) == plurality(votes)


@given(one_template)
def test_one_more_vote_for_the_winner_keeps_it(votes):
    winner = plurality(votes)
    if winner != NO_NAME:
        assert plurality(np.append(votes, winner)) == winner


@given(one_template, st.integers(0, 5))
def test_pictures_that_could_not_be_asked_change_nothing(votes, n_failed):
    padded = np.append(votes, np.full(n_failed, NO_NAME))
    assert plurality(padded) == plurality(votes)


@given(one_template)
def test_doubling_every_picture_changes_nothing(votes):
    assert plurality(np.repeat(votes, 2)) == plurality(votes)


@given(tables)
def test_the_structural_false_positive_rate_is_distinct_winners_over_names(votes):
    declared = sum(agreement(votes, name) >= 1 for name in range(N_NAMES))
    assert declared == distinct_winners(votes)


@given(tables)
def test_vote_counts_add_up(votes):
    counts = vote_counts(votes, N_NAMES)
    assert counts.tolist() == [np.count_nonzero(votes == name) for name in range(N_NAMES)]


@given(tables, st.integers(0, N_NAMES), st.integers(0, 2**32))
def test_draws_are_what_a_plain_reading_of_each_draw_counts(votes, name, seed):
    sizes = list(range(len(votes), 0, -2))
    n_draws = 3
    found = draw_agreements(votes, name, sizes=sizes, n_draws=n_draws, rng=stream(seed, "draws"))
    orders = picture_orders(len(votes), n_draws, stream(seed, "draws"))
    for row, size in enumerate(sizes):
        for draw in range(n_draws):
            drawn = votes[orders[draw, :size]].T.tolist()
            assert found[row, draw] == sum(read_plainly(template) == name for template in drawn)
