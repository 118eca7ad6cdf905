"""Drawn people: deterministic, distinct, and independent of who else is drawn."""

import numpy as np
import pytest

from vlmaudit.errors import InputError
from vlmaudit.lab import people
from vlmaudit.lab.people import MIN_DISTANCE, draw_people, draw_person, grid, take_pictures
from vlmaudit.seeds import stream

SEXES = ["female", "male"] * 20


def distance(one, other):
    return float(np.sqrt(np.square(grid(one) - grid(other)).mean()))


def test_a_key_always_gives_the_same_face():
    alone = draw_person("0/3/0", "male")
    draw_person("0/4/0", "female")

    assert (draw_person("0/3/0", "male").raster == alone.raster).all()
    assert (draw_person("0/5/0", "male").raster != alone.raster).any()


def test_more_people_do_not_change_the_first_ones():
    few, many = draw_people(SEXES[:10], seed=5), draw_people(SEXES, seed=5)

    for one, other in zip(few, many, strict=False):
        assert one.key == other.key
        assert (one.raster == other.raster).all()


def test_another_seed_draws_other_people():
    ours, theirs = draw_people(SEXES[:6], seed=0), draw_people(SEXES[:6], seed=1)

    assert all(distance(one, other) >= 1 for one in ours for other in theirs)


def test_no_two_people_look_alike():
    drawn = draw_people(SEXES, seed=0)

    for number, one in enumerate(drawn):
        for other in drawn[:number]:
            assert distance(one, other) >= MIN_DISTANCE - 1e-3


def test_whoever_looks_like_somebody_before_is_drawn_again(monkeypatch):
    monkeypatch.setattr(people, "draw_person", lambda key, sex: draw_person("only face", sex))
    with pytest.raises(InputError, match="no two look alike"):
        draw_people(["male", "male"], seed=0)

    twins = {"0/0/0": "twin", "0/1/0": "twin", "0/1/1": "sibling"}
    monkeypatch.setattr(people, "draw_person", lambda key, sex: draw_person(twins[key], sex))
    first, second = draw_people(["male", "male"], seed=0)
    assert (first.key, second.key) == ("twin", "sibling")


def test_demographics_show():
    """Beside the neck there is hair with most women, and nothing with most men."""
    shares = {
        sex: np.mean([draw_person(f"{sex}{n}", sex).raster[60:72, 6:18, 3] > 0 for n in range(40)])
        for sex in SEXES[:2]
    }

    assert shares["female"] > 2 * shares["male"]


def test_a_person_of_no_known_sex_is_refused():
    with pytest.raises(InputError, match='"robot"'):
        draw_person("0/0/0", "robot")


def test_pictures_differ_from_each_other_and_repeat_with_the_stream():
    drawing = draw_person("0/0/0", "female")
    pictures = take_pictures(drawing, 12, rng=stream(0, "a"))
    again = take_pictures(drawing, 12, rng=stream(0, "a"))
    others = take_pictures(drawing, 12, rng=stream(0, "b"))

    assert pictures.shape == (12, 64, 64, 3)
    assert pictures.dtype == np.uint8
    assert (pictures == again).all()
    assert len({picture.tobytes() for picture in (*pictures, *others)}) == 24


def test_pictures_have_a_coloured_background_and_never_a_transparent_black_one():
    pictures = take_pictures(draw_person("0/0/0", "male"), 50, rng=stream(0, "corners"))
    top_corners = pictures[:, :3, :3].reshape(50, -1).mean(axis=1)

    assert top_corners.min() > 20
    assert top_corners.std() > 15


def test_a_person_is_closer_to_own_pictures_than_to_a_strangers():
    one, other = draw_people(["female", "female"], seed=0)
    mean = [take_pictures(p, 40, rng=stream(0, p.key)).mean(axis=0) for p in (one, other)]
    fresh = take_pictures(one, 40, rng=stream(1, one.key)).mean(axis=0)

    assert np.abs(fresh - mean[0]).mean() < np.abs(fresh - mean[1]).mean() / 2


def test_no_pictures_of_somebody_is_an_empty_stack():
    assert take_pictures(draw_person("0/0/0", "male"), 0, rng=stream(0)).shape == (0, 64, 64, 3)
