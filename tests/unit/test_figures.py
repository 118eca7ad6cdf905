"""Who is cut out, whose picture it is, and what is kept of it."""

import threading

import numpy as np
import pytest
from PIL import Image

from vlmaudit.errors import InputError
from vlmaudit.imaging.backgrounds import load_backgrounds
from vlmaudit.imaging.boxes import Box
from vlmaudit.imaging.cutting import CutFromFaces
from vlmaudit.imaging.figures import figure_of
from vlmaudit.imaging.found import Found, FoundCache
from vlmaudit.imaging.people import choose_subject, load_figure_finder
from vlmaudit.imaging.seams import Face, Line


def portrait(height=240, width=320):
    """A skin-coloured head over blue shoulders, before green."""
    picture = np.full((height, width, 3), (40, 150, 60), dtype=np.uint8)
    noise = np.random.default_rng(0).integers(-12, 13, picture.shape)
    picture[60:130, 130:190] = (220, 170, 140)
    picture[130:, 90:230] = (30, 50, 170)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


HEAD = Face(Box(130, 60, 60, 70), 0.99)


def test_a_person_is_cut_out_from_the_face_on():
    (figure,) = CutFromFaces().find(portrait(), [HEAD], "")
    inside = figure.mask > 127
    truth = np.zeros(inside.shape, dtype=bool)
    truth[60:130, 130:190] = True
    truth[130:, 90:230] = True
    assert (inside & truth).sum() / (inside | truth).sum() > 0.9
    assert figure.mask[100, 160] == 255
    assert figure.mask[10, 10] == 0


def test_no_face_is_nobody():
    assert CutFromFaces().find(portrait(), [], "") == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 64)])
def test_a_face_that_fills_the_picture_cuts_nobody_out(shape):
    picture = np.full((*shape, 3), 128, dtype=np.uint8)
    assert CutFromFaces().find(picture, [Face(Box(0, 0, shape[1], shape[0]), 1.0)], "") == []


def test_the_same_picture_has_the_same_mask_in_any_order_and_thread():
    finder = CutFromFaces()
    first = finder.find(portrait(), [HEAD], "")[0].mask
    found = []

    def look():
        finder.find(np.roll(portrait(), 30, axis=1), [HEAD], "")
        found.append(finder.find(portrait(), [HEAD], "")[0].mask)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all((mask == first).all() for mask in found)


def test_the_mask_is_the_same_on_one_core_and_on_two():
    import cv2

    before = cv2.getNumThreads()
    masks = []
    try:
        for n_threads in (1, 2):
            cv2.setNumThreads(n_threads)
            masks.append(CutFromFaces().find(portrait(), [HEAD], "")[0].mask)
    finally:
        cv2.setNumThreads(before)
    assert (masks[0] == masks[1]).all()


@pytest.mark.parametrize(
    "box", [Box(0, 0, 5, 5), Box(318, 238, 2, 2), Box(10, 200, 300, 40), Box(0, 0, 320, 100)]
)
def test_faces_at_the_border_cut_out_nobody_or_a_figure_within_the_picture(box):
    for figure in CutFromFaces().find(portrait(), [Face(box, 1.0)], ""):
        assert figure.mask.shape == (240, 320)
        assert figure.box == figure.box.clipped(width=320, height=240)


def test_grey_pictures_have_people_too():
    grey = portrait().mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, axis=2)
    (figure,) = CutFromFaces().find(grey, [HEAD], "")
    assert figure.mask[100, 160] == 255


def test_a_person_has_the_same_outline_in_twenty_megapixels():
    small = CutFromFaces().find(portrait(), [HEAD], "")[0].mask > 127
    times = 16
    large = portrait().repeat(times, axis=0).repeat(times, axis=1)
    head = Face(Box(*(times * number for number in HEAD.box)), 0.99)
    (figure,) = CutFromFaces().find(large, [head], "")
    assert figure.mask.shape == large.shape[:2]
    found = figure.mask[times // 2 :: times, times // 2 :: times] > 127
    assert (found & small).sum() / (found | small).sum() > 0.95


def block(left, top, width, height, *, side=100):
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[top : top + height, left : left + width] = 255
    return figure_of(mask, 1.0)


@pytest.mark.parametrize(
    ("figures", "faces", "chosen"),
    [
        ([block(0, 0, 20, 20)], [], (0, "only")),
        ([block(0, 0, 60, 90), block(70, 40, 20, 50)], [Face(Box(75, 45, 9, 9), 1.0)], (1, "face")),
        ([block(0, 0, 60, 90), block(70, 40, 20, 50)], [], (0, "largest")),
        ([block(0, 0, 30, 60), block(35, 20, 29, 60)], [], (1, "central")),
        # A face in both says nothing.
        (
            [block(0, 0, 60, 90), block(30, 40, 20, 50)],
            [Face(Box(35, 45, 9, 9), 1.0)],
            (0, "largest"),
        ),
    ],
)
def test_whose_picture_it_is(figures, faces, chosen):
    subject = choose_subject(figures, faces, width=100, height=100)
    assert (subject.place, subject.why) == chosen


def test_nobody_is_nobodys_picture():
    assert choose_subject([], [], width=9, height=9) is None


def test_masks_of_nothing_and_of_everything_are_nobody():
    assert figure_of(np.zeros((50, 50), dtype=np.uint8), 1.0) is None
    assert figure_of(np.full((50, 50), 255, dtype=np.uint8), 1.0) is None


def test_masks_from_elsewhere_must_fit_the_picture(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "a" / "1.png")
    finder = load_figure_finder(f"masks:{tmp_path}")
    assert finder.find(np.zeros((8, 8, 3), dtype=np.uint8), (), "a/2.jpg") == []
    with pytest.raises(InputError, match="a mask of 8 x 8 pixels for a picture of 9 x 8"):
        finder.find(np.zeros((8, 9, 3), dtype=np.uint8), (), "a/1.jpg")


def drawn_mask(kind):
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[10:30, 10:30], mask[10:30, 30] = 255, 100
    deep = Image.fromarray(mask.astype(np.uint16) * 257)
    return deep if kind == "I;16" else Image.fromarray(mask).convert(kind)


@pytest.mark.parametrize(
    ("kind", "soft"), [("L", 100), ("RGB", 100), ("P", 100), ("I;16", 100), ("1", None)]
)
def test_masks_of_any_kind_are_read(tmp_path, kind, soft):
    (tmp_path / "a").mkdir()
    drawn_mask(kind).save(tmp_path / "a" / "1.png")
    finder = load_figure_finder(f"masks:{tmp_path}")
    (figure,) = finder.find(np.zeros((40, 60, 3), dtype=np.uint8), (), "a/1.jpg")
    assert figure.mask[10:30, 10:30].min() == 255
    assert not figure.mask[:10].any()
    if soft is not None:  # pictures of black and white alone have no soft edges
        assert figure.box == Box(10, 10, 20, 20)
        assert figure.mask[20, 30] == soft


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (drawn_mask("LA"), "transparent parts"),
        (drawn_mask("L").point(lambda value: int(value > 127)), "ones and zeros"),
    ],
)
def test_what_is_no_mask_does_not_pass_for_nobody(tmp_path, picture, said):
    (tmp_path / "a").mkdir()
    picture.save(tmp_path / "a" / "1.png")
    finder = load_figure_finder(f"masks:{tmp_path}")
    with pytest.raises(InputError, match=said):
        finder.find(np.zeros((40, 60, 3), dtype=np.uint8), (), "a/1.jpg")


def test_masks_in_the_home_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "masks" / "a").mkdir(parents=True)
    drawn_mask("L").save(tmp_path / "masks" / "a" / "1.png")
    finder = load_figure_finder("masks:~/masks")
    assert len(finder.find(np.zeros((40, 60, 3), dtype=np.uint8), (), "a/1.jpg")) == 1


def test_landscapes_are_dealt_by_picture_and_seed(tmp_path):
    drawn = load_backgrounds(None, seed=1)
    assert len(drawn) == 3
    images = [f"p{place}/0.jpg" for place in range(300)]
    places = [drawn.choose(image) for image in images]
    counts = [places.count(one) for one in {id(p): p for p in places}.values()]
    assert len(counts) == 3
    assert min(counts) > 70
    assert drawn.choose("p0/0.jpg") is drawn.choose("p0/0.jpg")
    assert drawn.choose("p0/0.jpg").fill(7, 300).shape == (300, 7, 3)
    assert load_backgrounds(None, seed=2).name != drawn.name
    assert load_backgrounds(None, seed=1).name == drawn.name
    with pytest.raises(InputError, match="no picture in it"):
        load_backgrounds(tmp_path, seed=0)


def kept(place):
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:place] = 200
    return Found(
        faces=(Face(Box(1, 2, 3, 4), 0.5, ((1.0, 2.0),)),),
        figures=2,
        subject="face",
        mask=mask,
        lines=(Line("Ada", ((0.0, 0.0), (9.0, 0.0), (9.0, 4.0), (0.0, 4.0)), 0.9),),
    )


def refuse():
    raise AssertionError("looked again")


def test_what_was_found_is_looked_for_once(tmp_path):
    cache = FoundCache(tmp_path)
    first = cache.get("digest", "finders", lambda: kept(20))
    again = FoundCache(tmp_path).get("digest", "finders", refuse)
    assert (again.faces, again.figures, again.subject) == (first.faces, 2, "face")
    assert again.lines == first.lines
    assert (again.mask == first.mask).all()
    nothing = Found(faces=(), lines=None)
    cache.get("other", "finders", lambda: nothing)
    assert cache.get("other", "finders", refuse).mask is None
    assert cache.get("digest", "others", lambda: nothing).faces == ()
    assert (tmp_path / "found").stat().st_mode & 0o777 == 0o700


def test_the_cache_is_bounded_and_the_oldest_go_first(tmp_path):
    cache = FoundCache(tmp_path, most_bytes=4000)
    for place in range(1200):
        cache.get(f"digest {place}", "finders", lambda: kept(30))
    assert cache.n_bytes <= 4000 + 512 * 500
    with pytest.raises(AssertionError, match="looked again"):
        cache.get("digest 0", "finders", refuse)
    assert cache.get("digest 1199", "finders", refuse).figures == 2


def test_damage_in_the_cache_is_looked_for_again(tmp_path):
    import sqlite3

    cache = FoundCache(tmp_path)
    cache.get("digest", "finders", lambda: kept(20))
    with sqlite3.connect(tmp_path / "found" / "found.sqlite") as database:
        database.execute("UPDATE found SET mask = X'00'")
    assert cache.get("digest", "finders", lambda: Found(figures=7)).figures == 7
