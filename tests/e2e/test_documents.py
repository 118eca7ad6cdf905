"""The commands in the documents work, word for word, and files hold what the documents say."""

import csv
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from vlmaudit.data.candidates import draw_names
from vlmaudit.data.identities import TABLE_COLUMNS
from vlmaudit.data.templates import IDIA_TEMPLATES
from vlmaudit.results.outcomes import COMMON
from vlmaudit.seeds import stream

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Where a document has the reader's own model, the test has one that knows whom it is told.
READERS_MODEL = "open_clip:ViT-B-16/laion400m_e32"
STEP = re.compile(
    r"^```console(?P<info>[^\n]*)\n(?P<commands>.*?)^```$|<!-- by hand: .*? -->", re.M | re.S
)


@dataclass(frozen=True)
class Step:
    """Commands that a document shows, or what its reader is asked to do by hand."""

    place: str
    commands: str
    needs: str


def steps(document):
    text = document.read_text(encoding="utf-8")
    name = document.relative_to(ROOT).as_posix()
    for found in STEP.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
        info = found["info"] or ""
        assert re.fullmatch(r"|\s*|\s+needs=[a-z,]+", info), f"{place}: {info}"
        yield Step(place, found["commands"] or "", info.partition("needs=")[2])


FENCES = [step for document in DOCUMENTS for step in steps(document) if step.commands]
WITH_COMMANDS = [
    document
    for document in DOCUMENTS
    if any(step.commands and not step.needs for step in steps(document))
]


@pytest.fixture
def readers_folder(build_study, tmp_path):
    """A clone's folder with a reader's people; the tables are not filled in yet."""
    study = build_study(tmp_path / "study", people=12, known=5, controls=20, pictures=2)
    folder = tmp_path / "clone"
    for ours, theirs in ((study.people, "People"), (study.controls, "Others")):
        with (ours / "people.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            named = row["name"].replace(" ", "_")
            (folder / theirs).mkdir(parents=True, exist_ok=True)
            (ours / row["identity"]).rename(folder / theirs / named)
            row["identity"] = named
        write_table(tmp_path / f"{theirs}.csv", rows)
    write_votes(folder, tmp_path / "People.csv")
    stand_in(folder / ".venv" / "bin" / "vlmaudit", study.model)
    return folder


def by_hand(folder):
    """What a reader does in an editor: the tables say who is who."""
    for name in ("People", "Others"):
        (folder / name / "people.csv").write_text((folder.parent / f"{name}.csv").read_text())


def write_table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def write_votes(folder, people):
    """votes.csv, people.csv and names.csv, as they might come from another framework."""
    (folder / "people.csv").write_text(people.read_text())
    with people.open(encoding="utf-8", newline="") as file:
        persons = list(csv.DictReader(file))
    own = [person["name"] for person in persons]
    rng = stream(3, "votes")
    decoys = draw_names(200, sex="female", origin="en_US", rng=rng, exclude=own)
    names = [{"name": name, "sex": "female", "origin": "en_US"} for name in (*own, *decoys)]
    write_table(folder / "names.csv", names)
    write_table(
        folder / "votes.csv",
        [
            {
                "identity": person["identity"],
                "image": f"{place}.jpg",
                "template": template,
                "predicted": person["name"]
                if person["membership"] == "member"
                else decoys[int(rng.integers(len(decoys)))],
            }
            for person in persons
            for place in range(2)
            for template in IDIA_TEMPLATES[:5]
        ],
    )


def stand_in(program, model):
    """The command line of this environment, which takes the reader's model for ours."""
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from vlmaudit.cli import main\n"
        f"sys.argv = [{model!r} if each == {READERS_MODEL!r} else each for each in sys.argv]\n"
        "main()\n"
    )
    program.chmod(0o755)


@pytest.mark.process
@pytest.mark.parametrize("document", WITH_COMMANDS, ids=lambda path: path.name)
def test_the_commands_of_a_document_work(document, readers_folder):
    shown = list(steps(document))
    if all(step.commands for step in shown):  # it does not say when the tables are filled in
        by_hand(readers_folder)
    home = readers_folder.parent / "home"
    kept = {"HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
    for step in shown:
        if not step.commands:
            by_hand(readers_folder)
        elif not step.needs:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", step.commands],
                cwd=readers_folder,
                env=os.environ | kept,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, f"{step.place}\n{done.stdout}\n{done.stderr}"
    page = (readers_folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "Lovelace" not in page  # our people, and not the document's example
    for file in readers_folder.glob("to-hand-on/*.*"):
        assert not any(
            name in file.read_text(encoding="utf-8") for name in names_in(readers_folder)
        )
    for heading in headings_named(document):
        assert re.search(rf"<h2[^>]*>{re.escape(heading)}</h2>", page), heading


def names_in(folder):
    with (folder / "People" / "people.csv").open(encoding="utf-8", newline="") as file:
        return [row["name"] for row in csv.DictReader(file)]


def headings_named(document):
    """The parts of the report that a document tells its reader to look at."""
    _, _, after = document.read_text(encoding="utf-8").partition("## 6. Read the page")
    told = re.findall(r"^\d+\. \*\*([^*]+)\*\*", after.partition("\n## ")[0], re.M)
    return [heading.removesuffix(".") for heading in told[1:]]


@pytest.mark.parametrize(
    "step", [step for step in FENCES if step.needs], ids=lambda step: step.place
)
def test_commands_that_are_not_run_here(step):
    """Nothing is proved: the list of what was skipped is what pytest prints at the end."""
    pytest.skip(f"{step.place} needs {step.needs}: {step.commands.strip().splitlines()[0]}")


def test_what_newcomers_do_first_is_run():
    assert {document.name for document in WITH_COMMANDS} >= {"README.md", "quickstart.md"}
    assert sum(not step.needs for step in FENCES) >= 7


# Tables of columns in docs/reference/files.md, against files that were really written.


def columns_told(section):
    """First cells of the tables under a heading."""
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    _, _, after = text.partition(f"\n### {section}\n")
    assert after, section
    return re.findall(r"^\| `([^`]+)` \|", re.split(r"^#{2,3} ", after, flags=re.M)[0], re.M)


def test_columns_of_tables_are_as_told(build_study, run, tmp_path):
    study = build_study(tmp_path, people=6, known=2, controls=20, pictures=1)
    table = study.people / "people.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines = [f"{lines[0]},age", *(f"{line},{30 + place}" for place, line in enumerate(lines[1:]))]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run(*study.arguments(tmp_path / "run")).exit_code == 0
    columns = {
        path.name: pl.read_parquet_schema(path).names()
        for path in tmp_path.glob("run/**/*.parquet")
    }
    assert columns["units.parquet"] == [*columns_told("units.parquet"), "covariate: age"]
    assert columns["outcomes.parquet"] == columns_told("outcomes.parquet")
    common = columns_told("Tables of outcomes")
    assert common == list(COMMON)
    assert columns["000000.parquet"] == [*common, "embedding"]
    assert columns["votes.parquet"] == ["identity", "image", "template", "predicted"]
    assert columns_told("people.csv") == list(TABLE_COLUMNS)
    told = re.findall(r"\b[\w-]+\.(?:json|parquet|npy|html)\b", run_files_told())
    written = {path.name for path in tmp_path.glob("run/**/*") if path.is_file()}
    ours = {name for name in written if not re.match(r"\d{6}|.*\.(lock|svg|pdf)", name)}
    assert ours <= set(told)


def run_files_told():
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    return text.partition("\n## A run\n")[2].partition("\n### ")[0]
