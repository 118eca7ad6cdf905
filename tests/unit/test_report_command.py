"""``vlmaudit report`` and what ``conclude`` shows, as a user types them."""

import csv
import json

import pytest
from typer.testing import CliRunner

from vlmaudit.audits.identity_inference.run import write_finding
from vlmaudit.cli import app

NAMES = ("Ada Lovelace", "Zoë Kravitz", "=HYPERLINK(1)", "عائشة الزهراء")


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def finished(findings, tmp_path):
    """A folder with a finding, as a run leaves it."""
    people = [findings.person(f"id-{name[:3]}", name=name) for name in NAMES]
    write_finding(findings.make_finding(people=people), tmp_path / "finding.json")
    return tmp_path


@pytest.fixture
def tables(tmp_path):
    """Votes that were counted elsewhere, and the people they are about."""

    def write(name, rows):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return tmp_path / name

    people = [(f"id-{place}", name) for place, name in enumerate(NAMES)]
    votes = [
        (identity, f"{picture}.jpg", "t", name) for identity, name in people for picture in range(2)
    ]
    return (
        *("--votes", write("votes.csv", [("identity", "image", "template", "predicted"), *votes])),
        *("--people", write("people.csv", [("identity", "name"), *people])),
        *("--protocol", "paper"),
    )


def holds_a_name(text):
    return [name for name in NAMES if name in text or json.dumps(name)[1:-1] in text]


def test_a_report_names_people_unless_told_not_to(run, finished):
    assert run("report", finished).exit_code == 0
    assert holds_a_name((finished / "report.html").read_text("utf-8"))
    done = run("report", finished, "--pseudonyms")
    assert done.exit_code == 0, done.output
    assert not holds_a_name((finished / "report.html").read_text("utf-8"))
    assert "private/pseudonyms.csv: keep that folder to yourself" in done.stderr
    # The finding stays what it is.
    assert holds_a_name((finished / "finding.json").read_text("utf-8"))


def test_a_report_has_the_same_pseudonyms_again(run, finished):
    run("report", finished, "--pseudonyms")
    first = (finished / "report.html").read_bytes()
    run("report", finished)
    run("report", finished, "--pseudonyms")
    assert (finished / "report.html").read_bytes() == first


def test_pictures_and_pseudonyms_are_refused_together(run, finished):
    done = run("report", finished, "--pseudonyms", "--with-pictures")
    assert done.exit_code == 2
    assert "a picture shows whom a pseudonym hides" in " ".join(done.output.split())
    assert not (finished / "report.html").exists()
    assert not (finished / "private").exists()


def test_pictures_of_a_finding_that_was_handed_on_are_refused_too(run, findings, tmp_path):
    write_finding(findings.make_finding(pseudonyms=True), tmp_path / "finding.json")
    assert run("report", tmp_path, "--with-pictures").exit_code == 2


def test_pictures_without_a_run_are_one_line(run, finished):
    done = run("report", finished, "--with-pictures")
    assert done.exit_code == 3
    assert "no run here" in done.stderr
    assert "Traceback" not in done.output


def test_a_conclusion_under_pseudonyms_names_nobody_on_any_way_out(run, tables, tmp_path):
    out = tmp_path / "out"
    done = run("conclude", *tables, "--out", out, "--pseudonyms")
    assert done.exit_code == 0, done.output
    assert not holds_a_name(done.output)
    assert "person-001" in done.stdout
    written = [path for path in out.rglob("*") if path.suffix in {".json", ".html", ".svg"}]
    assert len(written) >= 2
    for path in written:
        assert not holds_a_name(path.read_text("utf-8"))
        assert not any(f"id-{place}" in path.read_text("utf-8") for place in range(4))
    listed = (out / "private" / "pseudonyms.csv").read_text("utf-8")
    assert holds_a_name(listed) == list(NAMES)


def test_json_under_pseudonyms_is_a_finding_and_the_same_each_time(run, tables):
    first, again = (run("conclude", *tables, "--json", "--pseudonyms") for _ in range(2))
    assert first.stdout == again.stdout
    finding = json.loads(first.stdout)
    assert finding["pseudonyms"] is True
    assert [row["name"] for row in finding["people"]] == [f"person-00{n}" for n in (1, 2, 3, 4)]
    assert not holds_a_name(first.stdout)
    assert "not kept" in first.stderr
