"""Laws of printing and of dealing records to pictures."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from vlmaudit.data.albums import neutral_text
from vlmaudit.imaging.stamping import Printing, fitting_share, print_text, with_share
from vlmaudit.stats.album_arms import deal_doses, times_printed

LINES = st.lists(
    st.text(
        st.characters(codec="ascii", categories=["L", "N", "Zs", "P"]), min_size=1, max_size=14
    ),
    min_size=1,
    max_size=4,
).map("\n".join)
SEEDS = st.integers(0, 2**32 - 1)


def noise(width, height, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@given(text=LINES, width=st.integers(130, 220), height=st.integers(60, 120), seed=SEEDS)
def test_the_box_alone_gives_the_papers_pixels(text, width, height, seed):
    picture = noise(width, height, seed)
    printing = Printing(protocol="paper")
    ours, stamp = print_text(picture, text, printing, np.random.default_rng(seed))
    layer = Image.new("RGBA", picture.size, (255, 255, 255, 0))
    ImageDraw.Draw(layer).text(
        (stamp.x, stamp.y), text, font=ImageFont.load_default(), fill=(255, 255, 255, 128)
    )
    whole = Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")
    assert ours.tobytes() == whole.tobytes()


@given(text=LINES, width=st.integers(60, 300), height=st.integers(60, 300), seed=SEEDS)
def test_nothing_outside_the_stamp_changes(text, width, height, seed):
    picture = noise(width, height, seed)
    printing = Printing()
    printing = with_share(printing, fitting_share([text], picture.size, printing))
    printed, stamp = print_text(picture, text, printing, np.random.default_rng(seed))
    assert 0 <= stamp.x <= width - stamp.width
    assert 0 <= stamp.y <= height - stamp.height
    changed = (np.asarray(printed) != np.asarray(picture)).any(axis=2)
    changed[stamp.y : stamp.y + stamp.height, stamp.x : stamp.x + stamp.width] = False
    assert not changed.any()


@given(text=LINES, seed=SEEDS)
def test_a_neutral_text_has_the_same_signs_of_the_same_classes(text, seed):
    other = neutral_text(text, np.random.default_rng(seed))
    assert len(other) == len(text)
    for one, two in zip(text, other, strict=True):
        if one.isalnum():
            assert two != one
            assert (one.isdigit(), one.isupper()) == (two.isdigit(), two.isupper())
        else:
            assert two == one


@given(doses=st.lists(st.integers(1, 64), min_size=1, max_size=40), total=st.integers(0, 5000))
def test_times_keep_the_proportions_and_meet_the_sum(doses, total):
    times = times_printed(np.array(doses), total)
    assert times.sum() == total
    fair = np.array(doses) * total / sum(doses)
    assert (np.abs(times - fair) < 1).all()


@given(
    count=st.integers(0, 60), doses=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=SEEDS
)
def test_every_dose_is_dealt_as_often_to_within_one(count, doses, seed):
    dealt = deal_doses(count, tuple(dict.fromkeys(doses)), np.random.default_rng(seed))
    counts = [int((dealt == dose).sum()) for dose in dict.fromkeys(doses)]
    assert sum(counts) == count
    assert max(counts) - min(counts) <= 1
