"""A run whose files were damaged says so, or says the same as before: never something else.

One file of a finished run is damaged, mixed up with another, changed, removed or replaced by a
folder; then a command is run on it. tests/fuzzing.py says how a case is run again.
"""

import io
import json
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmaudit.cli import app
from vlmaudit.report.views import view
from vlmaudit.results.blocks import BlockStore, Part
from vlmaudit.results.files import write_text

fuzzing = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "fuzzing.py")))
pick = fuzzing.pick
SHORT, LONG = 60, 1200

PEOPLE, CONTROLS, NAMES = 4, 20, 200
"""As many controls and names as a test of face against name needs."""


def paint(folder, number):
    folder.mkdir(parents=True)
    for place in range(2):
        picture = Image.new("RGB", (6, 6), (number, place, 7))
        picture.paste((number, 100, 50), (2, 2, 5, 5))
        picture.save(folder / f"{place}.png")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A report of words alone, for charts take a second; no measuring of speed."""
    monkeypatch.setattr("vlmaudit.report.html.write_report", in_words)
    monkeypatch.setattr("vlmaudit.models.self_test.per_second", lambda *_, **__: 1000.0)


def in_words(finding, out, **_):
    """All that a report says, without its page."""
    view(finding)
    write_text(out / "report.html", "")
    return out / "report.html"


def build(root):
    """A study with everything that a run can hold: a planted design, notices, an open block."""
    rows, planted = [], []
    for number in range(PEOPLE):
        paint(root / "people" / f"p{number}", number)
        rows.append(f"p{number},Person Number{number},female,en_US,{30 * (number < 2)}")
        arm = {"arm": "paired", "dose": 4} if number < 2 else {"arm": "never", "dose": 0}
        planted.append({"identity": f"p{number}", "stratum": "female, en_US", **arm})
    table = "\n".join(["identity,name,sex,origin,occurrences", *rows])
    (root / "people" / "people.csv").write_text(table)
    rows = []
    for number in range(CONTROLS):
        paint(root / "controls" / f"c{number}", 100 + number)
        rows.append(f"c{number},Nobody {number},female,en_US")
    table = "\n".join(["identity,name,sex,origin", *rows])
    (root / "controls" / "people.csv").write_text(table)
    shutil.copy(root / "people" / "p0" / "0.png", root / "people" / "p0" / "copy.png")
    (root / "people" / "p1" / "broken.png").write_bytes(b"no picture")
    told = {"people": {"#006432": "Person Number0", "#016432": "Person Number1"}}
    (root / "model.json").write_text(json.dumps(told))
    design = {"people": planted, "arms": {"never": 2, "paired 4": 2}, "seed": 0}
    (root / "planted.json").write_text(json.dumps(design))


def audit(root, out, *more):
    return [
        *("identity-inference", "--model", f"scripted:{root / 'model.json'}"),
        *("--people", root / "people", "--controls", root / "controls", "--out", out),
        *("--names", NAMES, "--paper-pool", NAMES, "--max-failures", 0.2, *more),
    ]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    build(root)
    done = invoke(*audit(root, root / "run"))
    assert done.exit_code == 0, done.output
    return root


# What is damaged, and how.


def files_of(run):
    return sorted(path for path in run.rglob("*") if path.is_file() and path.suffix != ".lock")


def changed_table(rng, data):
    """A sound table with other content, as a hand or a program would leave it."""
    table = pl.read_parquet(io.BytesIO(data))
    column = pick(rng, table.columns)
    match int(rng.integers(8)):
        case 0:
            table = table.drop(column)
        case 1:
            table = table.head(int(rng.integers(len(table) + 1)))
        case 2:
            table = pl.concat([table, table.sample(1, seed=0)])
        case 3:
            table = table.rename({column: "strange"})
        case 4:
            table = table.with_columns(pl.lit(None).alias(column))
        case 5:
            table = table.with_columns(pl.lit(pick(rng, ["", "x", 7, 1.5, b"x"])).alias(column))
        case 6:
            table = table.with_columns(pl.col(column).reverse())
        case _:
            table = table.with_columns(pl.lit(1).alias("more"))
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


def changed_array(rng, data):
    array = np.load(io.BytesIO(data))
    other = [
        lambda: array[1:],
        lambda: array[:, 1:],
        lambda: array[..., :3],
        lambda: array.reshape(-1),
        lambda: array.astype(np.float64),
        lambda: array.astype("<U3"),
        lambda: np.asfortranarray(array),
        lambda: array[::-1],
        lambda: np.full_like(array, np.nan),
        lambda: np.array([{"a": 1}], dtype=object),
        lambda: np.float32(3),
        lambda: array * np.float32(1.01),
    ]
    file = io.BytesIO()
    np.save(file, pick(rng, other)(), allow_pickle=True)
    return file.getvalue()


def changed(rng, path):
    """The file's content in its own form, but not as it was."""
    data = path.read_bytes()
    match path.suffix:
        case ".parquet":
            return changed_table(rng, data)
        case ".npy":
            return changed_array(rng, data)
        case ".json":
            return json.dumps(fuzzing.changed_json(rng, json.loads(data))).encode()
        case _:
            return fuzzing.damaged(rng, data)


def damage(rng, run):
    """Damage one file; which."""
    path = pick(rng, files_of(run))
    others = [other for other in files_of(run) if other.suffix == path.suffix]
    match int(rng.integers(12)):
        case 0:
            path.unlink()
        case 1:
            path.unlink()
            path.mkdir()
        case 2:
            path.write_bytes(pick(rng, others).read_bytes())
        case 3 | 4 | 5 | 6:
            path.write_bytes(changed(rng, path))
        case _:
            path.write_bytes(
                fuzzing.damaged(rng, path.read_bytes(), pick(rng, others).read_bytes())
            )
    return path.relative_to(run)


def in_flight(rng, run):
    """Make a block one that was stopped at, as a kill leaves it."""
    first = min(run.glob("private/blocks/*.parquet"))
    table = pl.read_parquet(first)
    first.unlink()
    columns = {"embedding": table.schema["embedding"]}
    part = Part(int(first.stem), 0, tuple(table["case"]))
    with BlockStore(run / "private").claim(part, columns) as claim:
        for start in range(0, int(rng.integers(1, len(table))), 8):
            claim.add(table[start : start + 8], "before")


CONCLUDE, CONTINUE = "conclude", "continue"
COMMANDS = {
    CONCLUDE: lambda world, run: ["conclude", run],
    CONTINUE: audit,
    "report": lambda world, run: ["report", run],
    "status": lambda world, run: ["status", run],
    "status for programs": lambda world, run: ["status", run, "--json"],
    "reuse": lambda world, run: audit(world, run.with_name("other"), "--reuse", run),
}


def damaged_case(rng, folder, world):
    """Gives the file that was damaged, what is done then, and the arguments of the command."""
    run = folder / "run"
    shutil.copytree(world / "run", run)
    name = pick(rng, [CONCLUDE, CONCLUDE, CONTINUE, CONTINUE, *COMMANDS])
    if name not in {CONCLUDE, "reuse"} and rng.random() < 0.3:
        in_flight(rng, run)
    what = damage(rng, run)
    return what, name, COMMANDS[name](world, run)


def same_or_said(run, what, before, exit_code):
    """The finding is the one there was, or says itself that it is another."""
    now = json.loads((run / "finding.json").read_text())
    if what.name == "manifest.json":  # which model it was and how answers are read stand there
        before = {**before, "model": now["model"], "settings": now["settings"]}
        if now["settings"] != before["settings"]:
            return
    if now != before:
        # A block that is gone is not asked anew by a conclusion: its pictures are failures.
        assert what.parent.name == "blocks", what
        assert now["failures"]["failed"] > before["failures"]["failed"]
        assert "not asked yet" in now["failures"]["reasons"]
        assert exit_code == 4


def damaged_runs(first, end, world, root):
    before = json.loads((world / "run" / "finding.json").read_text())
    for number, rng, folder in fuzzing.cases("damaged run", first, end, root):
        with fuzzing.reproducible("damaged run", number):
            what, name, arguments = damaged_case(rng, folder, world)
            done = invoke(*arguments)
            fuzzing.assert_end(done, is_json="--json" in arguments)
            assert done.exit_code != 2
            if done.exit_code != 3 and name in {CONCLUDE, CONTINUE, "reuse"}:
                run = folder / ("other" if name == "reuse" else "run")
                same_or_said(run, what, before, done.exit_code)


def test_a_damaged_run_says_so_or_says_the_same(world, tmp_path):
    damaged_runs(0, SHORT, world, tmp_path)


@pytest.mark.prove
def test_a_damaged_run_says_so_or_says_the_same_thousands_of_times(world, tmp_path):
    damaged_runs(SHORT, LONG, world, tmp_path)
