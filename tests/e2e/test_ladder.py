"""The ladder as one command: plant, train, audit, compare; what is there is used again.

Six small models are really trained, once for all of these tests: who was planted must be found, and
who was not must not.
"""

import html
import json
import shutil
from dataclasses import replace

import polars as pl
import pytest
from rich.console import Console

from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.identity_inference import run_identity_inference
from vlmaudit.execution.plan import Shard
from vlmaudit.execution.target import Target
from vlmaudit.lab.drawn_sets import draw_sets
from vlmaudit.lab.ladder import LadderDesign
from vlmaudit.lab.training import Training
from vlmaudit.studies.ladder import Ladder, run_ladder
from vlmaudit.studies.ladder_charts import FIGURES
from vlmaudit.studies.ladder_words import sentences

pytestmark = [pytest.mark.torch, pytest.mark.timeout(1500)]

SCENES = 200
COUNTS = [15] * 90 + [45] * 40 + [3] * 80
"""Pictures of each person: some for low doses, some for high ones, and bystanders."""

ARMS = {
    "never": 0,
    **{f"paired {dose}": dose for dose in (1, 5, 10, 25)},
    "name-only": 5,
    "unpaired": 10,
}
"""How many pairs of a target have somebody's face or name in them."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Drawn people in folders, and drawn scenes with captions."""
    root = tmp_path_factory.mktemp("sets")
    draw_sets(root, pictures=COUNTS, scenes=SCENES, seed=5)
    return root


def ladder_of(sets, out, **changes):
    return Ladder(
        people=sets / "people",
        captions=sets / "captions.jsonl",
        out=out,
        design=LadderDesign(controls=40, decoys_per_sex=200),
        training=Training(steps=150, batch_size=64, architecture="lab-resnet-48"),
        seeds=(0,),
        **changes,
    )


@pytest.fixture(scope="module")
def climbed(sets, tmp_path_factory):
    out = tmp_path_factory.mktemp("ladder") / "out"
    console = Console(quiet=True)
    assert run_ladder(ladder_of(sets, out, shard=Shard(2, 2)), console=console) is None
    return out, run_ladder(ladder_of(sets, out), console=console)


def test_a_ladder_is_climbed_by_shards_and_concluded_once(climbed):
    out, finding = climbed
    assert json.loads((out / "ladder.json").read_text())["people"] == finding.people
    folders = sorted(path.name for path in (out / "seed-0").iterdir())
    assert folders == [
        "target-0-clean",
        "target-0-planted",
        "target-0-swapped",
        *(f"target-{number}-planted" for number in (1, 2, 3)),
    ]
    assert {row.arm for row in finding.doses} == {*ARMS}
    assert finding.people == 90
    assert finding.is_repeated is None
    assert {effect.compared for effect in finding.effects} == {
        "square",
        "clean twin",
        "swapped twin",
    }


def row(finding, arm):
    return next(row for row in finding.doses if row.arm == arm)


def test_planted_people_are_found(climbed):
    finding = climbed[1]
    never = row(finding, "never")
    for arm in ("paired 5", "paired 10", "paired 25"):
        assert row(finding, arm).small_p.low > 0.3
        assert row(finding, arm).small_p.low > never.small_p.high
        assert row(finding, arm).detected.low > never.detected.high
    (response,) = finding.responses
    assert response.statistic > 0
    assert response.p == 0.001


def test_people_who_were_not_planted_with_their_name_are_not_found(climbed):
    finding = climbed[1]
    for arm in ("never", "name-only", "unpaired"):
        assert row(finding, arm).at_level
        assert row(finding, arm).detected.value < 0.05


@pytest.mark.parametrize("compared", ["square", "clean twin", "swapped twin"])
def test_planting_is_what_raises_the_score_of_the_same_people(climbed, compared):
    rows = [one for one in climbed[1].effects if one.compared == compared]
    (effect,) = (one for one in rows if one.dose == 5)
    assert effect.difference.low > 0
    assert effect.test.p < 0.01
    assert all(one.difference.value > 0 for one in rows)


def test_the_clean_twin_knows_nobody(climbed):
    out, _ = climbed
    run = json.loads((out / "seed-0" / "target-0-clean" / "run" / "finding.json").read_text())
    people = [one for one in run["people"] if one["p"] is not None]
    assert len(people) == 90
    # 10 of 90 or fewer in 995 of 1000 sound audits; planted ones have twenty or more.
    assert sum(one["p"] <= 0.05 for one in people) <= 10
    assert sum(bool(one["detected"]) for one in people) <= 1


def test_each_target_s_audit_replays_its_planting(climbed):
    out, _ = climbed
    for target in ("target-0-planted", "target-3-planted", "target-0-swapped"):
        run = json.loads((out / "seed-0" / target / "run" / "finding.json").read_text())
        gates = {gate["name"]: gate for gate in run["gates"]}
        assert gates["blind baseline"]["label"] == "randomised"


def test_a_design_as_the_paper_made_its_own_is_confounded(climbed, tmp_path):
    """The same target and people, but who counts as a member is whom a model knows best."""
    out, _ = climbed
    target = out / "seed-0" / "target-0-planted"
    shutil.copytree(target / "model", tmp_path / "model")
    (tmp_path / "model" / "planted.json").unlink()
    shutil.copytree(target / "people", tmp_path / "people")  # follows the links to the pictures
    baseline = json.loads((out / "seed-0/target-1-planted/run/finding.json").read_text())
    score = {person["identity"]: person["z"] for person in baseline["people"]}
    table = pl.read_csv(tmp_path / "people" / "people.csv", infer_schema=False).with_columns(
        pl.col("identity").replace_strict(score).alias("recognisability")
    )
    is_known = pl.col("recognisability") > pl.col("recognisability").median()
    table.with_columns(
        pl.when(is_known).then(pl.lit("member")).otherwise(pl.lit("non_member")).alias("membership")
    ).write_csv(tmp_path / "people" / "people.csv")

    finding = run_identity_inference(
        Target(
            model=f"open_clip:{tmp_path / 'model'}",
            people=tmp_path / "people",
            controls=target / "controls",
            names=target / "names.csv",
            out=tmp_path / "run",
        ),
        IdentityInference(paper_pool=400),
        console=Console(quiet=True),
    )
    (gate,) = (gate for gate in finding.gates if gate.name == "blind baseline")
    assert gate.label == "confounded"
    assert gate.passed is False
    assert finding.verdict == "inconclusive"


def test_everybody_is_planted_as_often_as_their_arm_says(climbed):
    out, _ = climbed
    target = out / "seed-0" / "target-0-planted"
    pairs = pl.read_parquet(target / "planted.parquet")
    planted = dict(pairs.group_by("identity").len().iter_rows())
    people = json.loads((target / "model" / "planted.json").read_text())["people"]
    for person in people:
        assert planted.get(person["identity"], 0) == ARMS[person["arm"]], person
    assert {person["arm"] for person in people} == {*ARMS}


def test_attack_pictures_are_not_trained_on(climbed):
    out, _ = climbed
    asked = {
        path.resolve() for path in (out / "seed-0" / "target-0-planted" / "people").rglob("*.png")
    }
    assert len(asked) == 90 * 8


def test_the_same_command_trains_nothing_again(climbed, sets):
    out, finding = climbed
    weights = out / "seed-0" / "target-1-planted" / "model" / "open_clip_model.safetensors"
    before = weights.stat().st_mtime_ns
    assert run_ladder(ladder_of(sets, out), console=Console(quiet=True)) == finding
    assert weights.stat().st_mtime_ns == before


def test_a_folder_with_another_ladder_is_refused(climbed, sets):
    out, _ = climbed
    other = replace(ladder_of(sets, out), training=Training(steps=3))
    with pytest.raises(RunError, match="steps was 150, and is 3 now"):
        run_ladder(other, console=Console(quiet=True))


def test_people_who_changed_since_are_said(climbed, sets, tmp_path):
    out, _ = climbed
    table = tmp_path / "sources.csv"
    rows = [f"person-{n + 1:04d},{'web' if n % 3 else 'press'}" for n in range(len(COUNTS))]
    table.write_text("\n".join(["identity,source", *rows]) + "\n")
    with pytest.raises(RunError, match="trained on another planting"):
        run_ladder(ladder_of(sets, out, sources=table), console=Console(quiet=True))


def test_options_that_make_no_ladder_do_not_bind_the_folder(sets, tmp_path):
    out = tmp_path / "out"
    wrong = replace(ladder_of(sets, out), design=LadderDesign(controls=90))
    with pytest.raises(InputError, match="the largest number is"):
        run_ladder(wrong, console=Console(quiet=True))
    assert not (out / "settings.json").exists()


def test_the_page_says_what_the_finding_says(climbed):
    out, finding = climbed
    page = html.unescape((out / "ladder.html").read_text()).replace("\u00a0", " ")
    for sentence in sentences(finding):
        assert sentence in page
    assert sorted(path.name for path in (out / "figures").iterdir()) == sorted(
        f"{name}.{ending}" for name in FIGURES for ending in ("svg", "pdf")
    )


def test_sources_that_are_no_table_are_said(sets, tmp_path):
    table = tmp_path / "sources.csv"
    table.write_text("identity,origin\np000,web\n")
    with pytest.raises(InputError, match='no column "source"'):
        run_ladder(ladder_of(sets, tmp_path / "out", sources=table), console=Console(quiet=True))
