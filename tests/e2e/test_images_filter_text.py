"""The OCR filter as a user meets it, on drawn text, with the real reader."""

import csv

import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageFont

from vlmaudit.data.identities import read_people

ADA, ZOE = "Ada Lovelace", "Zoë Šimić"


def written(text, *, turn=0, size=28):
    picture = Image.new("RGB", (360, 360), "#e8e4da")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((120, 90, 240, 230), fill="#c08a6a")
    pen.text((40, 280), text, fill="black", font=ImageFont.load_default(size))
    return picture.rotate(turn)


@pytest.fixture
def people(tmp_path):
    root = tmp_path / "people"
    shown = {
        "Ada_Lovelace": {
            "plain": written(""),
            "jersey": written("LOVELACE 7"),
            "other": written("Grace Hopper"),
            "turned": written("Lovelace", turn=90),
        },
        "Zoe_Simic": {"only": written("Z. SIMIC")},
    }
    for folder, pictures in shown.items():
        (root / folder).mkdir(parents=True)
        for name, picture in pictures.items():
            exif = Image.Exif()
            exif[0x010E] = "Ada Lovelace in London"
            picture.save(root / folder / f"{name}.jpg", exif=exif, quality=95)
    (root / "Ada_Lovelace" / "broken.jpg").write_bytes(b"nothing")
    with (root / "people.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("identity", "folder", "name"))
        rows.writerow(("ada", "Ada_Lovelace", ADA))
        rows.writerow(("zoe", "Zoe_Simic", ZOE))
    return root


def dropped(out):
    table = pl.read_csv(out / "dropped.csv")
    return {row["image"]: row for row in table.iter_rows(named=True)}


def test_pictures_that_give_the_name_away_are_left_out(people, run, tmp_path):
    out = tmp_path / "FILTERED"
    done = run("images", "filter-text", people, "--out", out)
    assert done.exit_code == 0, done.output
    rows = dropped(out)
    assert set(rows) == {
        "Ada_Lovelace/jersey.jpg",
        "Ada_Lovelace/turned.jpg",
        "Ada_Lovelace/broken.jpg",
        "Zoe_Simic/only.jpg",
    }
    assert rows["Ada_Lovelace/jersey.jpg"]["read"] == "LOVELACE 7"
    assert rows["Ada_Lovelace/broken.jpg"]["became"] == "unreadable"
    assert "No picture is left of: zoe" in done.output
    kept = sorted((out / "Ada_Lovelace").iterdir())
    assert len(kept) == 2
    for file in kept:
        assert file.stem.isdigit()
        with Image.open(file) as picture:
            assert not picture.getexif()
            assert "exif" not in picture.info
    # A folder of people again, with her of whom nothing is left.
    again = read_people(out)
    assert [person.name for person in again.persons] == [ADA, ZOE]
    assert [len(again.pictures[identity]) for identity in ("ada", "zoe")] == [2, 0]


def test_the_first_people_alone_are_a_folder_of_people(people, run, tmp_path):
    out = tmp_path / "FIRST"
    assert run("images", "filter-text", people, "--out", out, "--limit", "1").exit_code == 0
    assert [person.name for person in read_people(out).persons] == [ADA]


def test_another_rule_is_not_mixed_into_the_folder_of_the_first(people, run, tmp_path):
    out = tmp_path / "FILTERED"
    assert run("images", "filter-text", people, "--out", out, "--rule", "paper").exit_code == 0
    before = sorted(out.rglob("*.png"))
    # The stricter rule would drop what the other has left there.
    done = run("images", "filter-text", people, "--out", out)
    assert done.exit_code == 3
    assert "another rule or reader" in done.output
    written("").save(people / "Ada_Lovelace" / "a_new_one.png")
    done = run("images", "filter-text", people, "--out", out, "--rule", "paper")
    assert done.exit_code == 3
    assert sorted(out.rglob("*.png")) == before


def test_the_same_command_goes_on_where_it_was_killed(people, run, tmp_path):
    out = tmp_path / "FILTERED"
    assert run("images", "filter-text", people, "--out", out).exit_code == 0
    before = {file: file.read_bytes() for file in out.rglob("*.*")}
    (out / "dropped.csv").unlink()
    max(out.rglob("*.png")).unlink()
    assert run("images", "filter-text", people, "--out", out).exit_code == 0
    assert {file: file.read_bytes() for file in out.rglob("*.*")} == before


def test_it_is_not_written_among_the_people(people, run):
    done = run("images", "filter-text", people, "--out", people / "FILTERED")
    assert done.exit_code == 3
    assert "lies in the folder of people" in done.output
    assert not (people / "FILTERED").exists()


def test_the_papers_rule_misses_what_it_misses(people, run, tmp_path):
    out = tmp_path / "FILTERED"
    assert run("images", "filter-text", people, "--out", out, "--rule", "paper").exit_code == 0
    rows = dropped(out)
    assert rows["Ada_Lovelace/jersey.jpg"]["part"] == "lovel"
    # Its name has accents, which a jersey has not.
    assert "Zoe_Simic/only.jpg" not in rows


def test_text_is_painted_over_where_that_is_asked_for(people, run, tmp_path):
    out = tmp_path / "PAINTED"
    done = run("images", "filter-text", people, "--out", out, "--inpaint")
    assert done.exit_code == 0, done.output
    assert dropped(out)["Ada_Lovelace/jersey.jpg"]["became"] == "painted over"
    assert len(list((out / "Ada_Lovelace").iterdir())) == 4
    # What is painted over cannot be read again.
    twice = tmp_path / "TWICE"
    assert run("images", "filter-text", out, "--out", twice).exit_code == 0
    assert not dropped(twice)


def test_it_is_not_written_over_something_else(people, run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    done = run("images", "filter-text", people, "--out", tmp_path / "full")
    assert done.exit_code == 3
    assert "holds something else" in done.output


@pytest.mark.parametrize("reader", ["tesseract", "easyocr"])
def test_a_reader_that_is_not_there_is_said(people, run, tmp_path, reader):
    done = run("images", "filter-text", people, "--out", tmp_path / "X", "--reader", reader)
    assert done.exit_code == 3
    assert "wanted rapidocr or easyocr:FOLDER" in done.output
