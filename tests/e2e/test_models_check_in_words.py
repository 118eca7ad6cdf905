"""``vlmaudit models check`` of models that answer in words, as a user meets it."""

import json
import re
import runpy
from pathlib import Path

import pytest

from vlmaudit.models.scripted_answers import Rule, Says
from vlmaudit.results.self_test import SelfTest


@pytest.fixture
def fake(tmp_path):
    file = tmp_path / "says.json"
    disc = {"face": "#ffffff", "answer": "A white disc."}
    file.write_text(json.dumps({"rules": [disc], "otherwise": "A picture."}))
    return f"scripted:{file}"


def test_a_script(fake, run):
    done = run("models", "check", fake, "--pictures", 10)
    assert done.exit_code == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == "scripted:says.json passes its self-test in float32."
    assert any(line.startswith("✓ pictures told apart ") for line in lines)
    assert re.match(
        r"An answer takes [\d.e-]+ s; [\d,]+ names a second are scored as answers\.", lines[-2]
    )
    assert lines[-1].startswith("10 pictures, each with 30 prompts and 1,000 names scored: about ")
    assert max(map(len, lines)) <= 80


def test_what_a_script_said_is_kept_and_compared_with(fake, run, tmp_path):
    done = run("models", "check", fake, "--write-known-answers")
    assert done.stderr.splitlines()[-1] == f"Wrote {tmp_path / 'says.json.known_answers.json'}"
    assert "✓ known answers" in run("models", "check", fake).stdout
    (tmp_path / "says.json").write_text(json.dumps({"rules": [], "otherwise": "A photo."}))
    done = run("models", "check", fake)
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1].endswith("does not pass its self-test: known answers.")


def test_a_chat_server(run, servers):
    says = Says([Rule(face="#ffffff", answer="A white disc.")])
    with servers.ChatServer(says) as server:
        done = run("models", "check", f"chat:qwen@{server.url}?token=secret", "--json")
        assert len(server.asked) == 6
    assert done.exit_code == 0, done.stderr + done.stdout
    test = SelfTest.model_validate_json(done.stdout)
    assert test.model.family == "chat"
    assert test.seconds_per_answer > 0
    assert "secret" not in done.stdout + done.stderr


def test_a_chat_server_that_is_not_there(run, servers):
    with servers.ChatServer(Says()) as server:
        url = server.url
    done = run("models", "check", f"chat:qwen@{url}")
    assert done.exit_code == 3
    assert "it does not answer (no connection)" in done.stderr.splitlines()[-1]
    assert not done.stdout


@pytest.mark.torch
def test_a_checkpoint_of_a_real_architecture(run, tmp_path):
    builders = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
    spec = f"hf:{builders['build']('LLaVA', tmp_path)}"
    done = run("models", "check", spec, "--device", "cpu", "--max-new-tokens", 4)
    assert done.exit_code == 0, done.stderr
    for name in ("asked alone", "shared work", "candidate names"):
        assert f"✓ {name}" in done.stdout
    assert str(tmp_path) not in done.stdout
