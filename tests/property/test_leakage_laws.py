"""Laws of name leakage's statistics: what they must not depend on, whatever was said."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from vlmaudit.seeds import stream
from vlmaudit.stats.differences import contrast, gain_and_loss_interval
from vlmaudit.stats.swapping import Said, Swaps, person_ranks, swap_lift

PERMUTATIONS = 299
# 6! = 720 swaps and fewer are all made.
ALL = 719
LIFT = ("rate", "low", "high", "null", "lift", "lift_low", "lift_high", "p_min", "n", "n_compared")


@st.composite
def studies(draw, min_people=2, max_people=6):
    """Shares of five answers in which names are said, strata, who answered, who shares a name."""
    n = draw(st.integers(min_people, max_people))
    rng = stream(draw(st.integers(0, 2**32)), "study")
    density = draw(st.sampled_from([0.1, 0.4, 1.0]))
    shares = rng.integers(0, 6, (n, n)) / 5 * (rng.random((n, n)) < density)
    strata = rng.integers(0, draw(st.integers(1, 3)), n)
    answered = rng.random(n) < draw(st.sampled_from([0.6, 1.0]))
    answered[0] = True
    return shares, strata, answered, rng.random(n) < draw(st.sampled_from([0.0, 0.3]))


def lift_of(shares, strata, answered, alone, permutations=ALL):
    return swap_lift(
        Said(csr_array(shares), answered),
        strata,
        alone=alone,
        rng=stream(0, "swaps"),
        permutations=permutations,
    )


def ranks_of(shares, strata, answered, alone):
    found = person_ranks(Said(csr_array(shares), answered), strata, alone)
    return np.array([found.p_name, found.p_picture, found.p, found.p_min, found.said_of_others])


def values(found, fields=(*LIFT, "p")):
    return [np.nan if getattr(found, field) is None else getattr(found, field) for field in fields]


def same(first, second):
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-12)


def brute_force(shares, strata, answered, alone):
    """Null, lift and p from their definitions, over every swap of people."""
    present = np.flatnonzero(answered & ~alone)
    who = [i for i in present if sum(strata[j] == strata[i] for j in present) > 1]
    if not who:
        return [np.nan] * 3
    others = [[j for j in who if j != i and strata[j] == strata[i]] for i in who]
    null = np.mean([np.mean(shares[i, js]) for i, js in zip(who, others, strict=True)])
    totals = [
        sum(shares[i, j] for i, j in zip(who, order, strict=True))
        for order in itertools.permutations(who)
        if (strata[list(order)] == strata[who]).all()
    ]
    rate = np.mean(shares[who, who])
    return [null, rate - null, np.mean(np.array(totals) >= rate * len(who) - 1e-9)]


@given(studies())
def test_the_definitions(study):
    same(values(lift_of(*study), ("null", "lift", "p")), brute_force(*study))


@given(studies(max_people=12))
def test_ranks_by_their_definition(study):
    shares, strata, answered, alone = study
    found = ranks_of(*study)
    present = answered & ~alone
    for i in range(len(strata)):
        peers = present & (strata == strata[i])
        if not present[i] or peers.sum() < 2:
            assert np.isnan(found[:, i]).all()
            continue
        others = peers & (np.arange(len(strata)) != i)
        own = shares[i, i] - 1e-9
        p_name = (1 + np.count_nonzero(shares[others, i] >= own)) / peers.sum()
        p_picture = (1 + np.count_nonzero(shares[i, others] >= own)) / peers.sum()
        expected = [p_name, p_picture, max(p_name, p_picture), 1 / peers.sum()]
        same(found[:, i], [*expected, shares[others, i].mean()])


@given(studies(), st.randoms(use_true_random=False))
def test_relabelling_people_changes_nothing(study, random):
    order = list(range(len(study[1])))
    random.shuffle(order)
    shares, *of_person = study
    relabelled = (shares[np.ix_(order, order)], *(part[order] for part in of_person))
    same(values(lift_of(*relabelled)), values(lift_of(*study)))
    same(ranks_of(*relabelled), ranks_of(*study)[:, order])


@given(studies(max_people=12), st.integers(1, 1000))
def test_what_strata_are_called_changes_nothing(study, step):
    shares, strata, answered, alone = study
    renamed = 7 - step * strata
    fields = ("p", *LIFT) if len(strata) <= 6 else LIFT
    same(
        values(lift_of(shares, renamed, answered, alone), fields),
        values(lift_of(shares, strata, answered, alone), fields),
    )
    same(ranks_of(shares, renamed, answered, alone), ranks_of(*study))


@given(studies(min_people=8, max_people=30), st.integers(1, 4))
def test_the_same_answers_to_everybody_are_no_lift(study, n_names):
    """One name, or one mixture or list of names, whoever is shown."""
    shares, strata, answered, alone = study
    mixture = stream(n_names, "mixture").dirichlet(np.full(len(strata), 0.2))
    for constant in (np.sort(shares[0]), mixture, np.eye(len(strata))[n_names]):
        found = lift_of(np.tile(constant, (len(strata), 1)), strata, answered, alone, PERMUTATIONS)
        if found.n_compared:
            assert found.lift == 0.0
            assert found.p == 1.0


@given(studies(max_people=12), st.integers(2, 4))
def test_pictures_twice_over_change_nothing(study, times):
    """What was said of a person enters as a share: of 5 answers or of the same 10."""
    shares, *of_person = study
    counts = np.rint(shares * 5) * times
    same(
        values(lift_of(counts / (5 * times), *of_person, permutations=PERMUTATIONS)),
        values(lift_of(*study, permutations=PERMUTATIONS)),
    )


@given(studies(max_people=4), st.integers(0, 5))
def test_who_cannot_be_compared_changes_only_the_rate(study, stratum):
    shares, strata, answered, alone = study
    n = len(strata)
    more = np.ones((n + 2, n + 2))
    more[:n, :n] = shares
    joined = (
        more,
        np.append(strata, [stratum, -1]),
        np.append(answered, [False, True]),
        np.append(alone, [False, stratum > 2]),
    )
    fields = ("null", "lift", "lift_low", "lift_high", "p", "p_min", "n_compared")
    same(values(lift_of(*joined), fields), values(lift_of(*study), fields))
    same(ranks_of(*joined)[:, :n], ranks_of(*study))


@given(studies(min_people=6, max_people=15))
def test_the_interval_holds_the_lift_and_stays_within_bounds(study):
    found = lift_of(*study, permutations=19)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    if found.n_compared:
        assert -1 <= found.lift_low <= found.lift <= found.lift_high <= 1
        assert 0 < found.p <= 1
    assert found.n == found.n_compared + found.n_left_out


@given(st.integers(0, 2**32), st.integers(1, 3))
def test_people_who_are_absent_leave_uniform_swaps_of_the_rest(seed, n_absent):
    """All 24 swaps of four people, seen by those who are present, come equally often."""
    swaps = Swaps(np.zeros(4, int), None, stream(seed, "absent"), 23)
    n = 4 - n_absent
    present = np.arange(4) >= n_absent
    places = [swaps._permutations.places_of(i, present) for i in np.flatnonzero(present)]
    seen = np.column_stack([*places, np.zeros(23)])[:, :n].astype(int).tolist()
    seen.append(list(range(n_absent, 4)))  # the one that changes nothing
    counts = [seen.count(list(order)) for order in itertools.permutations(range(n_absent, 4))]
    assert len(set(counts)) == 1


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40))
def test_contrasts_mirror(fifths):
    differences = np.array(fifths) / 5
    gains, losses = np.maximum(differences, 0), np.maximum(-differences, 0)
    there = contrast(gains, losses, rng=stream(0, "flips"), flips=199)
    back = contrast(losses, gains, rng=stream(0, "flips"), flips=199)
    same([back.value, back.low, back.high], [-there.value, -there.high, -there.low])
    assert back.p == there.p
    assert there.low <= there.value <= there.high
    narrow, wide = (gain_and_loss_interval(differences, level=level) for level in (0.90, 0.95))
    assert -1 <= wide.low <= narrow.low <= there.value <= narrow.high <= wide.high <= 1


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7))
def test_the_test_of_a_contrast_by_brute_force(quarters):
    differences = np.array(quarters) / 4
    signs = np.array(list(itertools.product([1, -1], repeat=len(differences))))
    expected = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
    found = contrast(
        np.maximum(differences, 0), np.maximum(-differences, 0), rng=stream(0, "flips")
    )
    assert found.p == pytest.approx(expected)
    assert found.p_min <= found.p + 1e-12
