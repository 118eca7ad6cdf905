"""The association test on blocks whose answer is known, and on those that have none."""

import numpy as np
import pytest

from vlmaudit.seeds import stream
from vlmaudit.stats.association import (
    NO_INTERACTION,
    NOT_FINITE,
    Association,
    NoEvidence,
    associate,
    associate_many,
)


def planted(n_faces, n_names, strength, *, seed=0):
    """Face effects, name effects and interactions, all of SD 1; the true pair has more."""
    rng = stream(seed, "planted")
    scores = rng.standard_normal((n_faces + 1, n_names + 1))
    scores[0, 0] += strength
    return scores + rng.standard_normal((n_faces + 1, 1)) + rng.standard_normal(n_names + 1)


def with_person(shared, face_scores, name_scores, own_score):
    top = np.append(own_score, face_scores)
    return np.vstack([top, np.column_stack([name_scores, shared])])


def test_a_strong_tie_gets_the_smallest_p_there_is():
    found = associate(planted(19, 40, 50.0), cells=True)
    assert isinstance(found, Association)
    assert found.z > 10
    assert found.p_names == 1 / 41
    assert found.p_faces == found.p == found.p_min == 1 / 20
    assert found.p_cell == 1 / (20 * 41)
    assert (found.n_names, found.n_faces) == (40, 19)


def test_the_opposite_of_a_tie_gets_the_largest():
    found = associate(planted(19, 40, -50.0), cells=True)
    assert isinstance(found, Association)
    assert found.p_names == found.p_faces == found.p_cell == 1


def test_both_nulls_must_fall():
    """The audited face fits every name of a second kind better: the name is not special to it."""
    scores = planted(30, 30, 0.0)
    scores[0, :15] += 20
    scores[:5, 0] += 20  # and the name fits other faces as well
    found = associate(scores)
    assert isinstance(found, Association)
    assert found.p == max(found.p_names, found.p_faces) > 0.1


def test_an_effect_of_the_name_or_of_the_face_is_no_tie():
    scores = planted(99, 99, 0.0, seed=3)
    before = associate(scores)
    scores[:, 0] += 30
    scores[0] += 30
    after = associate(scores)
    assert isinstance(before, Association)
    assert isinstance(after, Association)
    assert (after.p_names, after.p_faces) == (before.p_names, before.p_faces)


def test_pairs_are_ranked_only_if_asked():
    found = associate(planted(5, 5, 0.0))
    assert isinstance(found, Association)
    assert found.p_cell is None


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_numbers_are_no_evidence(broken):
    scores = planted(5, 6, 0.0)
    scores[3, 2] = broken
    assert associate(scores) == NoEvidence(NOT_FINITE)


def test_the_same_order_of_names_for_every_face_is_no_evidence():
    rng = stream(1, "order")
    scores = rng.standard_normal((8, 1)) + rng.standard_normal(9)
    assert associate(scores) == NoEvidence(NO_INTERACTION)
    rounded = (scores + 1e-6 * rng.standard_normal(scores.shape)).astype(np.float32)
    assert associate(rounded) == NoEvidence(NO_INTERACTION)
    assert isinstance(associate(scores + 1e-2 * rng.standard_normal(scores.shape)), Association)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.0])
def test_one_score_for_everything_is_no_evidence(constant):
    assert associate(np.full((6, 7), constant)) == NoEvidence(NO_INTERACTION)


def test_control_people_who_are_all_alike_are_no_evidence():
    """Nothing among the controls varies: there is no spread to measure the person by."""
    votes = np.zeros((6, 7), dtype=np.int64)
    votes[1:, 3] = 4
    votes[0, 0] = 4
    assert associate(votes) == NoEvidence(NO_INTERACTION)


@pytest.mark.parametrize("shape", [(2, 9), (9, 2), (1, 1)])
def test_a_null_of_one_is_refused(shape):
    with pytest.raises(ValueError, match="at least two"):
        associate(np.zeros(shape))


def test_names_that_no_control_person_is_called_are_measured_by_the_smallest_spread():
    """Votes of a model that only chooses: 12 a person, over the true name and five decoys."""
    votes = np.array(
        [
            [7, 3, 0, 0, 1, 1],  # the audited person: true name first
            [0, 4, 2, 6, 0, 0],
            [0, 6, 1, 5, 0, 0],
            [0, 5, 2, 5, 0, 0],
            [1, 5, 1, 5, 0, 0],
        ]
    )
    found = associate(votes)
    assert isinstance(found, Association)
    deviation = votes[0] - votes[1:].mean(axis=0)
    spread = votes[1:].std(axis=0)
    assert (spread == 0).tolist() == [False, False, False, False, True, True]
    spread[4:] = spread[spread > 0].min()
    assert found.z == pytest.approx(deviation[0] / spread[0])
    assert found.p_names == 1 / 6
    assert found.p_faces == 1 / 5
    most_voted_decoy = associate(votes[:, [4, 0, 1, 2, 3, 5]])
    assert isinstance(most_voted_decoy, Association)
    assert most_voted_decoy.p_names == 3 / 6  # one vote ties with the other such name's


def test_many_people_are_tested_as_if_each_alone():
    scores = planted(60, 90, 0.0, seed=5)
    people, shared = 20, scores[20:, 20:]
    face_scores, name_scores = scores[:people, 20:], scores[20:, :people].T
    own = np.diagonal(scores[:people, :people]).copy()
    own[::3] += 3
    together = associate_many(shared, face_scores, name_scores, own, cells=True)
    for person, found in enumerate(together):
        block = with_person(shared, face_scores[person], name_scores[person], own[person])
        alone = associate(block, cells=True)
        assert isinstance(alone, Association)
        assert isinstance(found, Association)
        assert found.z == pytest.approx(alone.z, abs=1e-9)
        for name in ("p_names", "p_faces", "p", "p_cell", "p_min", "n_names", "n_faces"):
            assert getattr(found, name) == getattr(alone, name)


def test_one_person_without_scores_does_not_spoil_the_others():
    scores = planted(30, 30, 0.0)
    parts = [scores[4:, 4:], scores[:4, 4:].copy(), scores[4:, :4].T.copy(), np.diag(scores)[:4]]
    clean = associate_many(*parts)
    parts[1][1, 5] = np.nan
    parts[2][2, 0] = np.inf
    spoilt = associate_many(*parts)
    assert spoilt[1] == spoilt[2] == NoEvidence(NOT_FINITE)
    assert [spoilt[0], spoilt[3]] == [clean[0], clean[3]]
    parts[0] = np.full_like(parts[0], np.nan)
    assert associate_many(*parts) == [NoEvidence(NOT_FINITE)] * 4


def test_nobody_to_test_is_an_empty_list():
    none = np.empty((0, 6))
    assert associate_many(planted(5, 5, 0.0), none, none, np.empty(0)) == []
