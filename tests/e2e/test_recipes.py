"""The recipes, followed word for word on a copy of the code, lead to what they promise."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"
BLOCK = re.compile(r"^```(python|markdown|diff) file=(\S+)\n(.*?)^```$", re.M | re.S)


def follow(recipe, copy):
    """Do what a recipe says to do to files: write new ones, change those that are there."""
    blocks = BLOCK.findall((RECIPES / recipe).read_text(encoding="utf-8"))
    assert blocks
    for kind, name, text in blocks:
        file = copy / name
        if kind != "diff":
            assert not file.exists(), name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        else:
            file.write_text(changed(file.read_text(encoding="utf-8"), text, name), encoding="utf-8")


def changed(text, diff, name):
    """A text after a change that is shown with a line or more around it."""
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    assert all(sign in {" ", "+", "-"} for sign, _ in lines if sign), name
    before = "".join(f"{line}\n" for sign, line in lines if sign != "+")
    after = "".join(f"{line}\n" for sign, line in lines if sign != "-")
    assert text.count(before) == 1, f"{name}: {text.count(before)} times\n{before}"
    return text.replace(before, after)


@pytest.fixture
def copy(tmp_path):
    """The code and its tests, to be changed."""
    for part in ("src/vlmaudit", "tests"):
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, tmp_path / "copy" / part, ignore=without)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "copy")
    return tmp_path / "copy"


def done_in(copy, *arguments, may_fail=False):
    """Run this Python on the copy's code."""
    own = {"PYTHONPATH": str(copy / "src"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=copy,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert may_fail or done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def vlmaudit(copy, *arguments):
    """Run the command line of the copy."""
    return done_in(copy, "-c", "from vlmaudit.cli import main; main()", *arguments)


def test_code_in_recipes_is_formatted_and_sound(copy):
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed beside this Python")
    for recipe in RECIPES.glob("*.md"):
        follow(recipe.name, copy)
    for check in (["format", "--check"], ["check", "--no-cache"]):
        command = [ruff, *check, "src/vlmaudit/models", "src/vlmaudit/audits/mirroring"]
        command += ["src/vlmaudit/execution/mirroring.py", "src/vlmaudit/cli/mirroring.py"]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.torch
@pytest.mark.process
def test_a_model_family_is_added_by_its_recipe(copy, build_study, tmp_path):
    follow("add-a-model-family.md", copy)
    contract = (
        "tests/contract/test_contrastive_models.py",
        "-k",
        "linear",
        "-q",
        "-p",
        "no:cacheprovider",
    )
    base = tmp_path / "base"
    done = done_in(copy, "-m", "pytest", *contract, f"--basetemp={base}")
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20
    (weights,) = base.rglob("tiny-linear.safetensors")
    study = build_study(tmp_path / "study", people=4, known=1, controls=20, pictures=1)
    out = tmp_path / "run"
    vlmaudit(
        copy,
        *("identity-inference", "--model", f"linear:{weights}", "--people", study.people),
        *("--controls", study.controls, "--out", out, "--names", 199, "--paper-pool", 100),
    )
    finding = json.loads((out / "finding.json").read_text(encoding="utf-8"))
    assert finding["model"]["name"] == "linear:tiny-linear.safetensors"
    assert all(person["p"] is not None for person in finding["people"])
    checks = json.loads((out / "self-test.json").read_text(encoding="utf-8"))["checks"]
    assert {check["passed"] for check in checks} <= {True, None}


@pytest.mark.process
def test_an_audit_is_written_by_its_recipe(copy, build_study, tmp_path):
    follow("write-an-audit.md", copy)
    study = build_study(tmp_path / "study", people=12, known=4, controls=1)
    out = tmp_path / "run"
    command = ("mirroring", "--model", study.model, "--people", study.people, "--out", out)
    said = vlmaudit(copy, *command).stdout
    finding = json.loads((out / "finding.json").read_text(encoding="utf-8"))
    changed = {row["identity"]: row["changed"] for row in finding["people"]}
    assert {identity for identity, share in changed.items() if share == 0} >= study.known
    assert finding["estimates"]["changed"]["value"] > 0.1  # of the others, the picture has a say
    assert finding["tests"][0]["p"] < 0.01
    assert finding["sentence"] in said
    # What was asked is not asked again, and what is lost is: to the same bytes.
    before = (out / "finding.json").read_bytes()
    lost, *kept = sorted(out.glob("private/blocks/*.parquet"))
    times = [block.stat().st_mtime_ns for block in kept]
    lost.unlink()
    vlmaudit(copy, *command)
    assert (out / "finding.json").read_bytes() == before
    assert [block.stat().st_mtime_ns for block in kept] == times
    assert "everything was asked" in vlmaudit(copy, "status", out).stdout


@pytest.mark.process
def test_an_audit_written_by_its_recipe_keeps_the_layers(copy):
    follow("write-an-audit.md", copy)
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    done = done_in(copy, "-c", program, may_fail=True)
    assert "Contracts" in done.stdout
    assert "vlmaudit.cli.mirroring -> " not in done.stdout  # what breaks a layer is listed so
