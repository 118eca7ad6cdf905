"""Hiding faces touches their boxes and nothing else, whatever the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vlmaudit.imaging import hiding
from vlmaudit.imaging.blending import blend, paste_back
from vlmaudit.imaging.boxes import Box
from vlmaudit.imaging.filling import fill_in

sides = st.integers(1, 40)
pictures = st.tuples(sides, sides).flatmap(
    lambda size: arrays(np.uint8, (*size, 3), elements=st.integers(0, 255))
)
boxes = st.lists(
    st.builds(
        Box, st.integers(-10, 45), st.integers(-10, 45), st.integers(0, 30), st.integers(0, 30)
    ),
    max_size=4,
)
ways = {
    "pixelated": lambda picture, where: hiding.pixelate(picture, where, 10),
    "blurred": lambda picture, where: hiding.blur(picture, where, 3.0),
    "masked": hiding.mask,
}


def inside(picture, where):
    area = np.zeros(picture.shape[:2], dtype=bool)
    for box in where:
        area[box.clipped(width=picture.shape[1], height=picture.shape[0]).window] = True
    return area


@pytest.mark.parametrize("way", ways)
@given(picture=pictures, where=boxes)
@settings(max_examples=60, deadline=None)
def test_nothing_outside_the_boxes_is_touched(way, picture, where):
    before = picture.copy()
    shown = ways[way](picture, where)
    assert (picture == before).all()
    assert shown.shape == picture.shape
    assert shown.dtype == np.uint8
    assert (shown[~inside(picture, where)] == picture[~inside(picture, where)]).all()


@given(picture=pictures, box=boxes.filter(len).map(lambda some: some[0]), grid=st.integers(1, 64))
@settings(max_examples=120, deadline=None)
def test_a_box_holds_at_most_as_many_colours_as_squares(picture, box, grid):
    shown = hiding.pixelate(picture, [box], grid)
    area = shown[box.clipped(width=picture.shape[1], height=picture.shape[0]).window]
    assert len(np.unique(area.reshape(-1, 3), axis=0)) <= grid**2
    again = hiding.pixelate(shown, [box], grid)
    assert (again == shown).all()


@given(picture=pictures, where=boxes)
@settings(max_examples=60, deadline=None)
def test_faces_alone_are_all_that_is_left(picture, where):
    shown = hiding.only(picture, where)
    area = inside(picture, where)
    assert (shown[area] == picture[area]).all()
    assert (shown[~area] == 128).all()


def test_the_inside_of_a_blurred_box_comes_from_the_box_alone():
    picture = np.full((20, 20, 3), 255, dtype=np.uint8)
    picture[5:15, 5:15] = 10
    shown = hiding.blur(picture, [Box(5, 5, 10, 10)], 4.0)
    assert (shown[5:15, 5:15] == 10).all()


masked = pictures.flatmap(
    lambda picture: st.tuples(
        st.just(picture),
        arrays(np.uint8, picture.shape[:2], elements=st.sampled_from([0, 90, 255])),
    )
)


@given(masked, st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_person_stays_bit_by_bit_and_so_does_the_background(both, colour):
    picture, mask = both
    background = np.full_like(picture, colour)
    shown = blend(picture, mask, background)
    assert (shown[mask == 255] == picture[mask == 255]).all()
    assert (shown[mask == 0] == colour).all()
    low, high = np.minimum(picture, background), np.maximum(picture, background)
    assert ((low <= shown) & (shown <= high)).all()


@given(masked)
@settings(max_examples=60, deadline=None)
def test_what_is_painted_over_is_the_mask_and_nothing_else(both):
    picture, mask = both
    for shown in (fill_in(picture, mask), paste_back(picture, mask)):
        assert shown.shape == picture.shape
        assert (shown[mask == 0] == picture[mask == 0]).all()
    pasted = paste_back(picture, mask)
    assert (pasted[mask == 255] == picture[mask == 255]).all()


def test_a_person_removed_looks_like_what_is_around():
    picture = np.full((300, 400, 3), (40, 90, 200), dtype=np.uint8)
    picture[60:280, 120:260] = (250, 10, 10)
    mask = np.zeros((300, 400), dtype=np.uint8)
    mask[60:280, 120:260] = 255
    apart = np.abs(fill_in(picture, mask).astype(int) - (40, 90, 200))
    assert apart.max() <= 8  # red would be 210 away
