"""``vlmaudit models check`` as a user meets it."""

import json
import re
import shutil

import pytest

from vlmaudit.models.scripted import Knows
from vlmaudit.report.self_test import print_self_test, study_seconds
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.self_test import Check, SelfTest


@pytest.fixture
def fake(tmp_path):
    file = tmp_path / "knows.json"
    file.write_text(json.dumps({"people": {"#ff0000": "Ada Lovelace"}}))
    return f"scripted:{file}"


@pytest.fixture
def broken(tmp_path):
    """A fake that has no embedding for one of the drawn pictures."""
    file = tmp_path / "broken.json"
    file.write_text(json.dumps({"people": {}, "broken": ["#ffffff"]}))
    return f"scripted:{file}"


def test_a_sound_model_passes_and_tells_its_speed(fake, run):
    done = run("models", "check", fake)
    assert done.exit_code == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == "scripted:knows.json passes its self-test in float32."
    assert any(line.startswith("✓ repeatable ") for line in lines)
    assert any(line.startswith("– image activation ") for line in lines)
    assert not any(line.startswith("✗") for line in lines)
    assert re.match(r"Here it takes [\d,]+ decoded pictures and [\d,]+ texts a second\.", lines[-2])
    assert lines[-1].startswith("25,000 pictures and 1,000 names in 21 templates: about ")
    assert max(map(len, lines)) <= 80
    assert "Self-test" in done.stderr


def test_a_model_that_fails_exits_with_3_and_one_line(broken, run):
    done = run("models", "check", broken)
    assert done.exit_code == 3
    assert "✗ numbers" in done.stdout
    assert "does not pass its self-test" in done.stdout
    assert done.stderr.splitlines()[-1] == (
        'error: model "scripted:broken.json": does not pass its self-test: numbers.'
    )


def test_for_programs(fake, broken, run):
    done = run("models", "check", fake, "--json")
    test = SelfTest.model_validate_json(done.stdout)
    assert test.passed
    assert json.loads(done.stdout)["schema"] == 1
    done = run("models", "check", broken, "--json")
    assert done.exit_code == 3
    test = SelfTest.model_validate_json(done.stdout)
    assert [check.name for check in test.failed] == ["numbers"]
    assert test.failures() == [f"numbers: {test.failed[0].sentence}"]


def test_how_long_a_study_takes_is_for_its_pictures_and_names(fake, run):
    done = run("models", "check", fake, "--pictures", 1, "--names", 1)
    assert done.stdout.splitlines()[-1] == "1 picture and 1 name in 21 templates: about 1 s here."
    assert run("models", "check", fake, "--pictures", -1).exit_code == 2


def test_known_answers_are_written_and_compared_with(fake, run, tmp_path):
    done = run("models", "check", fake, "--write-known-answers")
    assert done.exit_code == 0
    file = tmp_path / "knows.json.known_answers.json"
    assert done.stderr.splitlines()[-1] == f"Wrote {file}"
    assert "✓ known answers" in run("models", "check", fake).stdout
    (tmp_path / "knows.json").write_text(json.dumps({"people": {}, "seed": 1}))
    done = run("models", "check", fake)
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1].endswith("does not pass its self-test: known answers.")
    assert run("models", "check", fake, "--write-known-answers").exit_code == 0
    assert run("models", "check", fake).exit_code == 0


def test_a_model_that_fails_is_not_remembered(broken, run, tmp_path):
    done = run("models", "check", broken, "--write-known-answers")
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1].endswith("numbers. Its known answers were not written.")
    assert not list(tmp_path.glob("*known_answers*"))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"schema": 2}'])
def test_known_answers_that_cannot_be_read(fake, content, run, tmp_path):
    file = tmp_path / "knows.json.known_answers.json"
    file.write_bytes(content)
    done = run("models", "check", fake)
    assert done.exit_code == 3
    assert done.stderr == (
        f"error: {file}: no known answers that this version reads; remove the file or write it "
        "anew (--write-known-answers).\n"
    )
    assert run("models", "check", fake, "--write-known-answers").exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["scripted:none.json"], "the file cannot be read"),
        (["{fake}", "--dtype", "bfloat16"], "answers in float32"),
        (["{fake}", "--device", "tpu"], 'no such device as "tpu"'),
        (["{fake}", "--batch-size", "0"], "--batch-size 0: wanted a number from 1, or auto."),
        (["nonsense"], "no kind of model is named"),
    ],
)
def test_errors_that_the_user_can_act_on(options, said, fake, run):
    done = run("models", "check", *(option.replace("{fake}", fake) for option in options))
    assert done.exit_code == 3
    assert said in done.stderr.splitlines()[-1]
    assert not done.stdout


@pytest.mark.torch
@pytest.mark.parametrize("family", ["open_clip", "hf"])
def test_a_checkpoint_of_a_real_architecture(family, tiny_open_clip, tiny_hf_clip, run, tmp_path):
    source = {"open_clip": tiny_open_clip, "hf": tiny_hf_clip}[family]
    folder = shutil.copytree(source, tmp_path / source.name)
    spec = f"{family}:{folder}"
    done = run("models", "check", spec, "--write-known-answers", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    for name in ("image activation", "text activation", "normalisation", "full text length"):
        assert f"✓ {name}" in done.stdout
    assert (folder / "known_answers.json").is_file()
    again = run("models", "check", spec, "--batch-size", 3, "--device", "cpu")
    assert "✓ known answers" in again.stdout
    assert str(tmp_path) not in again.stdout


def test_a_hub_repository_has_no_place_for_known_answers():
    from vlmaudit.errors import InputError
    from vlmaudit.execution.checking import read_known_answers, write_known_answers

    assert read_known_answers("hf:ada/tiny") is None
    with pytest.raises(InputError, match="hf:ada/tiny has no folder on this machine"):
        write_known_answers("hf:ada/tiny", SelfTest(model=RECORD, checks=()))


def test_a_black_box(run, servers):
    with servers.ZeroShotServer(Knows({})) as server:
        done = run("models", "check", f"endpoint:{server.url}?token=secret")
        n_requests = len(server.asked)
    assert done.exit_code == 0, done.stderr + done.stdout
    assert n_requests == 5
    assert "✓ order of labels" in done.stdout
    assert "A request takes " in done.stdout
    assert "secret" not in done.stdout + done.stderr


RECORD = ModelRecord(name="hf:tiny", family="hf", weights="0" * 32, dtype="float32")


def test_how_long_a_study_takes():
    open_ = SelfTest(model=RECORD, checks=(), images_per_second=50.0, texts_per_second=300.0)
    assert study_seconds(open_, pictures=25_000, names=1_000) == pytest.approx(500 + 70)
    closed = SelfTest(model=RECORD, checks=(), seconds_per_request=0.5, requests_at_once=4)
    assert study_seconds(closed, pictures=100, names=1_000) == pytest.approx(2100 * 0.5 / 4)
    assert study_seconds(SelfTest(model=RECORD, checks=()), pictures=1, names=1) is None


def test_nothing_from_outside_acts_on_the_terminal(capsys):
    from rich.console import Console

    said = Check(name="offered labels", passed=False, sentence='"[red]\x1b[31mcat" was chosen.')
    test = SelfTest(model=RECORD.model_copy(update={"name": "endpoint:\x1b[2Jx"}), checks=(said,))
    print_self_test(test, pictures=1, names=1, console=Console(width=40))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]" in shown
    assert max(map(len, shown.splitlines())) <= 40


def test_lines_stay_short_in_a_wide_terminal(capsys):
    from rich.console import Console

    said = Check(name="texts together", passed=True, sentence="The same alone and together. " * 9)
    test = SelfTest(model=RECORD, checks=(said,), seconds_per_request=1.0)
    print_self_test(test, pictures=1, names=1, console=Console(width=200))
    assert 80 < max(len(line.rstrip()) for line in capsys.readouterr().out.splitlines()) <= 96
