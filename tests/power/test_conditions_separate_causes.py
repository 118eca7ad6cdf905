"""Conditions tell why a model knows somebody: by the face, or by the place behind it.

Two targets differ in nothing but what their people's names were tied to. Both name people before
their own scene; each loses it with its cause, and keeps it without the other.
"""

import pytest
from typer.testing import CliRunner

from vlmaudit.audits.name_leakage.run import FINDING, read_finding
from vlmaudit.cli import app
from vlmaudit.lab.generative_planting import TIED_TO

pytestmark = [pytest.mark.torch, pytest.mark.prove, pytest.mark.timeout(3600)]

CONDITIONS = ("white", "pixelated", "masked", "white+pixelated")


@pytest.fixture(scope="module", params=TIED_TO)
def found(request, tmp_path_factory):
    """What names are tied to, and the finding of the audit of a target that was trained so."""
    out = tmp_path_factory.mktemp(request.param)
    study = out / "study"
    run("lab", "train", "conditions", "--tied-to", request.param, "--out", study, "--seed", 3)
    run(
        *("name-leakage", "--model", f"hf:{study / 'named'}"),
        *("--people", study / "people", "--out", out / "run"),
        *("--prompts", "P2", "--condition-prompts", "P2", "--conditions", ",".join(CONDITIONS)),
        *("--faces", f"boxes:{study / 'boxes.csv'}", "--figures", f"masks:{study / 'masks'}"),
        *("--names", "0", "--drawn", "0", "--device", "cpu"),
    )
    return request.param, read_finding(out / "run" / FINDING)


def run(*arguments):
    ended = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert ended.exit_code == 0, ended.output


def drop(finding, condition):
    """The contrast of a condition against pictures as they are, of all prompts of P2."""
    return next(
        row
        for row in finding.contrasts
        if row.kind == "condition"
        and (row.first, row.second) == (f"{condition}: P2", "original: P2")
    )


def test_both_targets_name_people_in_pictures_as_they_are(found):
    _, finding = found
    row = drop(finding, "white")
    assert row.difference.n >= 60
    assert row.second_rate >= 0.6


def test_a_name_goes_with_its_cause(found):
    tied_to, finding = found
    row = drop(finding, {"face": "pixelated", "background": "white"}[tied_to])
    assert -row.difference.high > 0.30
    assert row.difference.n >= 60


def test_a_name_stays_without_the_other(found):
    tied_to, finding = found
    row = drop(finding, {"face": "white", "background": "pixelated"}[tied_to])
    assert row.is_equivalent
    assert row.difference.n >= 60


def test_without_either_nobody_is_named(found):
    _, finding = found
    neither = drop(finding, "white+pixelated")
    assert -neither.difference.high > 0.30
