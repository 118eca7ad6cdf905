"""A recogniser of the study's own people: what it learns, says of itself, and refuses."""

import csv
import json
import stat

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from vlmaudit.errors import InputError, ModelError

pytest.importorskip("cv2", reason="faces are cut by OpenCV")

pytestmark = pytest.mark.torch

PICTURES, SIDE = 6, 40


def photograph(folder, number, pictures=PICTURES):
    """People told apart by the colours of their halves, on a ground that varies."""
    rng = np.random.default_rng(number)
    colours = rng.integers(0, 256, (2, 3))
    folder.mkdir(parents=True)
    boxes = []
    for place in range(pictures):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(float)
        left, top = (int(value) for value in rng.integers(0, 12, 2))
        pixels[top : top + 14, left : left + 28] = colours[0]
        pixels[top + 14 : top + 28, left : left + 28] = colours[1]
        pixels[top : top + 28, left : left + 28] += rng.normal(0, 12, (28, 28, 3))
        shown = np.clip(pixels, 0, 255).astype(np.uint8)
        Image.fromarray(shown).save(folder / f"{place}.png")
        boxes.append((f"{folder.name}/{place}.png", left, top, 28, 28))
    return boxes


def study(root, people=4, pictures=PICTURES):
    boxes = [
        row
        for number in range(people)
        for row in photograph(root / "people" / f"p{number}", number, pictures)
    ]
    with (root / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "left", "top", "width", "height"), *boxes])
    return root


def train(root, out="recogniser", **settings):
    from vlmaudit.execution.recogniser_training import train_recogniser_folder
    from vlmaudit.lab.recogniser_training import RecogniserTraining

    defaults = {"steps": 40, "batch_size": 8, "architecture": "resnet18", "learning_rate": 1e-3}
    return train_recogniser_folder(
        root / "people",
        root / out,
        RecogniserTraining(**{**defaults, **settings}),
        faces=f"boxes:{root / 'boxes.csv'}",
        device="cpu",
        console=Console(quiet=True),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = study(tmp_path_factory.mktemp("study"))
    return root, train(root)


def test_people_are_recognised_in_pictures_that_were_held_out(trained):
    root, found = trained
    record = json.loads((root / "recogniser" / "recogniser.json").read_text())
    assert (found.people, found.accuracy.n) == (4, 4)
    assert found.accuracy.value == 1
    assert found.accuracy.low == pytest.approx(0.3976, abs=1e-4)  # what 4 of 4 can show
    assert record["held_out_accuracy"]["low"] == found.accuracy.low
    assert found.trained_on + found.held_out == 4 * PICTURES
    assert len(record["held_out"]) == found.held_out >= 4
    assert len(record["trained_on"]) == found.trained_on
    assert stat.S_IMODE((root / "recogniser").stat().st_mode) == 0o700


def test_its_vectors_are_alike_for_one_person_whoever_else_is_in_the_picture(trained):
    from vlmaudit.imaging.boxes import Box
    from vlmaudit.imaging.seams import Face
    from vlmaudit.imaging.trained_recogniser import TrainedRecogniser

    root, _ = trained
    recogniser = TrainedRecogniser(root / "recogniser")
    with (root / "boxes.csv").open() as file:
        rows = list(csv.DictReader(file))
    vectors, people = [], []
    for row in rows:
        box = Box(*(int(row[side]) for side in ("left", "top", "width", "height")))
        picture = np.asarray(Image.open(root / "people" / row["image"]))
        face, other = Face(box, 1.0), Face(Box(0, 0, 20, 20), 1.0)
        both = recogniser.describe(picture, [other, face])
        assert (recogniser.describe(picture, [face])[0] == both[1]).all()
        vectors.append(both[1])
        people.append(row["image"][:2])
    cosines = np.stack(vectors) @ np.stack(vectors).T
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-5)
    is_same = np.array(people)[:, None] == np.array(people)[None]
    assert cosines[is_same].mean() > cosines[~is_same].mean() + 0.2
    assert len(recogniser.describe(picture, [])) == 0
    record = json.loads((root / "recogniser" / "recogniser.json").read_text())
    assert recogniser.trained_on == set(record["trained_on"])


def test_a_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    import torch

    root = study(tmp_path, people=2)
    names = {"one": 1, "again": 1, "two": 2}
    for out, seed in names.items():
        torch.rand(1)  # what others draw beforehand does not matter
        train(root, out, steps=2, seed=seed)
    one, again, two = (
        json.loads((root / out / "recogniser.json").read_text())["weights"] for out in names
    )
    assert one == again != two


def test_people_with_fewer_than_three_pictures_are_refused_in_one_line(tmp_path):
    root = study(tmp_path)
    photograph(root / "people" / "p9", 9, pictures=2)
    with pytest.raises(InputError, match=r'1 of 5 people have fewer than 3 .* "p9" with 2') as said:
        train(root)
    assert "\n" not in str(said.value)
    # Pictures enough, but none of the third's has a face.
    photograph(root / "people" / "p8", 8)
    (root / "people" / "p9").rename(tmp_path / "away")
    with pytest.raises(InputError, match=r'in which a face was found, such as "p8" with 0'):
        train(root)


def test_one_person_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="one person cannot be told apart"):
        train(study(tmp_path, people=1))


def test_it_starts_from_weights_of_the_same_architecture_alone(tmp_path):
    import torch

    from vlmaudit.imaging.trained_recogniser import build

    root = study(tmp_path, people=2)
    torch.save(build("resnet18", 10).state_dict(), root / "start.pth")  # another last layer
    train(root, steps=1, weights=root / "start.pth")
    record = json.loads((root / "recogniser" / "recogniser.json").read_text())
    assert record["started_from"] == "start.pth"
    (root / "text.pth").write_text("no weights")
    torch.save({"conv9.weight": torch.zeros(1)}, root / "other.pth")
    for name in ("text.pth", "other.pth", "nowhere.pth"):
        with pytest.raises(ModelError, match="no weights of this architecture"):
            train(root, "other", steps=1, weights=root / name)


def test_what_is_no_recogniser_is_refused(tmp_path):
    from vlmaudit.imaging.trained_recogniser import TrainedRecogniser, build

    with pytest.raises(InputError, match="make one with vlmaudit images train-recogniser"):
        TrainedRecogniser(tmp_path)
    with pytest.raises(InputError, match=r"Did you mean resnet18\?"):
        build("resnet81", 2)
