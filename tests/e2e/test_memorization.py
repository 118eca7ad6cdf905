"""Memorization as a user meets it: plant, fine-tune, audit, conclude, and what goes wrong."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from vlmaudit.cli import app

pytestmark = [pytest.mark.torch, pytest.mark.timeout(900)]

DRAW = runpy.run_path(str(Path(__file__).parents[1] / "album_sets.py"))["draw_set"]
QUICK = ("--pictures", "2", "--decoys", "20", "--max-new-tokens", "4", "--permutations", "99",
         "--batches", "1", "--batch-sizes", "1,2", "--curve-batches", "1", "--batch-size", "2",
         "--folds", "4", "--device", "cpu")  # fmt: skip


def vlmaudit(*arguments, code=0):
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == code, (result.output, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An album, and small models tuned on its training sets for a moment."""
    root = tmp_path_factory.mktemp("memorization")
    questions = DRAW(root / "set")
    fields = root / "fields.json"
    fields.write_text('[{"name": "username", "kind": "name"}, {"name": "id", "kind": "digits"}]')
    vlmaudit(
        *("memorization", "plant", "--questions", questions, "--out", root / "album"),
        *("--variants", "r0,r50,r50-twin", "--seen", 5, "--unseen", 5, "--control", 5),
        *("--canaries", 4, "--held-out", 12, "--examples", 48, "--input-side", 96),
        *("--read-back", 0, "--fields", fields, "--doses", "1,2"),
    )
    tuned = vlmaudit(
        *("memorization", "finetune", "--album", root / "album", "--out", root / "tuned"),
        *("--steps", 3, "--batch-size", 12),
    )
    assert "exact match" in tuned.stdout
    return root


def audit_of(study, out, *more):
    tuned = study / "tuned"
    return (
        *("memorization", "audit", "--album", study / "album", "--variant", "r50"),
        *("--model", f"hf:{tuned / 'r50'}", "--control", f"hf:{tuned / 'r0'}"),
        *("--base", f"hf:{tuned / 'base'}", "--twin", f"hf:{tuned / 'r50-twin'}"),
        *("--out", out, *QUICK, *more),
    )


@pytest.fixture(scope="module")
def run(study):
    out = study / "run"
    return out, vlmaudit(*audit_of(study, out))


def test_one_command_asks_by_all_means_and_writes_the_page(run):
    out, result = run
    finding = json.loads((out / "finding.json").read_text())
    assert finding["verdict"] in {"inconclusive", "found"}
    assert {row["mean"] for row in finding["means"] if row["answer"] != "not_asked"} == {
        "probe", "gradients", "extraction", "exposure",
    }  # fmt: skip
    assert finding["roles"] == ["tuned", "control", "base", "twin"]
    assert finding["failures"]["failed"] == 0
    assert finding["canaries"]["included"] + finding["canaries"]["left_out"] == 4
    assert {row["role"] for row in finding["utility"]} == set(finding["roles"])
    page = (out / "report.html").read_text()
    assert "Did fine-tuning keep what was merely visible?" in page
    assert "Seen from" in result.stdout
    assert (out / "private").stat().st_mode & 0o077 == 0
    assert (out / "figures" / "means.svg").exists()


def test_no_value_of_a_record_is_in_finding_or_page(run, study):
    out, _ = run
    records = pl.read_csv(study / "album" / "records.csv", infer_schema=False)
    for name in ("finding.json", "report.html"):
        text = (out / name).read_text()
        assert not [value for value in records["username"] if value in text]


def test_the_same_again_asks_nothing_and_finds_the_same(run, study):
    out, _ = run
    before = (out / "finding.json").read_bytes()
    sizes = {path: path.stat().st_size for path in (out / "private" / "pieces").glob("*.jsonl")}
    vlmaudit(*audit_of(study, out))
    assert (out / "finding.json").read_bytes() == before
    assert {path: path.stat().st_size for path in sizes} == sizes
    shown = vlmaudit("status", out)
    assert "everything was asked" in shown.stdout


def test_concluding_again_needs_neither_album_nor_models(run, tmp_path):
    out, _ = run
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    before = (copy / "finding.json").read_bytes()
    vlmaudit("conclude", copy)
    assert (copy / "finding.json").read_bytes() == before
    paper = vlmaudit("conclude", copy, "--protocol", "paper", "--json")
    assert json.loads(paper.stdout)["protocol"] == "paper"
    assert (copy / "finding.paper.json").exists()
    assert Path(vlmaudit("report", copy).stdout.strip()).exists()


def test_states_of_a_run_are_states_from_elsewhere(run, tmp_path):
    out, _ = run
    states = out / "private" / "states"
    result = vlmaudit(
        *("conclude", "--states", states / "tuned", "--states", states / "control"),
        *("--out", tmp_path / "elsewhere", "--json"),
    )
    finding = json.loads(result.stdout)
    row = finding["layers"][0]
    assert {"layer", "accuracy", "control", "selectivity", "low", "high", "p", "p_adjusted",
            "split"} <= set(row)  # fmt: skip
    assert finding["model"] is None
    assert (tmp_path / "elsewhere" / "report.html").exists()


def test_one_mean_after_the_other_adds_up(study, tmp_path):
    out = tmp_path / "run"
    common = ("--album", study / "album", "--variant", "r50", "--out", out, "--device", "cpu",
              "--model", f"hf:{study / 'tuned' / 'r50'}", "--permutations", 99)  # fmt: skip
    vlmaudit("memorization", "probe", *common, "--pictures", 2, "--folds", 4)
    first = json.loads((out / "finding.json").read_text())
    assert [row["mean"] for row in first["means"] if row["answer"] != "not_asked"] == ["probe"]
    more = ("--pictures", 2, "--decoys", 10_000, "--fields", "id", "--limit", 3)
    refused = vlmaudit("memorization", "extract", *common, *more, code=3)
    assert "holds a run with another limit" in refused.stderr


@pytest.mark.process
def test_a_killed_audit_goes_on_to_the_same_finding(study, tmp_path):
    def gradients(out):
        return (
            *("memorization", "gradients", "--album", study / "album", "--variant", "r50"),
            *("--model", f"hf:{study / 'tuned' / 'r50'}", "--out", out, "--device", "cpu"),
            *("--batches", 3, "--batch-size", 2, "--batch-sizes", "none", "--permutations", 99),
        )

    whole, out = tmp_path / "whole", tmp_path / "killed"
    vlmaudit(*gradients(whole))
    command = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]
    with subprocess.Popen(
        [*command, *map(str, gradients(out))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        journal = out / "private" / "pieces" / "gradients.tuned.jsonl"
        until = time.monotonic() + 120
        while time.monotonic() < until and not (journal.exists() and journal.stat().st_size):
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert "stopped" in vlmaudit("status", out).stdout
    vlmaudit(*gradients(out))
    assert (out / "finding.json").read_bytes() == (whole / "finding.json").read_bytes()


def test_bad_input_is_said_in_a_line(study, tmp_path):
    tuned, album = study / "tuned", study / "album"
    given = ("--album", album, "--out", tmp_path / "run", "--model", f"hf:{tuned / 'r50'}")
    for arguments, said in (
        (("--variant", "r70"), 'no variant "r70"'),
        (("--variant", "r50", "--fields", "age"), "the album has no such field"),
        (("--variant", "r50", "--token", "first"), '--token "first"'),
        (("--variant", "r50", "--batch-sizes", "4,1"), "wanted rising numbers"),
    ):
        result = vlmaudit("memorization", "audit", *given, *arguments, code=3)
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
    other = vlmaudit(
        *("memorization", "audit", "--album", album, "--variant", "r50", "--out", tmp_path / "x"),
        *("--model", "chat:some@http://127.0.0.1:1/v1"),
        code=3,
    )
    assert "cannot be seen" in other.stderr
    nowhere = vlmaudit("conclude", "--states", tmp_path / "nowhere", code=3)
    assert "items.csv: not there" in nowhere.stderr


def test_a_record_that_overlaps_is_refused(study, tmp_path):
    album = tmp_path / "album"
    shutil.copytree(study / "album", album)
    table = pl.read_csv(album / "records.csv", infer_schema=False)
    seen, unseen = (table.filter(arm=arm)["id"][0] for arm in ("seen", "unseen"))
    (album / "records.csv").write_text((album / "records.csv").read_text().replace(unseen, seen))
    result = vlmaudit(
        *("memorization", "audit", "--album", album, "--variant", "r50"),
        *("--model", f"hf:{study / 'tuned' / 'r50'}", "--out", tmp_path / "run"),
        code=3,
    )
    assert "share the id" in result.stderr
