"""What must leave a p-value exactly as it is, and the definition the quick ways must follow.

Scores are small whole numbers, so that ties abound and a constant or a factor changes no score by
rounding: p-values must then be *equal*, not close.
"""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.seeds import stream
from vlmaudit.stats.association import Association, NoEvidence, associate, associate_many

whole_numbers = hnp.arrays(
    np.int64,
    st.tuples(st.integers(3, 7), st.integers(3, 8)),
    elements=st.integers(-4, 4),
    fill=st.nothing(),
)
sizes = st.tuples(st.integers(2, 30), st.integers(2, 40))
seeds = st.integers(0, 2**32)


def define(A):
    """The definition, as plainly as it can be written."""
    B = A - A.mean(axis=1, keepdims=True)
    Z = (B[0] - B[1:].mean(axis=0)) / B[1:].std(axis=0)
    C = A - A.mean(axis=0)
    R = (C[:, 0] - C[:, 1:].mean(axis=1)) / C[:, 1:].std(axis=1)
    D = A - A.mean(axis=1, keepdims=True) - A.mean(axis=0) + A.mean()
    D = D / D.std(axis=0)
    D = D / D.std(axis=1, keepdims=True)
    return {
        "z": Z[0],
        "p_names": (1 + np.sum(Z[1:] >= Z[0])) / len(Z),
        "p_faces": (1 + np.sum(R[1:] >= R[0])) / len(R),
        "p_cell": np.mean(D[0, 0] <= D),
    }


def ranks(scores):
    found = associate(scores, cells=True)
    if isinstance(found, NoEvidence):
        return found
    return (found.p_names, found.p_faces, found.p, found.p_cell)


@given(sizes, seeds)
def test_the_ranks_are_those_of_the_definition(size, seed):
    scores = stream(seed, "scores").standard_normal((size[0] + 1, size[1] + 1))
    found = associate(scores, cells=True)
    assert isinstance(found, Association)
    for name, value in define(scores).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name


@given(whole_numbers, st.data())
def test_a_constant_for_a_face_changes_nothing(scores, data):
    for face in data.draw(st.sets(st.integers(0, len(scores) - 1))):
        changed = scores.copy()
        changed[face] += data.draw(st.integers(-16, 16))
        assert ranks(changed) == ranks(scores)


@given(whole_numbers, st.data())
def test_a_constant_for_a_name_changes_nothing(scores, data):
    for name in data.draw(st.sets(st.integers(0, scores.shape[1] - 1))):
        changed = scores.copy()
        changed[:, name] += data.draw(st.integers(-16, 16))
        assert ranks(changed) == ranks(scores)


@given(whole_numbers, st.floats(1e-6, 1e6))
def test_the_unit_of_scores_changes_nothing(scores, factor):
    assert ranks(scores * factor) == ranks(scores)


@given(whole_numbers, st.randoms(use_true_random=False))
def test_the_order_of_controls_and_decoys_changes_nothing(scores, random):
    faces = list(range(1, scores.shape[0]))
    names = list(range(1, scores.shape[1]))
    random.shuffle(faces)
    random.shuffle(names)
    assert ranks(scores[np.ix_([0, *faces], [0, *names])]) == ranks(scores)


@given(whole_numbers)
def test_faces_and_names_play_the_same_part(scores):
    found, mirrored = associate(scores), associate(scores.T)
    assert type(found) is type(mirrored)
    if isinstance(found, Association) and isinstance(mirrored, Association):
        assert (found.p_names, found.p_faces) == (mirrored.p_faces, mirrored.p_names)


@given(whole_numbers)
def test_p_values_are_multiples_of_their_smallest_and_never_zero(scores):
    found = associate(scores, cells=True)
    if isinstance(found, Association):
        assert found.p_cell is not None
        for p, n in (
            (found.p_names, found.n_names),
            (found.p_faces, found.n_faces),
            (found.p_cell, scores.size - 1),
        ):
            assert 1 / (1 + n) <= p <= 1
            assert p * (1 + n) == pytest.approx(round(p * (1 + n)))
        assert found.p >= found.p_min


@given(whole_numbers)
def test_a_tie_with_everything_counts_against(scores):
    """A decoy and a control person who are copies: both are found to be as good."""
    copied = np.column_stack([scores, scores[:, 0]])
    copied = np.vstack([copied, copied[0]])
    found = associate(copied)
    if isinstance(found, Association):
        assert found.p_names >= 2 / (1 + found.n_names)
        assert found.p_faces >= 2 / (1 + found.n_faces)


@given(seeds, st.integers(2, 5))
def test_every_picture_shown_again_changes_nothing(seed, times):
    rng = stream(seed, "pictures")
    pictures, names = rng.standard_normal((9, 4, 6)), rng.standard_normal((12, 6))
    again = np.repeat(pictures, times, axis=1)
    assert ranks(again.mean(axis=1) @ names.T) == ranks(pictures.mean(axis=1) @ names.T)


@given(whole_numbers, st.integers(1, 4), st.data())
def test_people_who_share_a_pool_are_tested_as_if_each_alone(scores, n_people, data):
    """On ties, which abound here, the quick way must count as the plain one."""
    shared = scores[1:, 1:]
    n_faces, n_names = shared.shape

    def draw(*shape):
        return data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-4, 4)))

    face_scores, name_scores = draw(n_people, n_names), draw(n_people, n_faces)
    own = draw(n_people)
    together = associate_many(shared, face_scores, name_scores, own, cells=True)
    for person, found in enumerate(together):
        top = np.append(own[person], face_scores[person])
        block = np.vstack([top, np.column_stack([name_scores[person], shared])])
        alone = associate(block, cells=True)
        if isinstance(alone, NoEvidence):
            assert found == alone
        else:
            assert isinstance(found, Association)
            assert found.z == pytest.approx(alone.z, abs=1e-9)
            assert (found.p_names, found.p_faces) == (alone.p_names, alone.p_faces)
            assert found.p_cell == alone.p_cell
