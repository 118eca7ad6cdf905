"""`lab people` and `lab train contrastive`: sets that are drawn, a model trained on captions."""

import hashlib

import pytest
from typer.testing import CliRunner

from vlmaudit.cli import app
from vlmaudit.data.captions import read_captioned
from vlmaudit.data.identities import read_people
from vlmaudit.lab.drawn_sets import draw_sets
from vlmaudit.models.loading import load_contrastive


def asked(*arguments):
    return CliRunner().invoke(app, ["lab", *map(str, arguments)])


def digests(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_drawn_sets_are_a_people_folder_and_a_captioned_set(tmp_path):
    out = tmp_path / "drawn"
    result = asked("people", "--out", out, "--people", 10, "--pictures", 6, "--scenes", 5)
    assert result.exit_code == 0, result.output
    people = read_people(out / "people")
    counts = [len(people.pictures[person.identity]) for person in people.persons]
    assert counts == [36, 36, 18, 18, 18, 18, 6, 6, 6, 6]
    assert len({person.name for person in people.persons}) == 10
    scenes = list(read_captioned(out / "captions.jsonl"))
    assert len(scenes) == 5
    assert all(len(scene.captions) == 2 for scene in scenes)


def test_a_seed_draws_the_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_sets(tmp_path / name, pictures=[2, 1], scenes=3, seed=seed)
    first, again, other = (digests(tmp_path / name) for name in "abc")
    assert first == again
    assert first != other


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = asked("people", "--out", tmp_path, "--people", 2)
    assert result.exit_code == 2
    assert "is not empty" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.torch
def test_a_model_is_trained_on_captions_and_goes_on(tmp_path):
    draw_sets(tmp_path / "drawn", pictures=[1], scenes=20, seed=0)
    (tmp_path / "drawn" / "scenes" / "00003.png").write_bytes(b"no picture")
    model = tmp_path / "model"
    command = (
        *("train", "contrastive", "--captions", tmp_path / "drawn" / "captions.jsonl"),
        *("--out", model, "--steps", 2, "--batch-size", 8, "--architecture", "lab-resnet-48"),
    )
    result = asked(*command)
    assert result.exit_code == 0, result.output
    assert "Left out: " in result.output
    assert load_contrastive(f"open_clip:{model}").encode_texts(["a red ring"]).shape[0] == 1
    before = digests(model)
    assert asked(*command).exit_code == 0
    assert digests(model) == before
