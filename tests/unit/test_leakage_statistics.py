"""Lift by swapping people, contrasts, and the matcher's error: figures known beforehand."""

import itertools
import math

import numpy as np
import pytest
from scipy.sparse import csr_array

from vlmaudit.seeds import stream
from vlmaudit.stats.differences import (
    contrast,
    equivalent,
    gain_and_loss_interval,
    mover_difference,
    rank_correlation,
)
from vlmaudit.stats.intervals import clopper_pearson
from vlmaudit.stats.matcher_error import corrected_lift, rest_upper, two_phase_rate
from vlmaudit.stats.swapping import Said, Swaps, person_ranks, swap_lift

RNG = stream(0, "leakage statistics")


def said(shares, answered=None):
    shares = np.asarray(shares, dtype=float)
    everybody = np.ones(len(shares), dtype=bool)
    return Said(csr_array(shares), everybody if answered is None else np.array(answered))


def one_stratum(n):
    return np.zeros(n, dtype=int)


def lift_of(shares, strata=None, *, answered=None, alone=None, permutations=999):
    strata = one_stratum(len(shares)) if strata is None else np.array(strata)
    alone = None if alone is None else np.array(alone)
    return swap_lift(
        said(shares, answered), strata, alone=alone, rng=RNG, permutations=permutations
    )


@pytest.mark.parametrize(("n", "k"), [(60, 1), (60, 7), (60, 60), (7, 3)])
def test_naming_k_of_n_people_and_nobody_else_is_a_lift_of_k_in_n(n, k):
    shares = np.diag([1.0] * k + [0.0] * (n - k))
    found = lift_of(shares)
    assert found.lift == pytest.approx(k / n, abs=1e-15)
    assert found.rate == pytest.approx(k / n, abs=1e-15)
    assert found.null == 0.0
    assert (found.low, found.high) == pytest.approx(_limits(k, n))
    assert (found.lift_low, found.lift_high) == pytest.approx(_limits(k, n))


def _limits(k, n):
    interval = clopper_pearson(k, n)
    return interval.low, interval.high


@pytest.mark.parametrize("n", [2, 3, 60, 61])
def test_one_popular_name_for_everybody_is_no_lift(n):
    shares = np.zeros((n, n))
    shares[:, n // 2] = 1.0
    found = lift_of(shares)
    assert found.lift == 0.0
    assert found.p == 1.0
    assert found.lift_low < 0 < found.lift_high


def test_the_same_mixture_of_names_for_everybody_is_no_lift_in_spite_of_rounding():
    mixture = stream(1, "mixture").dirichlet(np.full(60, 0.3))
    strata = np.arange(60) % 2
    found = lift_of(np.tile(mixture, (60, 1)), strata)
    assert found.lift == 0.0
    assert found.p == 1.0


def test_the_null_weighs_people_alike_also_between_strata_of_unlike_size():
    shares = np.zeros((5, 5))
    shares[0, 1] = 0.5  # a stratum of two
    shares[2, 3], shares[2, 4] = 0.4, 0.2  # and one of three
    found = lift_of(shares, [0, 0, 1, 1, 1])
    assert found.null == pytest.approx((0.5 + (0.4 + 0.2) / 2) / 5)
    assert found.lift == pytest.approx(-found.null)


def test_names_said_across_strata_are_no_part_of_the_null():
    shares = np.zeros((4, 4))
    shares[0, 2] = shares[3, 1] = 1.0
    assert lift_of(shares, [0, 0, 1, 1]).null == 0.0


def test_the_interval_of_the_lift_is_movers():
    """By hand, from the formulas of STATISTICS section 5."""
    shares = stream(2, "lift").random((8, 8)) * np.array([0.1] * 7 + [0.9])
    n = len(shares)
    found = lift_of(shares)
    off = shares - np.diag(np.diag(shares))
    rate, null = np.trace(shares) / n, off.sum() / (n * (n - 1))
    low, high = _limits(np.trace(shares), n)
    spread = (off.sum(axis=0) + off.sum(axis=1)) / (n - 1)
    half = 2 * spread.std(ddof=1) / math.sqrt(n)
    assert found.null == pytest.approx(null)
    assert found.lift == pytest.approx(rate - null)
    assert found.lift_low == pytest.approx(rate - null - math.hypot(rate - low, half))
    assert found.lift_high == pytest.approx(rate - null + math.hypot(high - rate, half))


def test_few_people_are_swapped_in_all_ways():
    shares = stream(3, "all ways").random((6, 6))
    strata = np.array([0, 0, 0, 1, 1, 2])
    totals = [
        sum(shares[i, j] for i, j in enumerate((*first, *second)))
        for first in itertools.permutations(range(3))
        for second in itertools.permutations((3, 4))
    ]
    expected = np.mean(np.array(totals) >= np.trace(shares[:5, :5]) - 1e-12)
    found = lift_of(shares, strata)
    assert found.p == pytest.approx(expected)
    assert found.p_min == pytest.approx(1 / 12)
    assert (found.null_n, found.n_compared, found.n_left_out) == (11, 5, 1)


def test_many_people_are_swapped_at_random():
    found = lift_of(np.diag(np.ones(40)), permutations=199)
    assert (found.p, found.p_min, found.null_n) == (1 / 200, 1 / 200, 199)


def test_who_did_not_answer_is_left_out_everywhere():
    shares = stream(4, "left out").random((7, 7))
    shares[5], shares[:, 5] = 0.0, 1.0
    rest = np.delete(np.arange(7), 5)
    all_but_one = [True] * 5 + [False, True]
    found = lift_of(shares, answered=all_but_one, permutations=10_000)
    without = lift_of(shares[np.ix_(rest, rest)], permutations=10_000)
    for field in ("rate", "low", "high", "null", "lift", "lift_low", "lift_high", "p", "p_min"):
        assert getattr(found, field) == pytest.approx(getattr(without, field)), field
    assert found.n == 6


def test_who_shares_a_name_counts_in_the_rate_alone():
    """Two people of one name: whoever is shown, both are named."""
    shares = np.zeros((6, 6))
    shares[:2, :2] = 1.0
    found = lift_of(shares, alone=[True, True] + [False] * 4)
    assert found.rate == pytest.approx(2 / 6)
    assert (found.null, found.lift, found.p) == (0.0, 0.0, 1.0)
    assert (found.n, found.n_compared, found.n_left_out) == (6, 4, 2)


def test_where_nobody_can_be_compared_there_is_a_rate_and_no_lift():
    found = lift_of(np.eye(3), [0, 1, 2])
    assert found.rate == 1.0
    assert (found.null, found.lift, found.lift_low, found.lift_high) == (None,) * 4
    assert (found.p, found.p_min) == (None, None)
    assert (found.null_n, found.n, found.n_compared, found.n_left_out) == (0, 3, 0, 3)


def test_the_rate_is_of_all_and_the_lift_of_those_compared():
    found = lift_of(np.diag([1.0, 0.0, 1.0]), [0, 0, 1])
    assert found.rate == pytest.approx(2 / 3)
    assert found.lift == pytest.approx(1 / 2)


def test_one_drawing_serves_many_matrices():
    swaps = Swaps(one_stratum(20), None, stream(5, "swaps"), 199)
    shares = stream(6, "shares").random((20, 20))
    first = swaps.lift(said(shares / 2))
    assert 0.05 < first.p < 0.95
    swaps.lift(said(shares / 2, [False] * 10 + [True] * 10))  # leaves no trace in the next
    assert swaps.lift(said(shares / 2)) == first
    assert swap_lift(
        said(shares / 2), one_stratum(20), rng=stream(5, "swaps"), permutations=199
    ) == first  # fmt: skip


def test_swaps_drawn_for_many_give_the_few_who_answered_no_smaller_p_than_they_can_have():
    """Half the swaps of two people change nothing, give or take what was drawn."""
    found = [
        lift_of(np.eye(30), answered=[True, True] + [False] * 28, permutations=99)
        for _ in range(20)
    ]
    assert {of.p_min for of in found} == {0.5}
    assert min(of.p for of in found) == 0.5
    assert max(of.p for of in found) > 0.5


def test_repeated_entries_of_a_matrix_are_added():
    """One name for everybody, each share stored in two halves."""
    halves = csr_array((np.full(8, 0.5), np.zeros(8, int), np.arange(0, 9, 2)), shape=(4, 4))
    assert not halves.has_canonical_format
    one_name = Said(halves, np.ones(4, bool))
    found = swap_lift(one_name, one_stratum(4), rng=RNG)
    assert (found.rate, found.lift, found.p) == (0.25, 0.0, 1.0)
    assert person_ranks(one_name, one_stratum(4)).p_name[0] == 1.0
    assert halves.nnz == 8  # the caller's matrix stays as it was


@pytest.mark.parametrize(
    ("shares", "answered", "message"),
    [
        (np.eye(3), [True] * 2, "shape"),
        (2 * np.eye(2), [True] * 2, "between 0 and 1"),
        (-np.eye(2), [True] * 2, "between 0 and 1"),
        (np.nan * np.eye(2), [True] * 2, "between 0 and 1"),
    ],
)
def test_what_is_not_a_share_is_refused(shares, answered, message):
    with pytest.raises(ValueError, match=message):
        said(shares, answered)


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ValueError, match="nobody answered"):
        lift_of(np.zeros((2, 2)), answered=[False, False])
    with pytest.raises(ValueError, match="nobody answered"):
        lift_of(np.zeros((0, 0)))
    with pytest.raises(ValueError, match="strata of 3"):
        lift_of(np.zeros((2, 2)), [0, 0, 0])
    with pytest.raises(ValueError, match="0 permutations"):
        lift_of(np.zeros((2, 2)), permutations=0)


def test_a_popular_name_convicts_nobody():
    """Said of all 60: its bearer is first in the row and last in the column."""
    shares = np.zeros((60, 60))
    shares[:, 0] = 1.0
    found = person_ranks(said(shares), one_stratum(60))
    assert found.p_picture[0] == pytest.approx(1 / 60)
    assert found.p_name[0] == 1.0
    assert (found.p == 1.0).all()
    assert found.said_of_others[0] == 1.0
    assert found.said_of_others[1] == 0.0


def test_a_person_named_alone_has_the_smallest_p():
    shares = np.zeros((5, 5))
    shares[0, 0] = 0.1
    found = person_ranks(said(shares), one_stratum(5))
    assert found.p.tolist() == pytest.approx([0.2, 1, 1, 1, 1])
    assert found.p_min.tolist() == pytest.approx([0.2] * 5)


def test_ranks_by_hand_ties_count_against():
    shares = np.array([[0.3, 0.3, 0.1], [0.4, 0.2, 0.0], [0.1, 0.0, 0.1]])
    found = person_ranks(said(shares), one_stratum(3))
    assert found.p_name.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert found.p_picture.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert found.said_of_others.tolist() == pytest.approx([0.25, 0.15, 0.05])


def test_ties_that_rounding_breaks_count_against_too():
    shares = np.array([[0.1 + 0.2, 0.3], [0.3, 0.0]])
    assert shares[0, 0] > shares[0, 1]
    assert person_ranks(said(shares), one_stratum(2)).p.tolist() == [1.0, 1.0]


def test_the_rank_among_all_pairs_resolves_what_ranks_of_people_cannot():
    shares = np.zeros((6, 6))
    shares[0, 0] = shares[1, 1] = 1.0
    shares[3, 4] = shares[4, 3] = 0.5
    shares[2, 2] = 0.5
    found = person_ranks(said(shares), np.zeros(6, dtype=np.int64))
    assert found.p[:3] == pytest.approx([1 / 6] * 3)
    assert found.p_cell[:3] == pytest.approx([1 / 31, 1 / 31, 3 / 31])
    assert found.p_cell[3:] == pytest.approx([1.0] * 3)
    apart = person_ranks(said(shares), np.array([0, 0, 0, 1, 1, 1]))
    assert apart.p_cell[2] == pytest.approx(1 / 7)


def test_a_popular_name_is_stopped_by_people_where_pairs_let_it_pass():
    shares = np.zeros((40, 40))
    shares[:, 7] = 1.0
    found = person_ranks(said(shares), np.zeros(40, dtype=np.int64))
    assert found.p_cell[7] < 0.05
    assert found.p[7] == 1.0


def test_who_cannot_be_compared_has_no_rank():
    shares = np.eye(6)
    alone = np.array([False, False, False, True, False, False])
    answered = [True, True, True, True, False, True]
    found = person_ranks(said(shares, answered), np.array([0, 0, 0, 0, 0, 1]), alone)
    for values in (found.p_name, found.p_picture, found.p, found.p_min, found.said_of_others):
        assert np.isnan(values).tolist() == [False] * 3 + [True] * 3
    assert found.p_min[0] == pytest.approx(1 / 3)


def test_a_contrast_of_few_people_is_exact():
    found = contrast(np.array([0.5, 0.4, 0.2, np.nan]), np.array([0, 0, 0, 1.0]), rng=RNG)
    assert found.value == pytest.approx(1.1 / 3)
    assert (found.p, found.p_min, found.null_n, found.n) == (0.25, 0.25, 7, 3)
    interval = gain_and_loss_interval(np.array([0.5, 0.4, 0.2]))
    assert (found.low, found.high) == (interval.low, interval.high)
    assert found.method == "gains and losses, MOVER"


def test_a_contrast_is_two_sided_and_mirrors():
    rng = stream(7, "contrast")
    first, second = rng.random(80), rng.random(80) * 0.9
    there = contrast(first, second, rng=stream(8, "flips"))
    back = contrast(second, first, rng=stream(8, "flips"))
    assert (back.value, back.low, back.high) == pytest.approx(
        (-there.value, -there.high, -there.low)
    )
    assert back.p == there.p
    assert there.method == "t"


def test_a_contrast_of_what_never_differs():
    same = np.full(60, 0.3)
    found = contrast(same, same, rng=RNG)
    assert (found.value, found.p, found.p_min) == (0.0, 1.0, 1.0)
    assert found.low == pytest.approx(-found.high)
    assert found.high == pytest.approx(clopper_pearson(0, 60).high)  # no interval of width 0


def test_a_contrast_in_which_all_lose_everything_has_a_width():
    found = contrast(np.ones(100), np.zeros(100), rng=RNG)
    assert (found.value, found.high, found.method) == (1.0, 1.0, "gains and losses, MOVER")
    assert 0.9 < found.low < 1.0
    assert found.p == 1 / 10_000


@pytest.mark.parametrize(
    ("n", "zeros", "method"),
    [
        (59, 0, "gains and losses, MOVER"),
        (60, 0, "t"),
        (60, 48, "t"),
        (60, 49, "gains and losses, MOVER"),
    ],
)
def test_when_students_interval_is_used(n, zeros, method):
    first = np.linspace(0.2, 0.9, n)
    first[:zeros] = 0.1
    assert contrast(first, np.full(n, 0.1), rng=RNG).method == method


def test_contrasts_refuse_what_cannot_be_paired():
    assert contrast(np.array([np.nan]), np.array([1.0]), rng=RNG) is None
    with pytest.raises(ValueError, match="paired"):
        contrast(np.zeros(2), np.zeros(3), rng=RNG)
    with pytest.raises(ValueError, match="between 0 and 1"):
        contrast(np.zeros(2), np.array([0.0, 1.5]), rng=RNG)


def test_no_leak_is_lost_where_three_of_sixty_people_differ():
    first, second = np.zeros(60), np.zeros(60)
    first[:2] = second[2] = 1.0
    found = equivalent(first, second, margin=0.10)
    assert found.holds
    assert found.value == pytest.approx(1 / 60)
    assert 0.04 < (found.high - found.low) / 2 < 0.08


@pytest.mark.parametrize(("n", "lost"), [(60, 2), (20, 0), (300, 25)])
def test_too_few_people_or_too_many_losses_are_not_equivalent(n, lost):
    second = np.zeros(n)
    second[:lost] = 1.0
    found = equivalent(np.zeros(n), second)
    assert found.holds is False
    assert found.low <= -0.10


def test_equivalence_refuses_what_is_no_margin():
    assert equivalent(np.array([np.nan]), np.array([0.5])) is None
    with pytest.raises(ValueError, match="margin"):
        equivalent(np.zeros(3), np.zeros(3), margin=0.0)


def test_only_losses_have_the_interval_of_their_rate():
    limits = gain_and_loss_interval(np.array([-1.0] * 3 + [0.0] * 57))
    losses = clopper_pearson(3, 60)
    nothing = clopper_pearson(0, 60)
    assert limits.low == pytest.approx(-losses.high)
    assert limits.high == pytest.approx(-3 / 60 + math.hypot(3 / 60 - losses.low, nothing.high))


def test_movers_difference_by_hand():
    limits = mover_difference(0.5, 0.4, 0.65, 0.2, 0.08, 0.3)
    assert limits.low == pytest.approx(0.3 - math.hypot(0.1, 0.1))
    assert limits.high == pytest.approx(0.3 + math.hypot(0.15, 0.12))
    assert mover_difference(1.0, 0.9, 1.0, 0.0, 0.0, 0.1).high == 1.0


@pytest.mark.parametrize(("n", "low", "high"), [(67, 0.28, 0.67), (500, 0.43, 0.57)])
def test_the_interval_of_a_rank_correlation_of_one_half(n, low, high):
    x = np.arange(n, dtype=float)
    found = rank_correlation(x, _with_correlation(n, 0.5))
    assert found.value == pytest.approx(0.5, abs=0.005)
    assert (round(found.low, 2), round(found.high, 2)) == (low, high)
    assert found.n == n


def _with_correlation(n, rho):
    """A permutation of 0 … n-1 whose rank correlation with the order is as near as it gets."""
    y = np.arange(n, dtype=float)
    rng = stream(9, "correlation", n)
    while np.corrcoef(np.arange(n), y)[0, 1] > rho + 0.0005:
        i, j = np.sort(rng.choice(n, 2, replace=False))
        swapped = y.copy()
        swapped[[i, j]] = y[[j, i]]
        if np.corrcoef(np.arange(n), swapped)[0, 1] >= rho - 0.0005:
            y = swapped
    return y


def test_a_rank_correlation_looks_at_ranks_and_leaves_out_who_has_no_value():
    x = np.array([1, 2, 3, 4, 5, np.nan, 7])
    y = np.array([1, 8, 27, 64, 125, 3, np.nan])
    found = rank_correlation(x, y)
    assert (found.value, found.high, found.n) == (pytest.approx(1.0), pytest.approx(1.0), 5)
    assert found.low < 0.5  # five people in order are no proof of a perfect order


def test_the_interval_of_a_rank_correlation_by_hand():
    found = rank_correlation(np.arange(8.0), np.array([0.0, 1, 2, 3, 4, 7, 6, 5]))
    assert found.value == pytest.approx(1 - 6 * 8 / (8 * 63))
    half = 1.959964 * math.sqrt((1 + found.value**2 / 2) / 5)
    centre = math.atanh(found.value)
    assert (found.low, found.high) == pytest.approx(
        (math.tanh(centre - half), math.tanh(centre + half))
    )


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([], [])]
)
def test_where_there_is_no_rank_correlation(x, y):
    assert rank_correlation(np.array(x, dtype=float), np.array(y, dtype=float)) is None


def test_a_rank_correlation_of_infinite_values_is_refused():
    with pytest.raises(ValueError, match="finite"):
        rank_correlation(np.array([1.0, np.inf]), np.zeros(2))


def corrected(lift=0.045, low=0.03, high=0.06, *, sensitivity=0.9, specificity=0.998, n=300):
    return corrected_lift(
        lift,
        low,
        high,
        sensitivity=sensitivity,
        n_positive=n,
        specificity=specificity,
        n_negative=n,
    )


def test_a_lift_is_divided_by_what_the_matcher_discerns():
    found = corrected()
    assert found.value == pytest.approx(0.045 / 0.898)
    of_lift = 0.015 / 0.898
    assert found.high - found.value > of_lift
    assert corrected(n=10**9).high == pytest.approx(found.value + of_lift)


def test_the_variance_of_a_corrected_lift_by_hand():
    n, se, sp = 300, 0.9, 0.998
    shrunk = [(share * n + 0.5) / (n + 1) for share in (se, sp)]
    J = se + sp - 1
    of_lift, of_J = (0.015 / 1.959964) ** 2, sum(s * (1 - s) / n for s in shrunk)
    half = 1.959964 * math.sqrt(of_lift / J**2 + 0.045**2 * of_J / J**4)
    found = corrected()
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_a_matcher_without_a_seen_error_is_not_taken_to_be_perfect():
    found = corrected(lift=0.9, low=0.9, high=0.9, sensitivity=1.0, specificity=1.0, n=150)
    assert found.value == 0.9
    assert 0.005 < found.high - 0.9 < 0.02


def test_a_matcher_that_discerns_nothing_corrects_nothing():
    assert corrected(sensitivity=0.4, specificity=0.6) is None
    with pytest.raises(ValueError, match="share"):
        corrected(sensitivity=1.2)
    with pytest.raises(ValueError, match="0 labelled"):
        corrected(n=0)


def two_phase(sizes, labelled, positive, **kwargs):
    return two_phase_rate(
        np.array(sizes), np.array(labelled), np.array(positive), rng=stream(10, "two"), **kwargs
    )


def test_labels_correct_a_rate():
    found = two_phase([1000, 500], [150, 150], [141, 6], n_answers=100_000)
    assert found.value == pytest.approx((1000 * 141 / 150 + 500 * 6 / 150) / 100_000)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(0.0008, abs=0.0003)


def test_a_stratum_that_is_labelled_whole_has_no_uncertainty():
    found = two_phase([40, 0], [40, 0], [10, 0])
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_answers_in_no_stratum_count_as_no_leaks():
    assert two_phase([10], [10], [5], n_answers=100).value == 0.05
    assert two_phase([10], [10], [5]).value == 0.5


def test_nothing_found_has_an_upper_limit():
    found = two_phase([10_000_000], [200], [0])
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0.005 < found.high < 0.02


@pytest.mark.parametrize(
    ("sizes", "labelled", "positive", "more", "message"),
    [
        ([10, 5], [10, 0], [5, 0], {}, "stratum 1 has 5 answers and no label"),
        ([10], [11], [5], {}, "all answers"),
        ([10], [5], [6], {}, "all answers"),
        ([10], [5], [-1], {}, "all answers"),
        ([10], [5], [5], {"n_answers": 9}, "all answers"),
        ([0], [0], [0], {}, "all answers"),
    ],
)
def test_counts_that_do_not_fit_are_refused(sizes, labelled, positive, more, message):
    with pytest.raises(ValueError, match=message):
        two_phase(sizes, labelled, positive, **more)


def test_what_no_leak_among_two_hundred_still_allows():
    assert rest_upper(0, 200) == pytest.approx(0.0149, abs=1e-4)
