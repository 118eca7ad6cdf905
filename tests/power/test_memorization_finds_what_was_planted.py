"""The demo of memorization, whole: what was planted is found, and what was not is not.

Two models are tuned once for all these tests, for minutes.
"""

from dataclasses import replace

import pytest
from rich.console import Console

from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.lab.finetuning_settings import TINY
from vlmaudit.studies.memorization_demo import Scale, run_memorization_demo

pytestmark = [pytest.mark.torch, pytest.mark.timeout(3600)]

MOMENT = Scale(
    records=5,
    examples=40,
    held_out=10,
    training=replace(TINY, steps=2, batch_size=12),
    settings=Memorization(
        pictures=1,
        batches=1,
        batch_size=2,
        batch_sizes=(1, 2),
        curve_batches=1,
        fields=("id",),
        decoys=20,
        max_new_tokens=4,
        permutations=99,
        folds=4,
    ),
)


def test_a_demo_of_a_moment_runs(tmp_path):
    quiet = Console(quiet=True)
    found = run_memorization_demo(tmp_path, seed=0, console=quiet, scale=MOMENT)
    assert {row.mean for row in found.planted.means} >= {"probe", "gradients", "exposure"}
    assert found.planted.roles == ["tuned", "control"]
    assert found.clean.variant == "r0"
    # Five records a side prove nothing, and the finding says so.
    assert found.clean.verdict == "inconclusive"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("memorization")
    found = run_memorization_demo(out, seed=0, console=Console(quiet=True))
    # What is there is used, and says the same.
    assert run_memorization_demo(out, seed=0, console=Console(quiet=True)) == found
    return found


def answers(finding):
    return {row.mean: row.answer for row in finding.means}


@pytest.mark.prove
def test_values_that_answers_spoke_are_found(demo):
    finding = demo.planted
    assert finding.verdict == "found"
    assert answers(finding)["extraction"] == "found"
    assert answers(finding)["exposure"] == "found"
    removed = next(row for row in finding.ways if row.role == "tuned" and row.way == "removed")
    assert removed.seen.value > removed.unseen.value + 0.2


@pytest.mark.prove
def test_a_model_that_never_saw_a_record_tells_none_apart(demo):
    finding = demo.clean
    assert "found" not in answers(finding).values()
    for row in finding.means:
        assert row.p > 0.01


@pytest.mark.prove
def test_it_grows_with_the_dose(demo):
    slopes = {row.mean: row for row in demo.planted.slopes}
    assert slopes["exposure"].slope > 0
