"""What is kept of a picture when a person is cut out, pasted elsewhere, or painted over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from vlmaudit.errors import InputError
from vlmaudit.imaging.backgrounds import load_backgrounds
from vlmaudit.imaging.blending import blend, paste_back
from vlmaudit.imaging.filling import fill_in

MOST_SIDE = 12
ASTRAY = 6
"""Levels by which Telea's method in OpenCV strays even where all around a hole is of one colour."""
LEVELS = st.sampled_from([0, 1, 100, 254, 255])


@st.composite
def cut_outs(draw):
    """A picture, a mask of it, and a background of the same size."""
    shape = draw(st.integers(1, MOST_SIDE)), draw(st.integers(1, MOST_SIDE))
    picture, background = (draw(arrays(np.uint8, (*shape, 3))) for _ in range(2))
    return picture, draw(arrays(np.uint8, shape, elements=LEVELS)), background


@given(cut_outs())
def test_what_is_all_the_persons_or_none_of_it_stays_bit_by_bit(drawn):
    picture, mask, background = drawn
    shown = blend(picture, mask, background)
    assert (shown[mask == 255] == picture[mask == 255]).all()
    assert (shown[mask == 0] == background[mask == 0]).all()
    between = np.minimum(picture, background) <= shown, shown <= np.maximum(picture, background)
    assert all(each.all() for each in between)


@given(cut_outs())
def test_a_soft_edge_is_the_mean_that_its_mask_says(drawn):
    picture, mask, background = drawn
    share = mask[..., None] / 255
    exact = picture * share + background * (1 - share)
    assert np.abs(blend(picture, mask, background) - exact).max() <= 0.5 + 1e-9


@given(cut_outs())
def test_pasted_back_the_edge_alone_is_made_anew(drawn):
    picture, mask, _ = drawn
    before = picture.copy()
    shown = paste_back(picture, mask)
    kept = (mask == 0) | (mask == 255)
    assert (shown[kept] == picture[kept]).all()
    assert (picture == before).all()


@given(cut_outs())
def test_what_is_not_taken_out_stays_bit_by_bit(drawn):
    picture, mask, _ = drawn
    before = picture.copy()
    shown = fill_in(picture, mask)
    assert shown.shape == picture.shape
    assert (shown[mask == 0] == picture[mask == 0]).all()
    assert (picture == before).all()


@given(cut_outs(), st.integers(1, 255))
def test_nothing_of_what_is_taken_out_is_left(drawn, shift):
    picture, mask, _ = drawn
    hole = (mask > 0)[..., None]
    if hole.all():
        return  # its mean colour is all there is to go by
    other = np.where(hole, picture + np.uint8(shift), picture)
    assert (fill_in(picture, mask) == fill_in(other, mask)).all()


@pytest.mark.parametrize("side", [40, 600])
def test_a_hole_is_filled_with_what_is_around_it(side):
    picture = np.full((side, side, 3), (10, 200, 60), dtype=np.uint8)
    middle = slice(side // 4, side // 2)
    picture[middle, middle] = (255, 0, 255)
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[middle, middle] = 255
    shown = fill_in(picture, mask).astype(int)
    assert np.abs(shown - (10, 200, 60)).max() <= ASTRAY


def test_where_all_is_taken_out_the_mean_colour_is_left():
    picture = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    shown = fill_in(picture, np.full((4, 5), 9, dtype=np.uint8))
    assert (shown == np.rint(picture.mean(axis=(0, 1)))).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (5000, 2), (3, 4)])
def test_pictures_of_any_shape_are_filled(shape):
    picture = np.full((*shape, 3), 77, dtype=np.uint8)
    mask = np.zeros(shape, dtype=np.uint8)
    mask[0, 0] = 255
    assert np.abs(fill_in(picture, mask).astype(int) - 77).max() <= ASTRAY


@pytest.mark.parametrize("side", [6, 80, 400])
def test_a_hole_that_leaves_a_narrow_margin_is_filled_with_its_colour(side):
    picture = np.full((side, side, 3), 200, dtype=np.uint8)
    mask = np.full((side, side), 255, dtype=np.uint8)
    mask[0], mask[:, 0] = 0, 0
    assert np.abs(fill_in(picture, mask).astype(int) - 200).max() <= 5 * ASTRAY


def test_grey_pictures_stay_grey():
    grey = np.random.default_rng(0).integers(0, 256, (80, 90, 1), dtype=np.uint8)
    picture = grey.repeat(3, axis=2)
    mask = np.zeros((80, 90), dtype=np.uint8)
    mask[20:60, 30:70] = 255
    mask[19, 30:70] = 128
    for shown in (fill_in(picture, mask), paste_back(picture, mask)):
        assert (shown == shown[..., :1]).all()


@pytest.mark.parametrize("size", [(1, 1), (224, 224), (1000, 3), (900, 1600)])
def test_a_landscape_fills_any_size(size):
    width, height = size
    shown = load_backgrounds(None, seed=0).choose("a/1.jpg").fill(width, height)
    assert shown.shape == (height, width, 3)
    assert shown.dtype == np.uint8


def test_landscapes_are_drawn_alike_every_time_and_unlike_each_other():
    first, again = (load_backgrounds(None, seed=3) for _ in range(2))
    images = [f"p{place}/0.jpg" for place in range(40)]
    shown = [first.choose(image).fill(32, 32) for image in images]
    for image, before in zip(images, shown, strict=True):
        assert (again.choose(image).fill(32, 32) == before).all()
    assert len({each.tobytes() for each in shown}) == 3
    others = [load_backgrounds(None, seed=4).choose(image).fill(32, 32) for image in images]
    assert any((one != other).any() for one, other in zip(shown, others, strict=True))


def test_given_landscapes_are_cut_to_size_and_not_squeezed(tmp_path):
    wide = np.zeros((40, 120, 3), dtype=np.uint8)
    wide[:, 40:80] = (0, 255, 0)
    Image.fromarray(wide).save(tmp_path / "field.png")
    (tmp_path / "notes.txt").write_text("no picture")
    given_here = load_backgrounds(tmp_path, seed=0)
    assert len(given_here) == 1
    assert (given_here.choose("a/1.jpg").fill(40, 40) == (0, 255, 0)).all()


def test_other_landscapes_have_another_name(tmp_path):
    names = set()
    for level in (10, 20):
        Image.new("RGB", (8, 8), (level, 0, 0)).save(tmp_path / "one.png")
        names.add(load_backgrounds(tmp_path, seed=0).name)
    assert len(names | {load_backgrounds(None, seed=0).name}) == 3


def test_landscapes_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_backgrounds(tmp_path / "none", seed=0)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png: .*remove it"):
        load_backgrounds(tmp_path, seed=0)
