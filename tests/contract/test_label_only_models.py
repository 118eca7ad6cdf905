"""What every label-only model promises, asked of a real server of each kind."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from vlmaudit.models.base import Choice, LabelOnlyModel
from vlmaudit.models.loading import kind_of, load_label_only
from vlmaudit.models.patience import Patience
from vlmaudit.models.scripted import Knows
from vlmaudit.seeds import stream

KINDS = {"endpoint": "ZeroShotServer"}
PEOPLE = {
    "#ff0000": "Ada Lovelace",
    "#00ff00": "Grace Hopper",
    "#0000ff": "Ngũgĩ wa Thiong'o",
    "#ffff00": "Zoë, the elder",
}
DECOYS = ("Alan Turing", "Mary Shelley", "Ann Lee")
NAMES = (*PEOPLE.values(), *DECOYS)
TEMPLATES = ("a photo of {}", "the name of the person is {}, I think", "{}")
QUESTIONS = [tuple(template.format(name) for name in NAMES) for template in TEMPLATES]
TRUTH = Knows(PEOPLE)
HURRIED = Patience(first_wait_s=0.0)


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def server(kind, servers):
    with getattr(servers, KINDS[kind])(TRUTH) as opened:
        yield opened


@pytest.fixture
def load(kind, server) -> Callable[..., LabelOnlyModel]:
    return lambda patience=HURRIED: load_label_only(f"{kind}:{server.url}", patience=patience)


@pytest.fixture
def model(load) -> LabelOnlyModel:
    return load()


def portrait(colour: str, mark: int = 0) -> Image.Image:
    picture = Image.new("RGB", (12, 9), colour)
    picture.putpixel((0, 0), (mark, mark, mark))
    return picture


def strangers(n: int) -> list[Image.Image]:
    rng = stream(5, "strangers")
    return [Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)) for _ in range(n)]


def expected(picture: Image.Image, labels) -> str:
    """What the model behind the server says when asked directly."""
    scores = TRUTH.encode_texts(labels) @ TRUTH.encode_images([picture])[0]
    return labels[int(np.argmax(scores))]


def test_satisfies_the_protocol(kind, model):
    assert isinstance(model, LabelOnlyModel)
    assert kind_of(model.record.name) == "label_only"
    assert model.record.family == kind


def test_the_record_round_trips_through_loading(model):
    again = load_label_only(model.record.name)
    assert again.record == model.record
    assert int(model.record.weights, 16) >= 0
    assert len(model.record.weights) == 32


def test_chooses_as_the_model_behind_it_does(model):
    for picture in [*map(portrait, PEOPLE), *strangers(12)]:
        outcomes = list(model.classify(picture, QUESTIONS))
        assert [each.label for each in outcomes] == [
            expected(picture, labels) for labels in QUESTIONS
        ]
        assert all(each.margin is None or each.margin >= 0 for each in outcomes)
        assert all(np.isfinite(each.score) for each in outcomes)


def test_known_people_are_named_in_every_template(model):
    for colour, name in PEOPLE.items():
        labels = [each.label for each in model.classify(portrait(colour), QUESTIONS)]
        assert labels == [template.format(name) for template in TEMPLATES]


def test_tells_strangers_apart(model):
    """Without this, a model that always answers the same would pass much of the rest."""
    chosen = {next(model.classify(each, QUESTIONS)).label for each in strangers(20)}
    assert len(chosen) > 2


def test_outcomes_come_one_by_one_and_in_order(model, server):
    outcomes = model.classify(portrait("#ff0000"), QUESTIONS)
    for number, labels in enumerate(QUESTIONS, start=1):
        outcome = next(outcomes)
        assert isinstance(outcome, Choice)
        assert outcome.label in labels
        assert len(server.asked) == number
    assert next(outcomes, None) is None


def test_nothing_is_asked_before_it_is_wanted(model, server):
    model.classify(portrait("#ff0000"), QUESTIONS)
    assert list(model.classify(portrait("#ff0000"), [])) == []
    assert server.asked == []


def test_each_question_is_asked_once(model, server):
    for picture in strangers(3):
        list(model.classify(picture, QUESTIONS))
    assert len(server.counts) == 9
    assert set(server.counts.values()) == {1}


def test_the_order_of_labels_does_not_matter(model):
    for picture in strangers(6):
        turned = [labels[::-1] for labels in QUESTIONS]
        forth = [each.label for each in model.classify(picture, QUESTIONS)]
        assert forth == [each.label for each in model.classify(picture, turned)]


def test_answers_are_repeatable(load):
    for picture in strangers(3):
        first, again = (list(load().classify(picture, QUESTIONS)) for _ in range(2))
        assert first == again


def test_threads_get_their_own_answers(load, servers, kind):
    with getattr(servers, KINDS[kind])(TRUTH, seconds_each=0.01) as server:
        model = load_label_only(f"{kind}:{server.url}", patience=Patience(concurrency=4))
        pictures = [portrait(colour, mark) for mark in range(6) for colour in PEOPLE]
        with ThreadPoolExecutor(model.concurrency) as pool:
            outcomes = list(pool.map(lambda each: list(model.classify(each, QUESTIONS)), pictures))
        names = list(PEOPLE.values()) * 6
        assert [[choice.label for choice in each] for each in outcomes] == [
            [template.format(name) for template in TEMPLATES] for name in names
        ]
        assert len(server.counts) == len(server.asked) == 72
        assert 1 < server.peak <= 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_pictures_of_any_mode(model, mode):
    source = Image.new("RGB", (40, 40), (40, 90, 200))
    if mode in {"1", "I;16"}:
        picture = Image.new(mode, (40, 40))
    else:
        picture = source.convert("L" if mode in {"I", "F"} else mode).convert(mode)
    (outcome,) = model.classify(picture, QUESTIONS[:1])
    assert isinstance(outcome, Choice)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3000, 20)])
def test_pictures_of_any_size(model, size):
    (outcome,) = model.classify(Image.new("RGB", size, "#0000ff"), QUESTIONS[:1])
    assert outcome.label == "a photo of Ngũgĩ wa Thiong'o"


def test_what_is_transparent_is_white(model, server):
    square = Image.new("RGBA", (4, 4), (200, 30, 30, 0))
    list(model.classify(square, QUESTIONS[:1]))
    list(model.classify(Image.new("RGB", (4, 4), "white"), QUESTIONS[:1]))
    assert set(server.counts.values()) == {2}


def test_pictures_are_turned_upright(model, server, tmp_path):
    upright = strangers(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    with Image.open(tmp_path / "lying.png") as lying:
        list(model.classify(lying, QUESTIONS[:1]))
    list(model.classify(upright, QUESTIONS[:1]))
    assert set(server.counts.values()) == {2}


def test_pictures_are_left_as_they_were(model):
    for picture in (Image.new("RGBA", (40, 40), (200, 30, 30, 90)), Image.new("RGB", (2000, 9))):
        before, size, mode = picture.tobytes(), picture.size, picture.mode
        list(model.classify(picture, QUESTIONS[:1]))
        assert (picture.tobytes(), picture.size, picture.mode) == (before, size, mode)


@pytest.mark.parametrize("labels", [[], ["a photo of Ada Lovelace"]])
def test_a_question_without_a_choice_is_a_bug(model, labels):
    with pytest.raises(ValueError, match="two labels"):
        model.classify(portrait("#ff0000"), [labels])
