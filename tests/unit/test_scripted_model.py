"""The fake that the other tests lean on: it must do exactly what it says."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare

from vlmaudit.data.templates import IDIA_TEMPLATES, fill
from vlmaudit.errors import ModelError
from vlmaudit.models.loading import load_contrastive
from vlmaudit.models.scripted import Knows
from vlmaudit.seeds import stream

FIRST = [a + b for a in ("Ann", "Bob", "Cal", "Dan", "Eve") for b in ("a", "e", "i", "o")]
NAMES = [f"{first} {last}son" for first in FIRST for last in ("Al", "Be", "Ca", "De", "Ed")]


def picture(colour, number=0):
    """A picture whose centre pixel has the colour, and that is otherwise its own."""
    pixels = stream(number, "pixels").integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.paste(colour, (4, 4, 5, 5))
    return image


def winners(model, images, names=NAMES):
    texts = [fill(template, name) for template in IDIA_TEMPLATES for name in names]
    scores = model.encode_images(images) @ model.encode_texts(texts).T
    return scores.reshape(len(images), len(IDIA_TEMPLATES), len(names)).argmax(axis=2)


def test_whom_it_knows_it_names_with_every_template():
    people = {f"#{k:02x}80ff": name for k, name in enumerate(NAMES[:20])}
    model = Knows(people)
    for face, name in people.items():
        chosen = winners(model, [picture(face, number) for number in range(3)])
        assert (chosen == NAMES.index(name)).all()


def test_everyone_else_is_at_chance():
    """For a face nobody named, a name that was told wins as often as any other."""
    texts = [fill(IDIA_TEMPLATES[2], name) for name in NAMES]
    people = {f"#{k:02x}0000": name for k, name in enumerate(NAMES[:20])}
    stranger = Image.new("RGB", (3, 3), "#0000ff")
    chosen = []
    for seed in range(600):
        model = Knows(people, seed=seed)
        (vector,) = model.encode_images([stranger])
        chosen.append(int((model.encode_texts(texts) @ vector).argmax()))
    assert chisquare(np.bincount(np.array(chosen) // 20, minlength=5)).pvalue > 1e-4


def test_a_name_is_known_as_whole_words_in_any_case_and_accent():
    model = Knows({"#ff0000": "Adrianne León", "#00ff00": "Ann Lee", "#0000ff": "Ann Lee Moss"})
    (red,), (green,), (blue,) = (
        model.encode_images([picture(c)]) for c in ("#ff0000", "#00ff00", "#0000ff")
    )

    def near(vector, text):
        return float((model.encode_texts([text]) @ vector)[0]) > 0.7

    assert near(red, "a photo of ADRIANNE LEON, actress")
    assert near(red, "adrianne_león at a gala")
    assert not near(red, "a photo of Adrianne Leonard")
    assert near(green, "a photo of Ann Lee!")
    assert not near(green, "a photo of Joann Lee")
    assert not near(green, "a photo of Ann Lee Moss")
    assert near(blue, "a photo of Ann Lee Moss")


def test_strength_nothing_knows_nobody():
    model = Knows({"#ff0000": NAMES[0]}, strength=0.0)
    chosen = winners(model, [picture("#ff0000", number) for number in range(10)])
    assert (chosen == 0).mean() < 0.2


def test_hubs_win_more_often_than_others_for_every_face():
    strangers = [Image.new("RGB", (3, 3), (k, 5, 77)) for k in range(200)]
    hubs = NAMES[-3:]
    plain, popular = Knows({}), Knows({}, hubs=hubs)
    share = (winners(popular, strangers) >= len(NAMES) - 3).mean()
    assert (winners(plain, strangers) >= len(NAMES) - 3).mean() < 0.1
    assert 0.2 < share < 0.95


def test_a_broken_face_has_no_embedding():
    model = Knows({}, broken=["#FF0000"])
    rows = model.encode_images([picture("#00ff00"), picture("#ff0000"), picture("#0000ff")])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False]


def test_a_seed_is_another_model_of_the_same_people():
    one, two, same = Knows({}, seed=1), Knows({}, seed=2), Knows({}, seed=1)
    assert one.record == same.record
    assert one.record.weights != two.record.weights
    assert not np.allclose(one.encode_texts(["a"]), two.encode_texts(["a"]))


@pytest.mark.parametrize(
    "changed",
    [{"strength": 3.0}, {"hubs": ["Ann Lee"]}, {"broken": ["#000000"]}, {"people": {}}],
)
def test_every_setting_is_in_the_digest(changed):
    settings = {"people": {"#ff0000": "Ann Lee"}}
    assert Knows(**settings).record.weights != Knows(**{**settings, **changed}).record.weights


def test_reads_its_people_from_a_file(tmp_path):
    settings = {"people": {"#ff0000": "Ann Lee"}, "strength": 2, "hubs": ["Bo"], "seed": 3}
    (tmp_path / "knows.json").write_text(json.dumps(settings))
    model = load_contrastive(f"scripted:{tmp_path}/knows.json")
    assert model.record.name == "scripted:knows.json"
    settings["strength"] = 2.0
    assert model.record.weights == Knows(**settings).record.weights


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the file: Invalid JSON: "),
        ("[]", "the file: Input should be an object."),
        ("{}", "people: Field required."),
        ('{"people": []}', "people: Input should be an object."),
        ('{"people": {"#ff0000": 3}}', "people.#ff0000: Input should be a valid string."),
        ('{"people": {}, "strenght": 1}', "strenght: Extra inputs are not permitted."),
        ('{"people": {}, "broken": 3}', "broken: Input should be a valid array."),
        ('{"people": {"red": "Ann"}}', '"red" is no colour of the form #rrggbb.'),
        ('{"people": {"#ff0000": " "}}', '" " is no name.'),
    ],
)
def test_files_that_describe_no_model(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ModelError) as error:
        load_contrastive(f"scripted:{tmp_path}/a.json")
    assert str(error.value).startswith(f'model "scripted:{tmp_path}/a.json": {message}')


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"the file cannot be read \(No such file"):
        load_contrastive(f"scripted:{tmp_path}/none.json")


def test_other_arithmetic_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"people": {}}')
    with pytest.raises(ModelError, match="a scripted model answers in float32, not in bfloat16"):
        load_contrastive(f"scripted:{tmp_path}/a.json", dtype="bfloat16")
