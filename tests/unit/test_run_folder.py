"""Runs on disk: blocks, manifest, plan; whole or not at all."""

import os
import stat

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vlmaudit.data.identities import read_people
from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.plan import check_disjoint, deal, list_pictures
from vlmaudit.results.blocks import BLOCK_SIZE, Part
from vlmaudit.results.files import write_whole
from vlmaudit.results.fingerprint import case_key, fingerprint
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.run_folder import Manifest, RunFolder

MODEL = ModelRecord(name="m", family="scripted", weights="w", dtype="float32")


def manifest(**changes):
    asked = {
        "audit": "identity-inference",
        "model_spec": "scripted:m.json",
        "model": MODEL,
        "people": "people",
        "controls": None,
        "observation": {"templates": ["{name}"]},
        "conclusion": {"protocol": "audit"},
    }
    return Manifest(**(asked | changes))


def people(root, **pictures):
    for number, (name, count) in enumerate(pictures.items()):
        (root / name).mkdir(parents=True)
        for place in range(count):
            pixels = np.full((4, 4, 3), 20 * number + place, np.uint8)
            Image.fromarray(pixels).save(root / name / f"{place}.png")
    return read_people(root)


def sealed(run):
    """A run in which something was answered."""
    rows = {name: ["a"] for name in ("case", "identity", "image", "condition")}
    with run.blocks().claim(Part(0, 0, ("a",)), {}) as claim:
        claim.add(pl.DataFrame({**rows, "status": ["answered"], "reason": [""]}), "env")
        claim.seal()


def test_a_file_is_whole_or_not_there(tmp_path):
    def die(path):
        path.write_text("half a ")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "000004.parquet", die)
    assert not list(tmp_path.iterdir())


def test_private_things_are_the_owner_s_alone(tmp_path):
    run = RunFolder(tmp_path / "run")
    os.umask(0)
    run.make(fresh=False)
    sealed(run)
    assert stat.S_IMODE(run.private.stat().st_mode) == 0o700
    block = run.private / "blocks" / "000000.parquet"
    assert stat.S_IMODE(block.stat().st_mode) == 0o600


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("\\documentclass")
    with pytest.raises(RunError, match="holds other files"):
        RunFolder(tmp_path).make(fresh=True)


def test_a_private_folder_of_somebody_else_is_never_emptied(tmp_path):
    (tmp_path / "private").mkdir()
    diary = tmp_path / "private" / "diary.txt"
    diary.write_text("dear diary")
    for fresh in (False, True):
        with pytest.raises(RunError, match="holds other files"):
            RunFolder(tmp_path).make(fresh=fresh)
    assert diary.read_text() == "dear diary"


def test_what_a_run_leaves_that_found_no_model_is_no_obstacle(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.make(fresh=False)
    run.make(fresh=True)
    run.make(fresh=False)
    assert not list(run.private.iterdir())


def test_a_run_goes_on_only_with_the_same_model_and_question(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.make(fresh=False)
    run.agree(manifest())
    run.agree(manifest(conclusion={"protocol": "paper"}))
    run.agree(manifest(model=MODEL.model_copy(update={"name": "renamed"})))
    with pytest.raises(RunError, match=r"another model; .*--fresh"):
        run.agree(manifest(model=MODEL.model_copy(update={"weights": "other"})))
    with pytest.raises(RunError, match="another templates"):
        run.agree(manifest(observation={"templates": ["a {name}"]}))


def test_starting_over_forgets_the_answers(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.make(fresh=False)
    run.agree(manifest())
    sealed(run)
    run.make(fresh=True)
    run.agree(manifest(model=MODEL.model_copy(update={"weights": "other"})))
    assert run.blocks().sealed() == set()


def test_what_is_no_run_says_so(tmp_path):
    with pytest.raises(RunError, match="no run here"):
        RunFolder(tmp_path).read_manifest()
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RunError, match="not a manifest"):
        RunFolder(tmp_path).read_manifest()


def test_a_fingerprint_follows_content_and_not_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    keys = {
        case_key("p", "original", MODEL),
        case_key("q", "original", MODEL),
        case_key("p", "white", MODEL),
        case_key("p", "original", MODEL.model_copy(update={"dtype": "bfloat16"})),
        case_key("p", "original", MODEL.model_copy(update={"weights": "v"})),
    }
    assert len(keys) == 5
    assert case_key("p", "white", MODEL) == case_key(
        "p", "white", MODEL.model_copy(update={"name": "elsewhere"})
    )


def test_one_picture_of_two_people_is_refused(tmp_path):
    found = people(tmp_path / "people", Ann=1, Bob=1)
    (tmp_path / "people" / "Bob" / "0.png").write_bytes(
        (tmp_path / "people" / "Ann" / "0.png").read_bytes()
    )
    with pytest.raises(InputError, match=r"Ann/0.png and Bob/0.png are the same picture"):
        list_pictures(found, "audited")


def test_copies_of_a_person_s_picture_count_once(tmp_path):
    people(tmp_path / "people", Ann=2)
    (tmp_path / "people" / "Ann" / "copy.png").write_bytes(
        (tmp_path / "people" / "Ann" / "0.png").read_bytes()
    )
    pictures, notices = list_pictures(read_people(tmp_path / "people"), "audited")
    assert [picture.image for picture in pictures] == ["Ann/0.png", "Ann/1.png"]
    assert notices == ["1 pictures copy another of the same person: left out."]


def test_controls_are_other_people(tmp_path):
    audited, _ = list_pictures(people(tmp_path / "a", Ann=1), "audited")
    same, _ = list_pictures(people(tmp_path / "b", Ann=1), "control")
    with pytest.raises(InputError, match='"Ann" is both audited and a control'):
        check_disjoint(audited, same)
    twin, _ = list_pictures(people(tmp_path / "c", Bob=1), "control")
    with pytest.raises(InputError, match=r"Ann/0.png and Bob/0.png are the same picture"):
        check_disjoint(audited, twin)


def test_new_pictures_get_blocks_of_their_own(tmp_path):
    plan = tmp_path / "plan.parquet"
    names = {f"P{number}": 10 for number in range(10)}
    pictures, _ = list_pictures(people(tmp_path / "people", **names), "audited")
    first = deal(pictures[:70], MODEL, plan)
    assert [len(cases) for cases in first.values()] == [BLOCK_SIZE, 6]
    assert deal(pictures[:70], MODEL, plan) == first
    later = deal(pictures, MODEL, plan)
    assert {number: later[number] for number in first} == first
    assert [len(later[number]) for number in later if number not in first] == [30]
    fewer = deal(pictures[1:70], MODEL, plan)
    assert sum(len(cases) for cases in fewer.values()) == 69
