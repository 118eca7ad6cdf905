"""The nearest name is the one that exact arithmetic finds, in memory that does not grow."""

import tracemalloc

import numpy as np
import pytest

from vlmaudit.seeds import stream
from vlmaudit.stats.similarity import TIE_TOLERANCE, beats, nearest


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def embeddings(seed, *shape):
    return unit(stream(seed, "embeddings", *shape).standard_normal(shape))


def exactly(images, texts):
    """Cosines in fp64: images, templates, names."""
    return np.einsum("id,tnd->itn", images.astype(np.float64), texts.astype(np.float64))


@pytest.fixture(scope="module")
def close_race():
    """Pictures, and names of which each has a double that is ahead or behind by 1e-7 to 1e-4."""
    rng = stream(0, "close race")
    images = embeddings(1, 300, 512)
    texts = rng.standard_normal((3, 400, 512))
    texts /= np.linalg.norm(texts, axis=-1, keepdims=True)
    apart = 10.0 ** rng.uniform(-6.5, -3, (3, 200, 1)) * rng.standard_normal((3, 200, 512))
    texts[:, 200:] = texts[:, :200] + apart
    return images, unit(texts)


def test_decisions_are_those_of_exact_arithmetic(close_race):
    images, texts = close_race
    found = nearest(images, texts, runner_up=True)
    cosines = exactly(images, texts)
    ordered = np.sort(cosines, axis=2)
    margin = ordered[:, :, -1] - ordered[:, :, -2]
    clear = margin > 1e-6
    assert np.count_nonzero(margin[clear] < 1e-5) > 20  # the race is close indeed
    assert (found.name == cosines.argmax(axis=2))[clear].all()
    np.testing.assert_allclose(found.cosine, ordered[:, :, -1], atol=5e-7)
    np.testing.assert_allclose(found.runner_up, ordered[:, :, -2], atol=5e-7)
    np.testing.assert_allclose(found.margin, margin, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 300, 4096])
def test_chunks_change_nothing(close_race, chunk):
    images, texts = close_race
    whole = nearest(images, texts, runner_up=True)
    parts = nearest(images, texts, runner_up=True, chunk=chunk)
    clear = whole.margin > 1e-6
    assert (whole.name == parts.name)[clear].all()
    np.testing.assert_allclose(whole.cosine, parts.cosine, atol=5e-7)
    np.testing.assert_allclose(whole.runner_up, parts.runner_up, atol=5e-7)


def test_one_template_may_be_asked_alone(close_race):
    images, texts = close_race
    together = nearest(images, texts, runner_up=True)
    for template in range(3):
        alone = nearest(images, texts[template], runner_up=True)
        assert alone.name.shape == (300,)
        clear = alone.margin > 1e-6
        assert (alone.name == together.name[:, template])[clear].all()
        np.testing.assert_allclose(alone.runner_up, together.runner_up[:, template], atol=5e-7)


def test_templates_that_fill_several_products_stay_in_place():
    """3000 names a product: seven templates of 1300 names take four."""
    images, texts = embeddings(2, 11, 8), embeddings(3, 7, 1300, 8)
    found = nearest(images, texts, chunk=4, runner_up=True)
    cosines = exactly(images, texts)
    clear = found.margin > 1e-6
    assert np.count_nonzero(clear) > 70
    assert (found.name == cosines.argmax(axis=2))[clear].all()


def test_of_equals_the_first_is_taken_without_a_margin():
    corners = np.eye(4, dtype=np.float32)
    found = nearest(corners[:2], corners[[3, 1, 0, 1, 0]], runner_up=True)
    assert found.name.tolist() == [2, 1]
    assert found.margin.tolist() == [0, 0]


def test_a_single_name_is_infinitely_far_ahead():
    corners = np.eye(2, dtype=np.float32)
    found = nearest(corners, corners[:1], runner_up=True)
    assert found.name.tolist() == [0, 0]
    assert np.isposinf(found.margin).all()


def test_the_runner_up_is_only_kept_if_asked(close_race):
    images, texts = close_race
    asked, spared = nearest(images, texts, runner_up=True), nearest(images, texts)
    assert (asked.name == spared.name).all()
    assert (asked.cosine == spared.cosine).all()
    assert spared.runner_up is None
    with pytest.raises(ValueError, match="runner-up"):
        _ = spared.margin


def test_no_pictures_no_votes():
    found = nearest(np.empty((0, 8), dtype=np.float32), embeddings(4, 2, 5, 8), runner_up=True)
    assert found.name.shape == found.cosine.shape == found.margin.shape == (0, 2)


def test_no_names_is_an_error():
    with pytest.raises(ValueError, match="no names"):
        nearest(embeddings(5, 3, 8), np.empty((0, 8), dtype=np.float32))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_was_not_embedded_gets_no_vote(broken):
    images, texts = embeddings(6, 3, 8), embeddings(7, 5, 8)
    images[1, 2] = broken
    with pytest.raises(ValueError, match="finite"):
        nearest(images, texts)
    with pytest.raises(ValueError, match="finite"):
        nearest(texts, images)


def test_no_matrix_of_pictures_and_names_is_kept():
    texts = embeddings(8, 2, 1000, 8)

    def peak_bytes(n_images):
        images = embeddings(9, n_images, 8)
        tracemalloc.start()
        nearest(images, texts, chunk=256)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    matrix = 2048 * 2 * 1000 * 4
    base = peak_bytes(2048)
    assert base < matrix / 4
    assert peak_bytes(4096) - base < matrix / 50  # only the answers grow


def test_an_own_name_among_shared_decoys_is_as_if_asked_with_them(close_race):
    images, texts = close_race
    decoys, own = texts[:, 1:], texts[:, 0]
    cosines = exactly(images, texts)
    lead = cosines[:, :, 0] - cosines[:, :, 1:].max(axis=2)
    found = beats(images, own, nearest(images, decoys).cosine)
    clear = np.abs(lead) > 1e-6
    assert (found == (lead > 0))[clear].all()
    assert found.any()


def test_a_tie_counts_against_the_own_name(close_race):
    """The own name's text is also a decoy's: the two cosines are summed in different orders."""
    images, texts = close_race
    own = texts[:, 7]
    decoys = nearest(images, texts)
    is_tie = decoys.name == 7
    assert is_tie.any()
    assert not beats(images, own, decoys.cosine).any()
    assert beats(images, own, decoys.cosine - 2 * np.float32(TIE_TOLERANCE))[is_tie].all()
