"""A small study of coloured squares, and the command line as a user meets it."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmaudit.cli import app
from vlmaudit.data.candidates import draw_names
from vlmaudit.seeds import stream

PICTURES = 5


@dataclass(frozen=True)
class Study:
    """People whose face is the colour in the middle of their pictures."""

    root: Path
    people: Path
    controls: Path
    model: str
    known: frozenset[str]

    def arguments(self, out: Path, *more: str) -> list[str]:
        return [
            *("identity-inference", "--model", self.model, "--people", str(self.people)),
            *("--controls", str(self.controls), "--out", str(out), "--names", "300"),
            *("--paper-pool", "300", *more),
        ]


def colour(number):
    """A face of its own for every number."""
    return (number % 256, 100 + number // 256, 50)


def photograph(folder, number, *, count=PICTURES):
    folder.mkdir(parents=True)
    rng = stream(number, "noise")
    for place in range(count):
        pixels = rng.integers(0, 256, (12, 12, 3), np.uint8)
        pixels[5:7, 5:7] = colour(number)
        Image.fromarray(pixels).save(folder / f"{place}.png")


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def build(root, *, people=24, known=8, controls=60, pictures=PICTURES, **options):
    """Every third person is known to the model, and the table says who should be."""
    names = draw_names(people, sex="female", origin="en_US", rng=stream(5, "people"))
    rows = [("identity", "name", "sex", "origin", "membership", "occurrences")]
    told = {}
    for number, name in enumerate(names):
        identity = f"p{number:02d}"
        photograph(root / "people" / identity, number, count=pictures)
        is_known = number % 3 == 0 and len(told) < known
        if is_known:
            told["#{:02x}{:02x}{:02x}".format(*colour(number))] = name
        membership = "member" if is_known else "non_member"
        rows.append((identity, name, "female", "en_US", membership, 30 * is_known))
    write_table(root / "people" / "people.csv", rows)
    others = [("identity", "name", "sex", "origin")]
    for number in range(controls):
        photograph(root / "controls" / f"c{number:02d}", 1000 + number, count=pictures)
        others.append((f"c{number:02d}", f"Nobody {number}", "female", "en_US"))
    write_table(root / "controls" / "people.csv", others)
    (root / "model.json").write_text(json.dumps({"people": told, **options}))
    members = frozenset(row[0] for row in rows[1:] if row[4] == "member")
    spec = f"scripted:{root / 'model.json'}"
    return Study(root, root / "people", root / "controls", spec, members)


@pytest.fixture
def study(tmp_path):
    return build(tmp_path)


@pytest.fixture(scope="session")
def _once(tmp_path_factory):
    root = tmp_path_factory.mktemp("once")
    study = build(root / "study")
    done = CliRunner().invoke(app, study.arguments(root / "run"))
    return study, root, done


@pytest.fixture
def finished(_once, tmp_path):
    """A study whose run is through, to read or to go on with: study, run folder, what was said."""
    study, root, done = _once
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    here = tmp_path / "study"
    spec = f"scripted:{here / 'model.json'}"
    mine = Study(here, here / "people", here / "controls", spec, study.known)
    return mine, tmp_path / "run", done


@pytest.fixture(scope="session")
def build_study():
    return build


@pytest.fixture(scope="session")
def build_large():
    """A study of 1,570 pictures."""
    return lambda root: build(root, controls=290)


@pytest.fixture(scope="session")
def run():
    """Run the command line in this process; gives exit code, stdout and stderr."""

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke
