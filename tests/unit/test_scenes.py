"""People in front of scenes: what is whose is known exactly, and names hang on one of the two."""

import csv
import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from vlmaudit.errors import InputError, RunError
from vlmaudit.imaging.blending import blend
from vlmaudit.imaging.boxes import Box
from vlmaudit.imaging.given_boxes import GivenBoxes
from vlmaudit.imaging.hiding import mask as blacken
from vlmaudit.imaging.hiding import pixelate
from vlmaudit.lab import generative_planting
from vlmaudit.lab.generative_planting import (
    TIED_TO,
    GenerativeDesign,
    own_scene,
    plan_generative,
    show,
)
from vlmaudit.lab.generative_settings import GenerativeTraining
from vlmaudit.lab.generative_study import draw_generative_study, planted_record
from vlmaudit.lab.hatched import hatch_people
from vlmaudit.lab.people import RASTER_SIDE, draw_people
from vlmaudit.lab.scenes import compose, draw_scene, plain_figure, plain_scene
from vlmaudit.lab.study import folder_name
from vlmaudit.seeds import stream

DESIGN = GenerativeDesign(
    exposed=4,
    unexposed=4,
    pictures_per_exposed=3,
    named_strangers=4,
    pictures_per_named_stranger=2,
    nameless_strangers=2,
    pictures_per_nameless_stranger=1,
    attack_pictures=2,
    decoys_per_sex=5,
)
# A strip within each of the three by three zones in which hatched people differ.
THIRDS_DOWN = [slice(16, 30), slice(46, 60), slice(76, 90)]
THIRDS_ACROSS = [slice(32, 35), slice(46, 49), slice(61, 64)]


@pytest.fixture(scope="module")
def faces():
    return draw_people(["female", "male"] * 4, seed=3)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("tied")
    return {
        one: draw_generative_study(replace(DESIGN, tied_to=one), root / one, seed=1)
        for one in TIED_TO
    }


def composed(faces, scenes):
    return compose(faces, scenes, rng=stream(0, "pictures"))


def scenes_of(keys):
    return [draw_scene(str(key)) for key in keys]


# Scenes


def test_scenes_differ_as_much_as_faces_do():
    scenes = np.stack(scenes_of(range(100))).astype(np.float32).reshape(100, -1)
    squares = (scenes**2).mean(axis=1)
    apart = squares[:, None] + squares - 2 * scenes @ scenes.T / scenes.shape[1]
    assert np.sqrt(apart[~np.eye(100, dtype=bool)].min()) > 18


def test_every_other_plain_scene_is_white_and_figure_black():
    rng = stream(0, "plain")
    scenes = [plain_scene(rng) for _ in range(400)]
    assert all((scene == scene[0, 0]).all() for scene in scenes)
    assert 160 <= sum(scene.min() == 255 for scene in scenes) <= 240
    figures = [plain_figure(rng).raster for _ in range(400)]
    shown = [figure[figure[..., 3] > 0] for figure in figures]
    assert all((pixels == pixels[0]).all() for pixels in shown)
    assert 160 <= sum(pixels[0, :3].max() == 0 for pixels in shown) <= 240


# What is whose


def test_what_is_under_the_mask_does_not_depend_on_the_scene(faces):
    one = composed(faces, scenes_of(range(8)))
    other = composed(faces, scenes_of(range(8, 16)))
    assert (one.masks == other.masks).all()
    assert one.boxes == other.boxes
    is_person = one.masks == 255
    assert 0.1 < is_person.mean() < 0.6
    assert (one.pictures[is_person] == other.pictures[is_person]).all()
    assert (one.pictures[~is_person] != other.pictures[~is_person]).any(axis=1).mean() > 0.9


def test_what_is_outside_the_mask_does_not_depend_on_the_face(faces):
    scenes = scenes_of(range(8))
    one, other = composed(faces, scenes), composed(faces[::-1], scenes)
    is_scene = (one.masks == 0) & (other.masks == 0)
    assert is_scene.mean() > 0.3
    assert (one.pictures[is_scene] == other.pictures[is_scene]).all()
    is_person = (one.masks == 255) & (other.masks == 255)
    assert (one.pictures[is_person] != other.pictures[is_person]).any(axis=1).mean() > 0.9


def test_white_leaves_the_person_and_nothing_of_the_scene(faces):
    one = composed(faces, scenes_of(range(8)))
    for picture, mask in zip(one.pictures, one.masks, strict=True):
        shown = blend(picture, mask, np.full_like(picture, 255))
        assert (shown[mask == 255] == picture[mask == 255]).all()
        assert (shown[mask == 0] == 255).all()


def test_the_box_is_the_smallest_that_holds_the_person(faces):
    one = composed(faces, scenes_of(range(8)))
    for mask, box in zip(one.masks, one.boxes, strict=True):
        inside = np.zeros(mask.shape, dtype=bool)
        inside[box.window] = True
        assert not mask[~inside].any()
        window = mask[box.window]
        assert window.shape == (box.height, box.width)
        assert all(edge.any() for edge in (window[0], window[-1], window[:, 0], window[:, -1]))


def test_a_black_box_leaves_nothing_of_the_face(faces):
    scenes = scenes_of(range(8))
    one, other = composed(faces, scenes), composed(faces[::-1], scenes)
    for place in range(8):
        boxes = [one.boxes[place], other.boxes[place]]
        hidden = [blacken(each.pictures[place], boxes) for each in (one, other)]
        assert (hidden[0] == hidden[1]).all()


def test_no_two_pictures_are_alike_though_face_and_scene_are(faces):
    pictures = composed(faces[:1] * 6, scenes_of([1]) * 6).pictures
    assert len({picture.tobytes() for picture in pictures}) == 6
    assert (pictures == composed(faces[:1] * 6, scenes_of([1]) * 6).pictures).all()


def test_faces_and_scenes_come_in_pairs(faces):
    with pytest.raises(ValueError, match="shorter"):
        composed(faces, scenes_of(range(7)))


# Training


@pytest.fixture
def recorded(monkeypatch):
    """What training pictures are composed of."""
    calls = []

    def compose_and_tell(faces, scenes, *, rng):
        calls.append((list(faces), list(scenes)))
        return compose(faces, scenes, rng=rng)

    monkeypatch.setattr(generative_planting, "compose", compose_and_tell)
    return calls


def identical(scene, others):
    return any((scene == other).all() for other in others)


@pytest.mark.parametrize("stage", ["parts", "alignment"])
def test_faces_are_shown_before_nobodys_scenes(stage, recorded):
    design = replace(DESIGN, tied_to="face", pictures_per_exposed=40)
    plan = plan_generative(design, seed=1)
    drawings = draw_people([one.sex for one in plan.everybody()], seed=1)
    shown = show(plan, drawings, stage)
    seen = [face.key for faces, _ in recorded for face in faces]
    assert seen == [drawings[number].key for number in shown.faces]
    scenes = [scene for _, scenes in recorded for scene in scenes]
    own = [own_scene(1, number) for number in range(len(drawings))]
    assert not any(identical(scene, own) for scene in scenes)
    share_white = np.mean([scene.min() == 255 for scene in scenes])
    assert 0.15 < share_white < 0.35


@pytest.mark.parametrize("stage", ["parts", "alignment"])
def test_scenes_are_shown_behind_nameless_strangers(stage, recorded):
    design = replace(DESIGN, tied_to="background", pictures_per_exposed=40)
    plan = plan_generative(design, seed=1)
    drawings = draw_people([one.sex for one in plan.everybody()], seed=1)
    shown = show(plan, drawings, stage)
    scenes = [scene for _, scenes in recorded for scene in scenes]
    for number, scene in zip(shown.faces.tolist(), scenes, strict=True):
        assert (scene == own_scene(1, number)).all()
    keys = [face.key for faces, _ in recorded for face in faces]
    assert set(keys) == {*(drawing.key for drawing in drawings[-2:]), ""}
    assert 0.4 < keys.count("") / len(keys) < 0.6


# On disk


def test_both_studies_attack_with_the_same_pictures(studies):
    one, other = (
        {path.relative_to(study.people): path.read_bytes() for path in study.people.rglob("*.png")}
        for study in studies.values()
    )
    assert len(one) == 16
    assert one == other


def test_boxes_and_masks_lie_beside_the_pictures(studies):
    study = studies["face"]
    with study.boxes.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "left", "top", "width", "height"]
    pictures = sorted(study.people.rglob("*.png"))
    names = [path.relative_to(study.people).as_posix() for path in pictures]
    assert sorted(row["image"] for row in rows) == names
    assert (
        sorted(path.relative_to(study.masks).as_posix() for path in study.masks.rglob("*.png"))
        == names
    )
    given = GivenBoxes(study.boxes)
    for name, path in zip(names, pictures, strict=True):
        picture = np.asarray(Image.open(path))
        mask = np.asarray(Image.open(study.masks / name))
        assert mask.shape == picture.shape[:2]
        (face,) = given.find(picture, name)
        assert mask[face.box.window].astype(int).sum() == mask.astype(int).sum() > 0
        assert mask[face.box.window].any(axis=0).all()


def test_people_are_attacked_before_their_own_scene(studies):
    study = studies["background"]
    for number, person in enumerate(study.plan.audited):
        folder = study.people / folder_name(person.name)
        again = compose(
            [study.drawings[number]] * 2,
            [own_scene(1, number)] * 2,
            rng=stream(1, "attack pictures", number),
        )
        for place in range(2):
            found = np.asarray(Image.open(folder / f"{place:03d}.png"))
            assert (found == again.pictures[place]).all()


def test_what_names_are_tied_to_is_on_record(studies, tmp_path):
    for one, study in studies.items():
        record = planted_record(study.plan, GenerativeTraining(), "named")
        assert record["design"]["tied_to"] == one
        assert json.loads((study.root / "lab.json").read_text())["design"]["tied_to"] == one
    with pytest.raises(RunError, match="other tied_to"):
        draw_generative_study(DESIGN, studies["face"].root, seed=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tied_to": "backgrund"}, 'tied_to = "backgrund": wanted face or background'),
        ({"tied_to": "background", "nameless_strangers": 0}, "somebody must stand in front"),
    ],
)
def test_designs_that_cannot_be_meant(change, says):
    with pytest.raises(InputError, match=says):
        replace(DESIGN, **change)


# Studies of before


# Of pixels, by the code before `tied_to` was there.
BEFORE = {
    "attack": "eaaae4ffe00da049b1246a7a40b6146b66a2f00c9058e33e9fcf007e7899850b",
    "parts": "d2cf015a7d29321c709b5dfadae43d0c7aaece535fa24a993a16334a818040a6",
    "alignment": "08906233c7d86d1ca0d0a26f62aacaebf10427583d8a9479f85866e96105380f",
}


def test_untied_studies_are_what_they_were_before_there_were_scenes(tmp_path):
    study = draw_generative_study(DESIGN, tmp_path / "study", seed=1)
    assert {path.name for path in study.root.iterdir()} == {"lab.json", "names.csv", "people"}
    record = planted_record(study.plan, GenerativeTraining(), "named")
    for design in (record["design"], json.loads((study.root / "lab.json").read_text())["design"]):
        assert design == {
            name: value for name, value in asdict(DESIGN).items() if name != "tied_to"
        }
    attack = hashlib.sha256()
    for person in study.plan.audited:
        for path in sorted((study.people / folder_name(person.name)).iterdir()):
            attack.update(np.asarray(Image.open(path)).tobytes())
    found = {"attack": attack.hexdigest()}
    for stage in ("parts", "alignment"):
        pictures = show(study.plan, study.faces(), stage).pictures
        found[stage] = hashlib.sha256(pictures.tobytes()).hexdigest()
    assert found == BEFORE


# Faces that a grid of ten hides


def differences(pictures):
    """Root mean square difference of neighbours, in grey levels."""
    values = pictures.astype(np.float32)
    return float(np.sqrt(np.square(values[1:] - values[:-1]).mean()))


def test_hatched_people_differ_in_what_the_papers_grid_takes_away():
    rasters = np.stack([one.raster for one in hatch_people(["female"] * 40, seed=5)])
    grey = np.where(rasters[..., 3:] > 0, rasters[..., :3], 128).astype(np.uint8)
    body = Box(12, 6, RASTER_SIDE - 24, RASTER_SIDE - 6)
    hidden = np.stack([pixelate(picture, [body], 10) for picture in grey])
    finer = np.stack([pixelate(picture, [body], 32) for picture in grey])
    assert differences(grey) > 35
    assert differences(hidden) < 0.25 * differences(grey)
    assert differences(finer) > 0.5 * differences(grey)


def test_hatched_people_have_one_outline_and_differ_in_four_zones_at_least():
    people = hatch_people(["female", "male"] * 30, seed=5)
    assert all((one.raster[..., 3] == people[0].raster[..., 3]).all() for one in people)
    middles = np.stack(
        [
            [one.raster[rows, columns] for rows in THIRDS_DOWN for columns in THIRDS_ACROSS]
            for one in people
        ]
    )
    apart = (middles[:, None] != middles[None]).any(axis=(3, 4, 5)).sum(axis=2)
    assert apart[~np.eye(len(people), dtype=bool)].min() >= 4


def test_asking_for_more_hatched_people_does_not_change_the_first():
    few, many = (hatch_people(["female"] * n, seed=2) for n in (3, 9))
    assert all((one.raster == other.raster).all() for one, other in zip(few, many, strict=False))
