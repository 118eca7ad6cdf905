"""Going on with a run: shards, other runs' answers, other versions, and how far it is."""

import json
import shutil
import subprocess
import sys

import polars as pl
import pytest

from vlmaudit.results import environment
from vlmaudit.results.blocks import BlockStore, Part
from vlmaudit.results.cases import read_cases
from vlmaudit.results.run_folder import RunFolder

COMMAND = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]
PICTURES, BLOCKS = 420, 7


def asked(done):
    """How many pictures a command found left to do."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Pictures (")]
    return int(line.partition("(")[2].rstrip(")").replace(",", ""))


def newer_numpy(monkeypatch):
    here = environment.here

    def other(**facts):
        now = here(**facts)
        return now.model_copy(update={"versions": now.versions | {"numpy": "9.9.9"}})

    monkeypatch.setattr("vlmaudit.execution.running.here", other)


def test_shards_share_the_blocks_and_the_last_one_concludes(finished, run, tmp_path):
    study, calm, _ = finished
    out = tmp_path / "sharded"
    sizes = []
    for shard in ("3/3", "1/3"):
        done = run(*study.arguments(out, "--shard", shard))
        assert done.exit_code == 0, done.output
        assert f"Shard {shard} is through" in done.stderr
        assert "vlmaudit conclude" in done.stderr
        assert not (out / "finding.json").exists()
        sizes.append(asked(done))
    told = json.loads(run("status", out, "--json").stdout)
    assert (told["state"], told["left"]) == ("stopped", PICTURES - sum(sizes))
    done = run(*study.arguments(out, "--shard", "2/3"))
    assert done.exit_code == 0
    assert sum(sizes) + asked(done) == PICTURES
    assert (out / "finding.json").read_bytes() == (calm / "finding.json").read_bytes()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "-1/2", "1/0"])
def test_a_shard_is_one_of_so_many(study, run, tmp_path, shard):
    done = run(*study.arguments(tmp_path / "run", "--shard", shard))
    assert done.exit_code == 3
    assert f"--shard {shard}: wanted i/n" in done.stderr


def test_new_pictures_cost_only_themselves(finished, run):
    study, out, _ = finished
    folder = study.people / "p01"
    (folder / "new.png").write_bytes((folder / "0.png").read_bytes() + b"another file")
    done = run(*study.arguments(out))
    assert done.exit_code == 0, done.output
    assert asked(done) == 1
    assert BlockStore(out / "private").sealed() == set(range(BLOCKS + 1))


def test_answers_of_another_run_are_taken_over(finished, run, tmp_path):
    study, out, _ = finished
    new = tmp_path / "new"
    done = run(*study.arguments(new, "--reuse", str(out), "--limit", "20"))
    assert done.exit_code == 0, done.output
    assert "400 of 400 answers are taken" in done.stderr
    alone = tmp_path / "alone"
    assert run(*study.arguments(alone, "--limit", "20")).exit_code == 0
    assert (new / "finding.json").read_bytes() == (alone / "finding.json").read_bytes()


def test_answers_of_another_model_are_not_taken_over(finished, run, tmp_path):
    study, out, _ = finished
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"people": {}, "seed": 1}))
    arguments = [a if a != study.model else f"scripted:{other}" for a in study.arguments(out)]
    arguments[arguments.index(str(out))] = str(tmp_path / "new")
    done = run(*arguments, "--reuse", out)
    assert done.exit_code == 0, done.output
    assert "0 of 420 answers are taken" in done.stderr
    assert run(*arguments, "--reuse", tmp_path / "nothing").exit_code == 0  # nothing left to take
    arguments[arguments.index(str(tmp_path / "new"))] = str(tmp_path / "newer")
    missing = run(*arguments, "--reuse", tmp_path / "nothing")
    assert missing.exit_code == 3
    assert "no run here" in missing.stderr


def test_other_library_versions_are_refused_unless_accepted(finished, run, tmp_path, monkeypatch):
    study, out, _ = finished
    newer_numpy(monkeypatch)
    assert run(*study.arguments(out)).exit_code == 0  # nothing is left to ask
    (out / "private" / "blocks" / "000003.parquet").unlink()
    refused = run(*study.arguments(out))
    assert refused.exit_code == 3
    assert "given under numpy" in refused.stderr
    assert "this is 9.9.9" in refused.stderr
    assert "--allow-mixed" in refused.stderr
    reused = run(*study.arguments(tmp_path / "new", "--reuse", str(out)))
    assert reused.exit_code == 3
    done = run(*study.arguments(out, "--allow-mixed"))
    assert done.exit_code == 0, done.output
    assert asked(done) == 64
    notes = json.loads((out / "finding.json").read_text())["notes"]
    assert any("more than one set of library versions" in note for note in notes)


def test_a_model_that_answers_otherwise_than_before_is_refused(finished, run):
    study, out, _ = finished
    file = out / "self-test.json"
    before = json.loads(file.read_text())
    before["answers"]["pictures"][0][0] += 0.5
    file.write_text(json.dumps(before))
    assert run(*study.arguments(out)).exit_code == 0  # nothing is left to ask
    (out / "private" / "blocks" / "000003.parquet").unlink()
    refused = run(*study.arguments(out))
    assert refused.exit_code == 3
    assert "answers otherwise than when this run was begun" in refused.stderr


def test_a_run_that_somebody_is_at_is_not_started_over(finished, run):
    study, out, _ = finished
    with RunFolder(out).driven():
        refused = run(*study.arguments(out, "--fresh"))
        assert refused.exit_code == 3
        assert "another process is at work on this run" in refused.stderr
        assert run(*study.arguments(out)).exit_code == 0
    assert run(*study.arguments(out, "--fresh")).exit_code == 0


def test_other_settings_meanwhile_are_not_concluded_on(finished, run, monkeypatch):
    from vlmaudit.execution import running

    study, out, _ = finished
    drive = running.drive

    def drive_beside_another(*args, **kwargs):
        drive(*args, **kwargs)
        manifest = json.loads((out / "manifest.json").read_text())
        manifest["conclusion"]["tau"] = 5
        (out / "manifest.json").write_text(json.dumps(manifest))

    monkeypatch.setattr(running, "drive", drive_beside_another)
    refused = run(*study.arguments(out))
    assert refused.exit_code == 3
    assert "under other settings" in refused.stderr


def test_answers_that_do_not_fit_on_the_disk_are_said_first(study, run, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=70_000))
    refused = run(*study.arguments(tmp_path / "run"))
    assert refused.exit_code == 3
    assert "the answers need" in refused.stderr
    monkeypatch.undo()
    assert run(*study.arguments(tmp_path / "run")).exit_code == 0


def test_status_says_how_far_a_run_is(finished, run, tmp_path):
    _, out, _ = finished
    done = run("status", out)
    assert done.exit_code == 0
    assert "everything was asked" in done.stdout
    assert "The finding rests on all of it." in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    for number in (2, 5):
        (out / "private" / "blocks" / f"00000{number}.parquet").unlink()
    told = json.loads(run("status", out, "--json").stdout)
    assert told["cases"] == PICTURES
    assert told["left"] == 128
    assert told["answered"] == PICTURES - 128
    assert (told["blocks"], told["blocks_sealed"]) == (BLOCKS, BLOCKS - 2)
    assert not told["is_finding_current"]
    assert "left" in run("status", out).stdout
    nothing = run("status", tmp_path / "nothing")
    assert nothing.exit_code == 3
    assert "no run here" in nothing.stderr


@pytest.mark.process
def test_a_block_in_other_hands_is_waited_for_and_taken_over(finished):
    study, out, _ = finished
    store = BlockStore(out / "private")
    before = (out / "finding.json").read_bytes()
    (out / "private" / "blocks" / "000003.parquet").unlink()
    cases = read_cases(out / "private").filter(pl.col("block") == 3)["case"]
    with store.claim(Part(3, 0, tuple(cases)), {}) as held:
        assert held is not None
        driver = subprocess.Popen(
            [*COMMAND, *study.arguments(out)], stderr=subprocess.PIPE, text=True
        )
        told = []
        for line in driver.stderr:
            told.append(line)
            if "Waiting for another process, which is at 1 block of" in line:
                break
        assert driver.poll() is None, told
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 0, said
    assert (out / "finding.json").read_bytes() == before
