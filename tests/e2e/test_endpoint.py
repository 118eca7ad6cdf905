"""An audit of a black box over HTTP: a real server, which misbehaves where it is told to."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import polars as pl
import pytest

from vlmaudit.data.templates import IDIA_TEMPLATES
from vlmaudit.models.scripted import Knows

PEOPLE, KNOWN, CONTROLS, PICTURES = 6, 2, 20, 1
REQUESTS = (PEOPLE + CONTROLS) * PICTURES * len(IDIA_TEMPLATES)
SELF_TEST = 5
COMMAND = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]


@pytest.fixture(scope="module")
def study(tmp_path_factory, build_study):
    root = tmp_path_factory.mktemp("study")
    return build_study(root, people=PEOPLE, known=KNOWN, controls=CONTROLS, pictures=PICTURES)


class Moody:
    """A schedule that can change between two runs."""

    def __init__(self):
        self.deed = lambda asked: None

    def __call__(self, asked):
        return self.deed(asked)


@pytest.fixture
def moody():
    return Moody()


@pytest.fixture
def server(study, moody, servers):
    told = json.loads((study.root / "model.json").read_text())["people"]
    with servers.ZeroShotServer(Knows(told), misbehave=moody) as server:
        yield server


def arguments(study, server, out, *more):
    return [
        *("identity-inference", "--model", f"endpoint:{server.url}?token=secret"),
        *("--people", str(study.people), "--controls", str(study.controls), "--out", str(out)),
        *("--names", "200", "--paper-pool", "200", "--attempts", "1", "--timeout", "5", *more),
    ]


def finding_of(out):
    return json.loads((out / "finding.json").read_text())


def test_known_people_are_found_from_labels_alone(study, server, run, tmp_path):
    out = tmp_path / "run"
    done = run(*arguments(study, server, out))
    assert done.exit_code == 0, done.output
    assert f"{REQUESTS} requests to endpoint:{server.url}" in done.stderr
    assert len(server.asked) == REQUESTS + SELF_TEST
    found = finding_of(out)
    detected = {row["identity"] for row in found["people"] if row["score"] == len(IDIA_TEMPLATES)}
    assert detected == study.known
    by_p = sorted(found["people"], key=lambda row: row["p"])
    assert {row["identity"] for row in by_p[:KNOWN]} == study.known
    assert {row["n_faces"] for row in found["people"]} == {CONTROLS}
    assert {row["n_names"] for row in found["people"]} == {200}
    notes = " ".join(found["notes"])
    for limit in ("Only labels were asked for", "fixed when asking", "Whose weights answered"):
        assert limit in notes
    assert found["failures"]["unit"] == "request"
    assert found["failures"]["asked"] == REQUESTS
    written = "".join(path.read_text() for path in out.glob("*.json"))
    assert "secret" not in written


def test_a_control_person_of_another_kind_is_asked_about_nothing(study, server, run, tmp_path):
    shutil.copytree(study.controls, tmp_path / "controls")
    table = tmp_path / "controls" / "people.csv"
    table.write_text(table.read_text().replace("c03,Nobody 3,female", "c03,Nobody 3,male"))
    done = run(*arguments(study, server, tmp_path / "run", "--controls", tmp_path / "controls"))
    assert done.exit_code == 0, done.output
    assert finding_of(tmp_path / "run")["failures"]["asked"] == REQUESTS - len(IDIA_TEMPLATES)


def test_what_another_pool_would_say_has_to_be_asked(study, server, run, tmp_path):
    out = tmp_path / "run"
    assert run(*arguments(study, server, out)).exit_code == 0
    refused = run("conclude", out, "--pool", "global")
    assert refused.exit_code == 3
    assert "another pool is another question" in refused.stderr
    other = run(*arguments(study, server, out, "--seed", "1"))
    assert other.exit_code == 3
    assert "another names" in other.stderr
    asked = len(server.asked)
    again = run(*arguments(study, server, out))
    assert again.exit_code == 0
    assert "Everything was asked already." in again.stderr
    assert len(server.asked) == asked


DEEDS = (
    "status 429",
    "status 500",
    "garbage",
    "not offered",
    "half",
    "empty",
    "no answer",
    "same label twice",
    "NaN",
)


def test_what_was_answered_stays_and_a_second_run_asks_only_the_rest(
    study, server, moody, run, tmp_path
):
    calm = tmp_path / "calm"
    assert run(*arguments(study, server, calm)).exit_code == 0

    first = len(server.asked)
    # Every third request after the self-test goes wrong, each time in another way.
    moody.deed = lambda asked: (
        DEEDS[(asked.number - first) // 3 % len(DEEDS)]
        if asked.number - first >= SELF_TEST and asked.number % 3 == 0
        else None
    )
    out = tmp_path / "run"
    done = run(*arguments(study, server, out, "--concurrency", "1"))
    assert done.exit_code == 4, done.output
    found = finding_of(out)
    assert found["verdict"] == "inconclusive"
    failures = found["failures"]
    wrong = range(first + SELF_TEST, first + SELF_TEST + REQUESTS)
    assert failures["failed"] == sum(number % 3 == 0 for number in wrong)
    assert set(failures["reasons"]) == {
        *("status 429", "status 500", "the answer is no JSON", "a label that was not offered"),
        *("half an answer", "an empty answer", "the connection broke off"),
        *("the same label twice", "a score that is not finite"),
    }
    outcomes = pl.read_parquet(out / "outcomes.parquet")
    assert outcomes.filter(pl.col("status") == "failed").height == failures["failed"]

    told = json.loads(run("status", out, "--json").stdout)
    assert told["failed_for_now"] == failures["failed"]
    assert told["answered"] == REQUESTS - failures["failed"]

    kept = run(*arguments(study, server, out, "--no-retry"))
    assert kept.exit_code == 4
    moody.deed = lambda asked: None
    second = len(server.asked)
    done = run(*arguments(study, server, out))
    assert done.exit_code == 0, done.output
    news = Counter((each.picture, each.labels) for each in server.asked[second + SELF_TEST :])
    assert sum(news.values()) == failures["failed"]
    assert set(news.values()) == {1}
    assert (out / "finding.json").read_bytes() == (calm / "finding.json").read_bytes()


def test_a_server_that_dies_half_way_costs_what_was_not_answered(
    study, server, moody, run, tmp_path
):
    moody.deed = lambda asked: "die" if asked.number == 200 else None
    out = tmp_path / "run"
    done = run(*arguments(study, server, out))
    assert done.exit_code == 4, done.output
    found = finding_of(out)
    assert found["verdict"] == "inconclusive"
    answered = found["failures"]["answered"]
    # Four at a time: some were under way, and some of those were still answered.
    assert abs(answered - (200 - SELF_TEST)) <= 4
    moody.deed = lambda asked: None
    server.start()
    before = len(server.asked)
    done = run(*arguments(study, server, out))
    assert done.exit_code == 0, done.output
    assert len(server.asked) - before - SELF_TEST == REQUESTS - answered
    assert finding_of(out)["failures"]["failed"] == 0


def test_a_server_that_is_not_there_is_said_before_anything_is_asked(study, server, run, tmp_path):
    server.stop()
    done = run(*arguments(study, server, tmp_path / "run"))
    assert done.exit_code == 3
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "secret" not in line
    server.start()
    assert run(*arguments(study, server, tmp_path / "run")).exit_code == 0


@pytest.mark.process
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_loses_no_more_than_what_was_under_way(study, server, sign, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, *arguments(study, server, out)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(server.asked) < 150:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(sign)
    _, said = process.communicate(timeout=30)
    if sign == signal.SIGINT:
        assert process.returncode == 130, said
        assert said.splitlines()[-1].startswith("Stopped. What was answered is kept")
    before = len(server.asked)
    done = subprocess.run(
        [*COMMAND, *arguments(study, server, out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Four at a time were under way, and those that had come in since the last write are few.
    asked_twice = before + len(server.asked[before:]) - 2 * SELF_TEST - REQUESTS
    assert 0 <= asked_twice <= 12
