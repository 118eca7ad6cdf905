"""The ladder as one command: plant, train, audit, compare; what is there is used again."""

import html
import json
from dataclasses import replace

import polars as pl
import pytest
from PIL import Image
from rich.console import Console

from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.plan import Shard
from vlmaudit.lab.ladder import LadderDesign
from vlmaudit.lab.people import draw_people, take_pictures
from vlmaudit.lab.training import Training
from vlmaudit.seeds import stream
from vlmaudit.studies.ladder import Ladder, run_ladder
from vlmaudit.studies.ladder_charts import FIGURES
from vlmaudit.studies.ladder_words import sentences

pytestmark = pytest.mark.torch

PEOPLE, PICTURES, BYSTANDERS, SCENES = 90, 15, 80, 40


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Drawn people in folders, and drawn strangers with captions."""
    root = tmp_path_factory.mktemp("sets")
    everybody = PEOPLE + BYSTANDERS
    drawings = draw_people(["female", "male"] * ((everybody + SCENES) // 2), seed=5)
    for number, drawing in enumerate(drawings[:everybody]):
        folder = root / "people" / f"p{number:03d}"
        folder.mkdir(parents=True)
        count = PICTURES if number < PEOPLE else 3
        taken = take_pictures(drawing, count, rng=stream(5, "pictures", number))
        for place, pixels in enumerate(taken):
            Image.fromarray(pixels).save(folder / f"{place}.png")
    lines = []
    for number, drawing in enumerate(drawings[everybody:]):
        (pixels,) = take_pictures(drawing, 1, rng=stream(5, "scene", number))
        Image.fromarray(pixels).save(root / f"{number}.png")
        captions = [f"a person number {number}", f"somebody in picture {number}"]
        lines.append(json.dumps({"image": f"{number}.png", "captions": captions}))
    (root / "captions.jsonl").write_text("\n".join(lines) + "\n")
    return root


def ladder_of(sets, out, **changes):
    return Ladder(
        people=sets / "people",
        captions=sets / "captions.jsonl",
        out=out,
        design=LadderDesign(controls=40, decoys_per_sex=200),
        training=Training(steps=2, batch_size=32),
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
    assert {row.arm for row in finding.doses} >= {"never", "paired 5", "name-only", "unpaired"}
    assert finding.people == 50
    assert finding.is_repeated is None
    assert {effect.compared for effect in finding.effects} == {
        "square",
        "clean twin",
        "swapped twin",
    }
    (response,) = finding.responses
    assert response.p > 0.001  # two steps teach nothing


def test_each_target_s_audit_replays_its_planting(climbed):
    out, _ = climbed
    for target in ("target-0-planted", "target-3-planted"):
        run = json.loads((out / "seed-0" / target / "run" / "finding.json").read_text())
        gates = {gate["name"]: gate for gate in run["gates"]}
        assert gates["blind baseline"]["label"] == "randomised"


def test_everybody_is_planted_as_often_as_their_arm_says(climbed):
    out, _ = climbed
    target = out / "seed-0" / "target-0-planted"
    pairs = pl.read_parquet(target / "planted.parquet")
    planted = dict(pairs.group_by("identity").len().iter_rows())
    wanted = {"never": 0, "paired 5": 5, "name-only": 5, "unpaired": 10}
    people = json.loads((target / "model" / "planted.json").read_text())["people"]
    for person in people:
        assert planted.get(person["identity"], 0) == wanted[person["arm"]], person
    assert {person["arm"] for person in people} == set(wanted)


def test_attack_pictures_are_not_trained_on(climbed):
    out, _ = climbed
    asked = {
        path.resolve() for path in (out / "seed-0" / "target-0-planted" / "people").rglob("*.png")
    }
    assert len(asked) == 50 * 8


def test_the_same_command_trains_nothing_again(climbed, sets):
    out, finding = climbed
    weights = out / "seed-0" / "target-1-planted" / "model" / "open_clip_model.safetensors"
    before = weights.stat().st_mtime_ns
    assert run_ladder(ladder_of(sets, out), console=Console(quiet=True)) == finding
    assert weights.stat().st_mtime_ns == before


def test_a_folder_with_another_ladder_is_refused(climbed, sets):
    out, _ = climbed
    other = replace(ladder_of(sets, out), training=Training(steps=3, batch_size=32))
    with pytest.raises(RunError, match="steps was 2, and is 3 now"):
        run_ladder(other, console=Console(quiet=True))


def test_people_who_changed_since_are_said(climbed, sets, tmp_path):
    out, _ = climbed
    table = tmp_path / "sources.csv"
    rows = [f"p{number:03d},{'web' if number % 2 else 'press'}" for number in range(PEOPLE)]
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
