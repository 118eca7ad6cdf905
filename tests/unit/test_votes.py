"""Counting votes as the IDIA paper does, on tables small enough to count by hand."""

import math

import numpy as np
import pytest

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

ADA, GRACE, EMMY, NONE = 0, 1, 2, NO_NAME

# Five templates, four pictures. From the left: two of four votes and no other name has two; a
# shared first place; a clear majority; another name; the votes that were cast are Ada's.
TABLE = np.array(
    [
        [ADA, ADA, ADA, GRACE, NONE],
        [ADA, ADA, ADA, GRACE, NONE],
        [GRACE, GRACE, ADA, GRACE, ADA],
        [EMMY, GRACE, EMMY, ADA, NONE],
    ]
)


def test_a_plurality_needs_no_majority_but_a_lead():
    assert winners(TABLE).tolist() == [ADA, NO_NAME, ADA, GRACE, ADA]


@pytest.mark.parametrize(("tau", "is_declared"), [(1, True), (2, True), (3, True), (4, False)])
def test_the_decision_at_tau(tau, is_declared):
    assert (agreement(TABLE, ADA) >= tau) is is_declared


def test_templates_that_a_name_wins():
    assert [agreement(TABLE, name) for name in (ADA, GRACE, EMMY)] == [3, 1, 0]
    assert distinct_winners(TABLE) == 2


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        ([], NO_NAME),
        ([NONE], NO_NAME),
        ([NONE, NONE, NONE, EMMY], EMMY),
        ([EMMY], EMMY),
        ([EMMY, ADA], NO_NAME),
        ([EMMY, ADA, NONE, NONE, EMMY], EMMY),
        ([ADA, ADA, GRACE, GRACE, EMMY], NO_NAME),
    ],
)
def test_plurality(votes, winner):
    assert plurality(np.array(votes, dtype=np.int64)) == winner


def test_a_table_without_pictures_has_no_winner():
    assert winners(np.empty((0, 3), dtype=np.int64)).tolist() == [NO_NAME] * 3


def test_no_vote_is_not_a_name_to_agree_on():
    with pytest.raises(ValueError, match="no vote"):
        agreement(TABLE, NO_NAME)
    with pytest.raises(ValueError, match="no vote"):
        draw_agreements(TABLE, NO_NAME, sizes=[1], n_draws=1, rng=stream(0, "test"))


def test_votes_of_every_name_are_counted():
    assert vote_counts(TABLE, 4).tolist() == [9, 6, 2, 0]


@pytest.mark.parametrize("sizes", [[0], [1, 5], [-1]])
def test_sizes_that_cannot_be_drawn_are_refused(sizes):
    with pytest.raises(ValueError, match="4 pictures"):
        draw_agreements(TABLE, ADA, sizes=sizes, n_draws=3, rng=stream(0, "test"))


def test_sizes_may_come_in_any_order_and_twice():
    found = draw_agreements(TABLE, ADA, sizes=[4, 1, 4], n_draws=7, rng=stream(0, "test"))
    assert found.shape == (3, 7)
    assert (found[[0, 2]] == agreement(TABLE, ADA)).all()  # all pictures: every draw is the same
    assert draw_agreements(TABLE, ADA, sizes=[], n_draws=7, rng=stream(0, "test")).shape == (0, 7)


def test_the_same_stream_draws_the_same():
    first, second = (
        draw_agreements(TABLE, ADA, sizes=[1, 2, 3], n_draws=50, rng=stream(3, "draws"))
        for _ in range(2)
    )
    assert (first == second).all()
    assert len(np.unique(first[0])) > 1


def test_every_draw_is_an_order_of_all_pictures():
    orders = picture_orders(9, 200, stream(0, "orders"))
    assert (np.sort(orders, axis=1) == np.arange(9)).all()
    first_counts = np.bincount(orders[:, 0], minlength=9)
    assert first_counts.min() > 5  # 22 are expected of each


def test_fewer_wins_with_three_pictures_than_with_one():
    """The dip of the papers' curves is the tie rule: without agreement two votes are a tie.

    Every picture that misses has a name of its own. One picture wins if it hits; more win if at
    least two hit: hypergeometric, since pictures are drawn without replacement.
    """
    n_images, n_hits, n_draws = 100, 20, 4000
    votes = np.arange(1, n_images + 1)[:, np.newaxis]
    votes[:n_hits] = ADA
    sizes = [1, 2, 3, 5]
    found = draw_agreements(votes, ADA, sizes=sizes, n_draws=n_draws, rng=stream(0, "dip"))

    def chance_of_hits(size, hits):
        misses = math.comb(n_images - n_hits, size - hits)
        return math.comb(n_hits, hits) * misses / math.comb(n_images, size)

    expected = np.array([1 - chance_of_hits(k, 0) - (k > 1) * chance_of_hits(k, 1) for k in sizes])
    assert expected[0] > expected[2] > expected[1]
    error = np.sqrt(expected * (1 - expected) / n_draws)
    assert (np.abs(found.mean(axis=1) - expected) < 4 * error).all()
