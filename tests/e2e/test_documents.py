"""The commands in the documents work, word for word, and files hold what the documents say."""

import csv
import json
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
from vlmaudit.data.prompts import PROMPTS
from vlmaudit.data.templates import IDIA_TEMPLATES
from vlmaudit.results.outcomes import COMMON
from vlmaudit.seeds import stream

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Where a document has the reader's own models, the test has some that know whom they are told.
READERS_MODEL = "open_clip:ViT-B-16/laion400m_e32"
WHO_ANSWERS = "hf:llava-hf/llava-1.5-7b-hf"
ANOTHER = "hf:Qwen/Qwen2.5-VL-7B-Instruct"
# Runs whose pages documents make, and where the quickstart says what is on them.
PAGES = {"run": "\n## 6. Read the page\n", "leakage": "**Read its page.**"}
PAGES_MADE = {"name-counts.md": ("run",)}
FILL_IN, JUDGE = "fill in the tables", "judge answers"
STEP = re.compile(
    r"^```console(?P<info>[^\n]*)\n(?P<commands>.*?)^```$|<!-- by hand: (?P<hand>.*?) -->",
    re.M | re.S,
)


@dataclass(frozen=True)
class Step:
    """Commands that a document shows, or what its reader is asked to do by hand."""

    place: str
    commands: str
    needs: str
    by_hand: str


def steps(document):
    text = document.read_text(encoding="utf-8")
    name = document.relative_to(ROOT).as_posix()
    for found in STEP.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
        info = found["info"] or ""
        assert re.fullmatch(r"|\s*|\s+needs=[a-z,]+", info), f"{place}: {info}"
        assert found["hand"] in {None, FILL_IN, JUDGE}, f"{place}: {found['hand']}"
        yield Step(place, found["commands"] or "", info.partition("needs=")[2], found["hand"] or "")


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
    write_answers(folder)
    write_captions(folder / "captions", tmp_path / "People.csv")
    known = json.loads((tmp_path / "study" / "model.json").read_text())["people"]
    models = {
        READERS_MODEL: study.model,
        WHO_ANSWERS: speaker(tmp_path / "says.json", known),
        ANOTHER: speaker(tmp_path / "silent.json", {}),
    }
    stand_in(folder / ".venv" / "bin" / "vlmaudit", models)
    return folder


def speaker(file, known):
    """A model that says who it is where that is asked, of faces by their colour."""
    rules = [
        {"face": face, "prompt": "Who", "answer": f"This is {name}."}
        for face, name in known.items()
    ]
    likely = {face: {name: 12.0} for face, name in known.items()}
    file.write_text(json.dumps({"rules": rules, "likelihoods": likely}))
    return f"scripted:{file}"


def fill_in(folder):
    """What a reader does in an editor: the tables say who is who."""
    for name in ("People", "Others"):
        (folder / name / "people.csv").write_text((folder.parent / f"{name}.csv").read_text())


def judge(folder):
    """What a reader does in an editor: the upper half of the sheet is judged."""
    sheet = folder / "leakage" / "private" / "labels.csv"
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[: len(rows) // 2]:
        row["leaks"] = "yes" if row["name"] in row["answer"] else "no"
    write_table(sheet, rows)


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


def write_answers(folder):
    """answers.csv of the people in people.csv, every third of whom is named."""
    with (folder / "people.csv").open(encoding="utf-8", newline="") as file:
        people = list(csv.DictReader(file))
    write_table(
        folder / "answers.csv",
        [
            {
                "identity": one["identity"],
                "image": "0.jpg",
                "condition": "original",
                "prompt": prompt,
                "answer": "A person." if place % 3 else f"This is {one['name']}.",
            }
            for place, one in enumerate(people)
            for prompt in PROMPTS
        ],
    )


def write_captions(folder, people):
    """Two files of captions, which name every other person of the table."""
    folder.mkdir()
    with people.open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    for number in range(2):
        lines = [f"{name} waves to the crowd" for name in names[::2][number::2]]
        (folder / f"{number}.txt").write_text("\n".join(["a dog on a beach", *lines]) + "\n")


def stand_in(program, models):
    """The command line of this environment, which takes the reader's models for ours."""
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from vlmaudit.cli import main\n"
        "if __name__ == '__main__':  # processes that count names begin by running this, too\n"
        f"    sys.argv = [{models!r}.get(each, each) for each in sys.argv]\n"
        "    main()\n"
    )
    program.chmod(0o755)


@pytest.mark.process
@pytest.mark.parametrize("document", WITH_COMMANDS, ids=lambda path: path.name)
def test_the_commands_of_a_document_work(document, readers_folder):
    shown = list(steps(document))
    if not any(step.by_hand == FILL_IN for step in shown):  # it does not say when that is done
        fill_in(readers_folder)
    home = readers_folder.parent / "home"
    kept = {"HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
    for step in shown:
        if step.by_hand:
            {FILL_IN: fill_in, JUDGE: judge}[step.by_hand](readers_folder)
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
    for run in PAGES_MADE.get(document.name, tuple(PAGES)):
        section = PAGES[run]
        page = (readers_folder / run / "report.html").read_text(encoding="utf-8")
        assert "Lovelace" not in page  # our people, and not the document's example
        for heading in headings_named(document, section):
            assert re.search(rf"<h2[^>]*>{re.escape(heading)}</h2>", page), heading
    if any(step.by_hand == JUDGE for step in shown):
        finding = json.loads((readers_folder / "leakage" / "finding.json").read_text())
        assert finding["labels"]["labelled"] > 0
    for file in readers_folder.glob("to-hand-on/*.*"):
        assert not any(
            name in file.read_text(encoding="utf-8") for name in names_in(readers_folder)
        )


def names_in(folder):
    with (folder / "People" / "people.csv").open(encoding="utf-8", newline="") as file:
        return [row["name"] for row in csv.DictReader(file)]


def headings_named(document, section):
    """The parts of a report that a document tells its reader to look at."""
    _, _, after = document.read_text(encoding="utf-8").partition(section)
    listed = re.search(r"^1\. .*?(?=\n\n)", after, re.M | re.S)
    told = re.findall(r"^\d+\. \*\*([^*]+)\*\*", listed[0] if listed else "", re.M)
    headings = [heading.removesuffix(".") for heading in told]
    return [heading for heading in headings if heading != "The verdict"]


def test_the_parts_of_both_pages_are_told():
    quickstart = ROOT / "docs" / "quickstart.md"
    assert len(headings_named(quickstart, "\n## 6. Read the page\n")) >= 9
    assert len(headings_named(quickstart, "**Read its page.**")) >= 9


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


def section_told(section):
    """What stands under a heading."""
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    _, _, after = text.partition(f"\n### {section}\n")
    assert after, section
    return re.split(r"^#{2,3} ", after, flags=re.M)[0]


def columns_told(section):
    """First cells of the tables under a heading."""
    return re.findall(r"^\| `([^`]+)` \|", section_told(section), re.M)


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


def test_columns_of_tables_of_name_leakage_are_as_told(build_study, run, tmp_path):
    study = build_study(tmp_path, people=4, known=1, controls=1, pictures=2)
    table = study.people / "people.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines = [f"{lines[0]},age", *(f"{line},{30 + place}" for place, line in enumerate(lines[1:]))]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "run"
    done = run(
        *("name-leakage", "--model", speaker(tmp_path / "says.json", {}), "--people", study.people),
        *("--out", out, "--prompts", "P0/R0,P2/R0", "--names", 0, "--drawn", 1),
        *("--permutations", 19),
    )
    assert done.exit_code == 0, done.output
    assert run("label", out).exit_code == 0
    columns = {path.name: pl.read_parquet_schema(path).names() for path in out.glob("**/*.parquet")}
    assert columns["outcomes.parquet"] == columns_told("outcomes.parquet of name leakage")
    assert columns["units.parquet"] == [
        *columns_told("units.parquet of name leakage"),
        *("original: P0", "original: P2", "covariate: age"),
    ]
    assert (out / "private/labels.csv").read_text().splitlines()[0].split(",") == columns_told(
        "labels.csv"
    )
    behind = columns["000000.parquet"][len(columns_told("Tables of outcomes")) :]
    assert f"`{', '.join(behind)}`" in " ".join(section_told("Tables of outcomes").split())
    told = re.findall(r"\b[\w-]+\.(?:json|parquet|csv|html)\b", run_files_told())
    written = {path.name for path in out.glob("**/*") if path.is_file()}
    ours = {name for name in written if not re.match(r"\d{6}|.*\.(lock|svg|pdf|png)", name)}
    assert ours <= set(told)


def test_answers_from_elsewhere_are_read_as_told(run, tmp_path):
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    section = text.partition("\n## Answers from elsewhere\n")[2].partition("\n## ")[0]
    columns = re.findall(r"^\| `([^`]+)` \|", section, re.M)
    people = [("identity", "name", "sex"), *((f"p{n}", f"Ada Brown{n}x", "female") for n in "12")]
    write_rows(tmp_path / "people.csv", people)
    row = {"identity": "p1", "image": "1", "prompt": "P2/R0", "answer": "Ada Brown1x"}
    rows = [tuple(row.get(column, "") for column in columns)]
    write_rows(tmp_path / "answers.csv", [columns, *rows])
    asked = ("conclude", "--answers", tmp_path / "answers.csv", "--people", tmp_path / "people.csv")
    done = run(*asked, "--json")
    assert done.exit_code == 0, done.output
    rate = json.loads(done.stdout)["rates"][0]
    assert (rate["condition"], rate["leaks"], rate["n"]) == ("original", 1, 1)
    # What is said to be needed is, and what is said to be optional is not.
    for place, column in enumerate(columns):
        without = [tuple(line[:place]) + tuple(line[place + 1 :]) for line in [columns, *rows]]
        write_rows(tmp_path / "answers.csv", without)
        is_optional = f"| `{column}` | need not be there" in section
        assert (run(*asked).exit_code == 0) == is_optional, column


def write_rows(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def run_files_told():
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    return text.partition("\n## A run\n")[2].partition("\n### ")[0]
