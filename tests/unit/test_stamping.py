"""What is printed on pictures: the paper's pixels, legible letters, sizes, refusals."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vlmaudit.errors import InputError
from vlmaudit.imaging.legibility import not_read, read_back
from vlmaudit.imaging.seams import Line
from vlmaudit.imaging.stamping import (
    Printing,
    enlarged,
    fitting_share,
    print_text,
    widest,
    with_share,
)
from vlmaudit.seeds import stream

TEXT = "username: Ada Quill\nuser_id: 1234567890\nage: 36"
PAPER = Printing(protocol="paper")


def noise(width=320, height=240, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def as_the_paper(picture, text, x, y):
    base = picture.convert("RGBA")
    layer = Image.new("RGBA", base.size, (255, 255, 255, 0))
    ImageDraw.Draw(layer).text(
        (x, y), text, font=ImageFont.load_default(), fill=(255, 255, 255, 128)
    )
    return Image.alpha_composite(base, layer).convert("RGB")


@pytest.mark.parametrize("seed", range(8))
def test_the_papers_pixels_at_any_place(seed):
    picture = noise(seed=seed)
    ours, stamp = print_text(picture, TEXT, PAPER, stream(seed, "place"))
    assert ours.tobytes() == as_the_paper(picture, TEXT, stamp.x, stamp.y).tobytes()
    assert ours.tobytes() != picture.tobytes()


def test_the_papers_text_is_cut_at_the_lower_edge_as_in_its_script():
    drawing = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = drawing.textbbox((0, 0), TEXT, font=ImageFont.load_default())
    picture = noise(int(right - left), int(bottom - top))  # no room at all: x = y = 0
    ours, stamp = print_text(picture, TEXT, PAPER, stream(0))
    assert (stamp.x, stamp.y) == (0, 0)
    assert (stamp.width, stamp.height) == picture.size
    assert ours.tobytes() == as_the_paper(picture, TEXT, 0, 0).tobytes()


@pytest.mark.parametrize("text", [";", "j", "username: j\n;", "ÅÉ"])
def test_letters_that_begin_before_their_place_are_whole(text):
    picture = noise(60, 40)
    ours, stamp = print_text(picture, text, Printing(protocol="paper", place="fixed"), stream(0))
    assert ours.tobytes() == as_the_paper(picture, text, stamp.x, stamp.y).tobytes()


def test_the_picture_given_is_left_as_it_is():
    for printing in (PAPER, Printing()):
        picture = noise()
        before = picture.tobytes()
        print_text(picture, TEXT, printing, stream(0))
        assert picture.tobytes() == before


def test_places_are_spread_over_all_the_room_there_is():
    picture = Image.new("RGB", (400, 300))
    stamps = [print_text(picture, TEXT, PAPER, stream(seed))[1] for seed in range(400)]
    room = picture.width - stamps[0].width
    xs = np.array([one.x for one in stamps])
    assert xs.min() < room * 0.05
    assert xs.max() > room * 0.95
    assert xs.max() <= room
    assert abs(xs.mean() - room / 2) < room / np.sqrt(12 * 400) * 4


def test_a_fixed_place_is_the_same_for_every_seed_and_text():
    printing = Printing(place="fixed")
    places = {
        (stamp.x, stamp.y)
        for seed, text in enumerate((TEXT, "a: b", "wider than any other: " + "m" * 10))
        for stamp in [print_text(noise(), text, printing, stream(seed))[1]]
    }
    assert len(places) == 1


def test_a_twin_stands_at_the_same_share_of_the_room():
    one = print_text(noise(), TEXT, Printing(), stream(3))[1]
    other = print_text(noise(), "username: Bo Li\nuser_id: 1", Printing(), stream(3))[1]
    assert one.x / (320 - one.width) == pytest.approx(other.x / (320 - other.width), abs=0.02)
    assert one.y / (240 - one.height) == pytest.approx(other.y / (240 - other.height), abs=0.02)


@pytest.mark.parametrize(("ground", "ink"), [(20, 255), (235, 0)])
def test_letters_are_light_on_dark_and_dark_on_light(ground, ink):
    picture = Image.new("RGB", (320, 240), (ground,) * 3)
    printed, stamp = print_text(picture, TEXT, Printing(height_share=0.08), stream(0))
    box = printed.crop((stamp.x, stamp.y, stamp.x + stamp.width, stamp.y + stamp.height))
    grey = np.asarray(box.convert("L"))
    assert (grey == ink).mean() > 0.05
    # The outline is of the other kind, and between letter and ground.
    assert (grey == 255 - ink).any()


def test_letters_and_outline_stand_on_the_same_lines():
    picture = Image.new("RGB", (320, 240), (128, 128, 127))
    many = "\n".join(["Hjgx"] * 6)
    printed, stamp = print_text(picture, many, Printing(place="fixed"), stream(0))
    rows = np.asarray(printed.convert("L")).astype(int)[stamp.y : stamp.y + stamp.height]
    dark, light = (rows < 60).any(axis=1), (rows > 200).any(axis=1)
    # Every row with ink has the rim beside it: with lines set apart, the last ones had none.
    assert (dark <= light).all() or (light <= dark).all()


def test_letters_grow_with_the_picture_in_audit_and_not_in_paper():
    for printing, ratio in ((Printing(), 2.0), (PAPER, 1.0)):
        small = print_text(Image.new("RGB", (336, 336)), TEXT, printing, stream(0))[1]
        large = print_text(Image.new("RGB", (672, 672)), TEXT, printing, stream(0))[1]
        assert large.width / small.width == pytest.approx(ratio, rel=0.06)


def test_what_does_not_fit_is_refused_with_the_size_that_would():
    picture = Image.new("RGB", (96, 96))
    printing = Printing(height_share=0.3)
    with pytest.raises(InputError, match=r"pixels, and the picture 96 x 96: letters of 0\.\d+"):
        print_text(picture, TEXT, printing, stream(0))
    share = fitting_share([TEXT], (96, 96), printing)
    print_text(picture, TEXT, with_share(printing, share), stream(0))
    with pytest.raises(InputError, match="--protocol audit"):
        print_text(picture, TEXT, PAPER, stream(0))
    with pytest.raises(InputError, match="larger pictures"):
        print_text(Image.new("RGB", (20, 20)), TEXT, Printing(height_share=0.9), stream(0))


def test_whether_the_papers_text_fits():
    assert fitting_share([TEXT], (64, 64), PAPER) == 0
    assert fitting_share([TEXT], (320, 240), PAPER) > 0


def test_the_widest_text_is_kept():
    texts = ["a: b", "a: " + "m" * 30, "a: c", "a\nb\nc\nd"]
    assert set(widest(texts)) == {texts[1], texts[3]}


def test_only_small_pictures_are_enlarged():
    assert enlarged(Image.new("RGB", (64, 32)), 336).size == (336, 168)
    large = Image.new("RGB", (640, 480))
    assert enlarged(large, 336) is large


def test_a_way_of_printing_survives_being_written():
    for printing in (PAPER, Printing(place="fixed", input_side=64, height_share=0.1)):
        assert Printing.from_dict(printing.to_dict()) == printing


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "print"},
        {"place": 3},
        {"input_side": "336"},
        {"height_share": -1},
        {"height_share": True},
        {"colour": "red"},
    ],
)
def test_what_is_no_way_of_printing_is_refused(change):
    with pytest.raises(InputError, match="no way of printing"):
        Printing.from_dict({**Printing().to_dict(), **change})


class Reader:
    """Reads what it is told."""

    name = "told"

    def __init__(self, text):
        self.text = text
        self.sizes = []

    def read(self, picture):
        self.sizes.append(picture.shape[:2])
        return [Line(self.text, ((0.0, 0.0),) * 4, 1.0)]


def test_reading_back_counts_values_at_the_models_size():
    reader = Reader("username: ADA  quill user_id: 99")
    values = {"username": "Ada Quill", "user_id": "1234567890"}
    legibility = read_back([(noise(640, 480), values)], reader, input_side=64)
    assert (legibility.pictures, legibility.values, legibility.read) == (1, 2, 1)
    assert reader.sizes == [(48, 64)]


def test_who_did_not_read_says_why():
    assert not_read("no reader").to_dict() == {
        "pictures": 0,
        "values": 0,
        "read": None,
        "reader": "",
        "why": "no reader",
    }
