"""Name leakage as a user meets it: the command line, a run folder, real servers and kills."""

import csv
import json
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from tests import leakage_tables as tables

from vlmaudit.models.scripted_answers import Rule, Says

PEOPLE = tables.people(24)
NAMED, REFUSED, MISTAKEN = 8, 4, 2
PICTURES = 2
QUICK = ("--names", "0", "--drawn", "2", "--permutations", "199", "--device", "cpu")
COMMAND = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]
SORRY = "I'm sorry, but I can't identify people in pictures."


def colour(number):
    return f"#{10 * number:02x}50{250 - 10 * number:02x}"


def script():
    """Who asks for them is told the first eight; the next four are refused; two are mistaken."""
    rules = []
    for number, one in enumerate(PEOPLE):
        face = {"face": colour(number)}
        if number < NAMED:
            rules.append(face | {"prompt": "Who", "answer": f"This is {one.name}."})
        elif number < NAMED + REFUSED:
            rules.append(face | {"prompt": "celebrity", "answer": SORRY})
        elif number < NAMED + REFUSED + MISTAKEN:
            rules.append(face | {"answer": f"{PEOPLE[0].name} <b>smiles</b>"})
    known = {colour(number): {PEOPLE[number].name: 12.0} for number in range(NAMED + REFUSED)}
    return {"rules": rules, "likelihoods": known}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("leakage")
    rows = [("identity", "name", "sex", "origin")]
    for number, one in enumerate(PEOPLE):
        folder = root / "people" / one.identity
        folder.mkdir(parents=True)
        for place in range(PICTURES):
            picture = Image.new("RGB", (16, 16), colour(number))
            picture.putpixel((0, place), (255, 255, 255))
            picture.save(folder / f"{place}.png")
        rows.append((one.identity, one.name, one.sex, one.origin))
    with (root / "people" / "people.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    (root / "says.json").write_text(json.dumps(script()))
    return root


def speaker():
    told = script()
    return Says([Rule(**rule) for rule in told["rules"]], likelihoods=told["likelihoods"])


def arguments(study, out, *more, model=None):
    return [
        *("name-leakage", "--model", model or f"scripted:{study / 'says.json'}"),
        *("--people", str(study / "people"), "--out", str(out), *QUICK, *more),
    ]


def finding_of(out):
    return json.loads((out / "finding.json").read_text())


def test_one_command_asks_concludes_and_reports(study, run, tmp_path):
    out = tmp_path / "run"
    done = run(*arguments(study, out))
    assert done.exit_code == 0, done.output
    found = finding_of(out)
    assert found["verdict"] == "found"
    assert "Named when asked who it is" in done.stdout
    rates = {row["prompt"]: row for row in found["rates"]}
    assert len(rates) == 30
    # Every prompt of P2 that says "Who", five of six; so many pictures of the eight are named.
    assert rates["P2/R0"]["leaks"] == NAMED * PICTURES
    assert rates["P2/R0"]["n"] == len(PEOPLE) * PICTURES
    assert rates["P0/R0"]["leaks"] == 0
    assert rates["P4/R0"]["outcomes"]["refused"] == REFUSED * PICTURES
    assert rates["P0/R0"]["outcomes"]["wrong_name"] == MISTAKEN * PICTURES
    assert {row["kind"]: row["rate"]["value"] for row in found["nulls"]} == {
        "no-image": 0,
        "grey": 0,
        "drawn": 0,
    }
    outcomes = pl.read_parquet(out / "outcomes.parquet")
    assert outcomes.height == 30 * (len(PEOPLE) * PICTURES + 2 + 2)
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;smiles" in page
    assert "<b>smiles" not in page
    status = run("status", out)
    assert "everything was asked" in status.stdout
    again = run(*arguments(study, out))
    assert "Everything was asked already." in again.stderr
    assert finding_of(out) == found


def test_likelihoods_find_what_a_refusal_hides(study, run, tmp_path):
    out = tmp_path / "run"
    done = run(*arguments(study, out, "--names", "250", "--pool", "global", "--prompts", "R0"))
    assert done.exit_code == 0, done.output
    found = finding_of(out)
    rows = {row["identity"]: row for row in found["people"]}
    for number, one in enumerate(PEOPLE):
        assert (rows[one.identity]["rank"] == 1) == (number < NAMED + REFUSED)
    assert found["likelihoods"]["people"] == len(PEOPLE)
    refused = run("conclude", out, "--pool", "same-sex")
    assert refused.exit_code == 3
    assert "another pool is another question" in refused.stderr


def test_both_protocols_conclude_on_the_same_answers(study, run, tmp_path):
    out = tmp_path / "run"
    assert run(*arguments(study, out, "--prompts", "R0")).exit_code == 0
    assert run("conclude", out, "--protocol", "paper").exit_code == 0
    paper = json.loads((out / "finding.paper.json").read_text())
    assert paper["protocol"] == "paper"
    assert finding_of(out)["protocol"] == "audit"
    refused = run("conclude", out, "--tau", "2")
    assert refused.exit_code == 3
    assert "--tau: no option of name-leakage" in refused.stderr


def test_two_models_are_compared_person_by_person(study, run, tmp_path):
    silent = tmp_path / "silent.json"
    silent.write_text(json.dumps({"rules": []}))
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(*arguments(study, first, "--prompts", "R0")).exit_code == 0
    done = run(
        *arguments(study, second, "--prompts", "R0", "--against", str(first)),
        *("--model", f"scripted:{silent}"),
    )
    assert done.exit_code == 0, done.output
    rows = [row for row in finding_of(second)["contrasts"] if row["kind"] == "model"]
    asked = next(row for row in rows if row["first"].endswith("(original: P2)"))
    assert asked["difference"]["value"] == pytest.approx(-NAMED / len(PEOPLE))
    assert "scripted:says.json" in asked["second"]


def test_labels_correct_the_rate_of_this_run(study, run, tmp_path):
    out = tmp_path / "run"
    assert run(*arguments(study, out, "--prompts", "R0")).exit_code == 0
    sheet = out / "private" / "labels.csv"
    done = run("label", out)
    assert done.exit_code == 0, done.output
    assert str(sheet) in done.stdout
    table = pl.read_csv(sheet, infer_schema=False)
    assert table.columns == ["identity", "image", "condition", "prompt", "name", "answer", "leaks"]
    # Half of what the matcher calls a leak is none, somebody says.
    matched = [
        "yes" if name in (answer or "") and place % 2 else "no"
        for place, (name, answer) in enumerate(table.select("name", "answer").iter_rows())
    ]
    table.with_columns(pl.Series("leaks", matched)).write_csv(sheet)
    assert run("conclude", out).exit_code == 0
    labels = finding_of(out)["labels"]
    assert labels["labelled"] == table.height
    assert labels["rate"]["value"] < labels["apparent"]
    assert run("label", out).exit_code == 3
    sheet.write_text(sheet.read_text().replace("yes", "perhaps", 1))
    refused = run("conclude", out)
    assert refused.exit_code == 3
    assert "wanted yes or no" in refused.stderr


def test_under_pseudonyms_nobody_is_named_anywhere_on_the_page(study, run, tmp_path):
    out = tmp_path / "run"
    assert run(*arguments(study, out, "--prompts", "R0")).exit_code == 0
    assert run("report", out, "--pseudonyms").exit_code == 0
    page = (out / "report.html").read_text()
    assert "person-0" in page
    for one in PEOPLE:
        assert one.name not in page
        assert one.name.split()[1] not in page
    assert run("report", out).exit_code == 0
    assert PEOPLE[0].name in (out / "report.html").read_text()


@pytest.mark.torch
@pytest.mark.parametrize(
    "family",
    [
        "BLIP-2 OPT",
        "BLIP-2 Flan-T5",
        "LLaVA",
        "LLaVA-NeXT",
        "PaliGemma",
        "Qwen2.5-VL",
        "Idefics3",
        "SmolVLM",
    ],
)
def test_every_family_is_audited_by_one_command(family, study, run, tmp_path):
    builders = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
    folder = builders["build"](family, tmp_path)
    out = tmp_path / "run"
    done = run(
        *arguments(study, out, "--limit", "2", "--prompts", "P0/R0,P2/R0", "--names", "5"),
        *("--model", f"hf:{folder}", "--max-new-tokens", "6", "--drawn", "1"),
    )
    assert done.exit_code == 0, done.output
    found = finding_of(out)
    assert (found["failures"]["asked"], found["failures"]["failed"]) == (2 * PICTURES * 2, 0)
    assert found["likelihoods"]["people"] == 2
    assert found["tokens"]["answer tokens"] > 0
    assert (out / "report.html").stat().st_size > 10_000
    # What forbids sharing all of the beginning is said before the first question.
    shares_less = family in {"PaliGemma", "BLIP-2 OPT", "BLIP-2 Flan-T5"}
    said = " ".join(done.stderr.partition("Self-test")[0].split())
    assert ("share" in said.partition("…")[2]) == shares_less


def chat(study, server, out, *more):
    model = f"chat:says@{server.url}"
    return arguments(study, out, "--prompts", "R0", "--attempts", "1", *more, model=model)


@pytest.fixture
def deeds():
    """What the server does instead of answering; may be changed between two runs."""
    return {}


@pytest.fixture
def server(servers, deeds):
    with servers.ChatServer(
        speaker(),
        misbehave=lambda asked: deeds["deed"](asked) if "deed" in deeds else None,
    ) as server:
        yield server


def test_a_chat_server_is_audited_alike(study, server, run, tmp_path):
    local, remote = tmp_path / "local", tmp_path / "remote"
    assert run(*arguments(study, local, "--prompts", "R0")).exit_code == 0
    done = run(*chat(study, server, remote))
    assert done.exit_code == 0, done.output
    mine, others = finding_of(local), finding_of(remote)
    for part in ("rates", "groups", "people", "nulls"):
        assert others[part] == mine[part]
    assert others["tokens"]["answer tokens"] > 0


def test_a_server_that_dies_half_way_loses_nothing(study, server, deeds, run, tmp_path):
    out = tmp_path / "run"
    told = []

    def die_after_a_hundred(asked):
        told.append(asked)
        return "die" if len(told) > 100 else None

    deeds["deed"] = die_after_a_hundred
    done = run(*chat(study, server, out))
    assert done.exit_code == 4, done.output
    found = finding_of(out)
    assert found["verdict"] == "inconclusive"
    failed = found["failures"]["failed"]
    assert 0 < failed < found["failures"]["asked"]
    answered = pl.read_parquet(out / "outcomes.parquet").filter(pl.col("outcome") != "failed")
    deeds.clear()
    server.start()
    before = len(server.asked)
    again = run(*chat(study, server, out))
    assert again.exit_code == 0, again.output
    assert finding_of(out)["failures"]["failed"] == 0
    # What was answered is not asked again, but for the self-test.
    everything = pl.read_parquet(out / "outcomes.parquet")
    assert len(server.asked) - before <= everything.height - answered.height + 10
    kept = everything.join(answered, on=["identity", "image", "condition", "prompt"], how="semi")
    assert kept.height == answered.height


@pytest.mark.process
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_goes_on_where_it_was(how, study, servers, tmp_path):
    calm, out = tmp_path / "calm", tmp_path / "run"
    with servers.ChatServer(speaker(), seconds_each=0.02) as server:
        subprocess.run([*COMMAND, *chat(study, server, calm)], capture_output=True, check=True)
        driver = subprocess.Popen(
            [*COMMAND, *chat(study, server, out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        before = len(server.asked)
        server.wait_for(before + 60)
        time.sleep(0.2)
        driver.send_signal(how)
        _, said = driver.communicate(timeout=60)
        assert driver.returncode == (130 if how == signal.SIGINT else -how), said
        subprocess.run([*COMMAND, *chat(study, server, out)], capture_output=True, check=True)
    assert (out / "finding.json").read_bytes() == (calm / "finding.json").read_bytes()


BAD = {
    "nobody": (["--people", "{root}/nobody"], "no such folder"),
    "prompt": (["--prompts", "P9"], "no such prompt. Wanted all"),
    "names": (["--names", "many"], "neither a number nor a file"),
    "scheme": (["--model", "open_clip:RN50/openai"], "identity-inference"),
    "chat": (["--model", "chat:@http://x"], "write chat:MODEL@URL"),
    "tokens": (["--max-new-tokens", "0"], "--max-new-tokens 0"),
    "against": (["--against", "{root}"], "no finding here"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, study, run, tmp_path):
    more, line = BAD[case]
    done = run(
        *arguments(study, tmp_path / "run", "--prompts", "P0/R0"),
        *(text.replace("{root}", str(tmp_path)) for text in more),
    )
    assert done.exit_code == 3, done.output
    assert line in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
