"""Membership by picture as a user meets it: planted people are found, and nobody is absent."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vlmaudit.audits.name_counts.labels import with_counts
from vlmaudit.data.identities import read_people
from vlmaudit.seeds import stream

pytest.importorskip("cv2", reason="faces are cut by OpenCV")

pytestmark = pytest.mark.torch

PEOPLE, STRANGERS, CONTROLS, OWN, PLANTED = 12, 10, 40, 4, 2
SIDE, FACE, SQUARES = 96, 56, 7
TABLES = ("matches.parquet", "counts.csv", "unreadable.csv", "summary.json")


@dataclass(frozen=True)
class Planted:
    """People p00 to p11, of whom the even ones have two pictures each in a set with captions."""

    root: Path
    model: Path
    truth: frozenset[tuple[str, str]]

    def arguments(self, out, **options):
        given = {
            "pictures": self.root / "set" / "set.csv",
            "model": f"open_clip:{self.model}",
            "recogniser": f"onnx:{self.root / 'tiles.onnx'}",
            "controls": self.root / "controls",
            "faces": f"boxes:{self.root / 'boxes.csv'}",
            "out": out,
            **options,
        }
        named = [
            text
            for name, value in given.items()
            if value is not None
            for text in (f"--{name}", str(value))
        ]
        return ["images", "find", str(self.root / "people"), *named]


def photograph(number, place):
    """A face of seven by seven colours of its owner's, in a light of its own, and its box."""
    colours = stream(number, "face").integers(0, 256, (SQUARES, SQUARES, 3))
    face = colours.repeat(FACE // SQUARES, axis=0).repeat(FACE // SQUARES, axis=1)
    rng = stream(number, "picture", place)
    pixels = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(float)
    left, top = (int(value) for value in rng.integers(8, SIDE - FACE - 8, 2))
    light = rng.normal(0, 40, (SQUARES, SQUARES, 1))
    shown = face + light.repeat(FACE // SQUARES, axis=0).repeat(FACE // SQUARES, axis=1)
    pixels[top - 8 : top + FACE + 8, left - 8 : left + FACE + 8] = 128
    pixels[top : top + FACE, left : left + FACE] = shown
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return picture, (left, top, FACE, FACE)


def squares(path):
    """A face recogniser whose vector is the face itself, in squares of 8 pixels."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: no network can be built")
    from onnx import TensorProto, helper

    pool = {"kernel_shape": [8, 8], "strides": [8, 8]}
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["face"], ["small"], **pool),
            helper.make_node("Flatten", ["small"], ["vector"]),
        ],
        "squares",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, None])],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def write(path, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def planted(tmp_path_factory, tiny_open_clip):
    root = tmp_path_factory.mktemp("planted")
    boxes, captions, truth = [], [], set()

    def save(number, place, name, image):
        picture, box = photograph(number, place)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name)
        boxes.append((image, *box))

    for number in range(PEOPLE + STRANGERS):
        identity = f"p{number:02d}"
        if number < PEOPLE:
            for place in range(OWN):
                save(number, place, f"people/{identity}/{place}.png", f"{identity}/{place}.png")
        if number >= PEOPLE or number % 2 == 0:
            for place in range(OWN, OWN + PLANTED):
                image = f"web/{number * 7919 % 1000:03d}-{place}.png"
                save(number, place, f"set/{image}", image)
                captions.append((image, f"somebody on noise, {place}"))
                if number < PEOPLE:
                    truth.add((identity, image))
    for number in range(100, 100 + CONTROLS):
        for place in range(OWN):
            save(number, place, f"controls/c{number}/{place}.png", f"c{number}/{place}.png")
    (root / "set" / "web" / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    captions += [("web/corrupt.png", "damaged"), ("web/gone.png", "lost")]
    write(root / "set" / "set.csv", ("image", "caption"), *captions)
    write(root / "boxes.csv", ("image", "left", "top", "width", "height"), *boxes)
    squares(root / "tiles.onnx")
    return Planted(root, tiny_open_clip, frozenset(truth))


def test_planted_people_are_found_and_absent_ones_are_unknown(planted, run, tmp_path):
    out = tmp_path / "found"
    done = run(*planted.arguments(out))
    assert done.exit_code == 0, done.output
    matches = pl.read_parquet(out / "matches.parquet")
    verified = matches.filter(pl.col("verified")).select("identity", "image")
    assert set(verified.rows()) == planted.truth
    counts = pl.read_csv(out / "counts.csv")
    assert counts["pictures"].to_list() == [PLANTED, 0] * (PEOPLE // 2)
    assert counts["membership"].to_list() == ["member", "unknown"] * (PEOPLE // 2)
    assert all("known non-matches have" in rule for rule in counts["rule"])
    assert all(rule.endswith("not found is not absent") for rule in counts["rule"][1::2])
    rows = [line.split() for line in done.output.splitlines() if re.match(r"p\d\d ", line)]
    assert [row[:3] for row in rows] == [
        [f"p{number:02d}", str(PLANTED), "0"] for number in range(0, PEOPLE, 2)
    ]
    assert "People found: 6 of 12: 50.0 % (21.1 % to 78.9 %)" in done.output
    assert "Who is not found is unknown, not absent." in done.output
    # What could not be read is said, by a table of its own, and does not stop the rest.
    assert "2 pictures could not be read; see unreadable.csv." in done.output
    unreadable = pl.read_csv(out / "unreadable.csv")
    assert unreadable["image"].to_list() == ["web/corrupt.png", "web/gone.png"]
    assert unreadable["reason"].null_count() == 0


def test_audits_take_its_labels(planted, run, tmp_path):
    out = tmp_path / "found"
    assert run(*planted.arguments(out)).exit_code == 0
    people = with_counts(read_people(planted.root / "people"), out / "counts.csv")
    assert [person.membership for person in people.persons] == ["member", ""] * (PEOPLE // 2)
    assert [person.occurrences for person in people.persons] == [None] * PEOPLE
    rule = pl.read_csv(out / "counts.csv")["rule"][0]
    assert people.notices[-1].endswith(
        f'as counts.csv states, with a rule for each, such as "{rule}".'
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pictures": "HERE/EMPTY"}, "no picture in it"),
        ({"pictures": "HERE/none"}, "no such file or folder"),
        ({"pictures": "HERE/BROKEN"}, "none of its pictures can be read"),
        ({"recogniser": "onnx:HERE/none"}, "no such file; give a face recogniser in ONNX"),
        ({"recogniser": "classifier:HERE"}, "make one with vlmaudit images train-recogniser"),
        ({"recogniser": "clasifier:x"}, "classifier:FOLDER. Did you mean classifier?"),
        ({"recogniser": "onnx"}, "wanted onnx:FILE, dlib or classifier:FOLDER"),
        ({"faces": "boxes:HERE/OTHERS.csv"}, "no face was found in any picture of the people"),
        ({"limit": 0}, "--limit 0: wanted 1 or more people"),
        ({"limit": 2, "controls": None}, "8 comparisons of faces with people whose they are not"),
        ({"candidates": "0"}, "--candidates 0: wanted 1 or more"),
        ({"batch-size": "none"}, "--batch-size none: wanted a number from 1, or auto"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(planted, run, tmp_path, options, said):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "BROKEN").mkdir()
    (tmp_path / "BROKEN" / "a.png").write_bytes(b"no picture")
    others = [("image", "left", "top", "width", "height"), ("other.png", 1, 1, 9, 9)]
    write(tmp_path / "OTHERS.csv", *others)
    placed = {
        name: value.replace("HERE", str(tmp_path)) if isinstance(value, str) else value
        for name, value in options.items()
    }
    done = run(*planted.arguments(tmp_path / "found", **placed))
    assert done.exit_code == 3, done.output
    assert said in done.output
    assert [line.startswith("error: ") for line in done.stderr.splitlines()].count(True) == 1
    assert "Traceback" not in done.output
    assert not (tmp_path / "found" / "counts.csv").exists()


@pytest.mark.process
def test_a_search_that_is_killed_goes_on_to_the_same_tables(planted, run, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    given = sorted((planted.root / "set" / "web").glob("*.png"))
    for turn in range(16):
        for picture in given:
            (folder / f"{turn:02d}-{picture.name}").hardlink_to(picture)
    options = {"pictures": folder, "candidates": 3}
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert run(*planted.arguments(whole, **options)).exit_code == 0
    command = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]
    search = subprocess.Popen(
        [*command, *planted.arguments(out, **options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    journal = out / "embeddings" / "set" / "embedded.jsonl"
    until = time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < until:
        time.sleep(0.002)
    search.send_signal(signal.SIGKILL)
    assert search.wait() == -signal.SIGKILL
    n_batches = -(-16 * len(given) // 64)
    kept = journal.read_bytes()
    assert 1 <= len(kept.splitlines()) < n_batches
    assert not (out / "counts.csv").exists()
    done = run(*planted.arguments(out, **options))
    assert done.exit_code == 0, done.output
    assert journal.read_bytes().startswith(kept)  # no picture was embedded again
    for name in TABLES:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_recogniser_is_trained_and_used(planted, run, tmp_path):
    trained = tmp_path / "recogniser"
    done = run(
        *("images", "train-recogniser", planted.root / "people", "--out", trained),
        *("--faces", f"boxes:{planted.root / 'boxes.csv'}", "--architecture", "resnet18"),
        *("--steps", 2, "--device", "auto"),
    )
    assert done.exit_code == 0, done.output
    assert "of 12 pictures held out are given to their person" in done.output
    assert "Of strangers this says nothing." in done.output
    out = tmp_path / "found"
    options = {"recogniser": f"classifier:{trained}", "candidates": 2, "device": "auto"}
    done = run(*planted.arguments(out, **options))
    assert done.exit_code == 0, done.output
    counts = pl.read_csv(out / "counts.csv")
    assert set(counts["membership"]) <= {"member", "unknown"}
    # Only the held-out picture of everybody is a known non-match: the others were learnt by heart.
    told = f"of {PEOPLE * (PEOPLE - 1) + CONTROLS * OWN * PEOPLE:,} known non-matches have"
    assert all(told in rule for rule in counts["rule"])
