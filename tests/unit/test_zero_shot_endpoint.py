"""Asking a server which label fits: what is sent, what is believed, what is refused."""

import io
import json
import math
import random
import subprocess
import sys

import pytest
from PIL import Image

from vlmaudit.errors import CapabilityError, ModelError
from vlmaudit.models import zero_shot_endpoint
from vlmaudit.models.base import Choice, Failed
from vlmaudit.models.lines import KEY_VARIABLE
from vlmaudit.models.loading import (
    ModelSpec,
    kind_of,
    load_contrastive,
    load_label_only,
    model_folder,
    parse_spec,
)
from vlmaudit.models.patience import Patience
from vlmaudit.models.patient_http import GAVE_UP, UnreadableError
from vlmaudit.models.scripted import Knows
from vlmaudit.models.sent_pictures import LONGEST_SIDE, SENT_AS
from vlmaudit.models.zero_shot_endpoint import read_choice

HURRIED = Patience(attempts=2, first_wait_s=0.0, most_bytes=10**6)
NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing")
TEMPLATES = ("a photo of {}", "an image of {}", "{}")
QUESTIONS = [tuple(template.format(name) for name in NAMES) for template in TEMPLATES]
ADA = Image.new("RGB", (8, 6), "#ff0000")


@pytest.fixture
def serve(servers):
    """Open a server that misbehaves as told."""
    opened = []

    def open_server(misbehave=None, **how):
        server = servers.ZeroShotServer(
            Knows({"#ff0000": "Ada Lovelace"}), misbehave=misbehave, **how
        )
        opened.append(server)
        return server.__enter__()

    yield open_server
    for server in opened:
        server.stop()


def model_of(server, patience=HURRIED):
    return load_label_only(f"endpoint:{server.url}", patience=patience)


def ask(server, picture=ADA, questions=QUESTIONS, patience=HURRIED):
    return list(model_of(server, patience).classify(picture, questions))


# What is sent.


def test_what_a_request_says(serve):
    server = serve()
    outcomes = ask(server)
    assert [outcome.label for outcome in outcomes] == [labels[0] for labels in QUESTIONS]
    assert [asked.parameters for asked in server.asked] == [
        {"candidate_labels": list(labels), "hypothesis_template": "{}"} for labels in QUESTIONS
    ]


def test_labels_that_are_offered_twice_are_sent_once(serve):
    server = serve()
    (choice,) = ask(server, questions=[["b Ada Lovelace", "a", "b Ada Lovelace"]])
    assert choice.label == "b Ada Lovelace"
    assert server.asked[0].offered == ("b Ada Lovelace", "a")


def test_a_picture_is_prepared_once_for_all_its_questions(serve, monkeypatch):
    prepared = []
    prepare = zero_shot_endpoint.prepare
    monkeypatch.setattr(
        zero_shot_endpoint, "prepare", lambda image: prepared.append(image) or prepare(image)
    )
    server = serve()
    ask(server)
    assert len(prepared) == 1
    assert len({asked.file for asked in server.asked}) == 1


def noise(width: int, height: int) -> Image.Image:
    pixels = random.Random(width).randbytes(width * height * 3)
    return Image.frombytes("RGB", (width, height), pixels)


def sent(server, picture) -> Image.Image:
    ask(server, picture, QUESTIONS[:1])
    return Image.open(io.BytesIO(server.asked[-1].file))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1024, 700), (1, 1024)])
def test_a_picture_that_fits_arrives_pixel_for_pixel(serve, size):
    picture = noise(*size)
    arrived = sent(serve(), picture)
    assert arrived.format == "PNG"
    assert arrived.mode == "RGB"
    assert arrived.size == size
    assert arrived.tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    ("size", "smaller"),
    [((2048, 1024), (1024, 512)), ((1025, 10), (1024, 10)), ((3, 5000), (1, 1024))],
)
def test_a_large_picture_is_made_smaller_in_its_shape(serve, size, smaller):
    picture = noise(*size)
    arrived = sent(serve(), picture)
    assert arrived.size == smaller
    assert picture.size == size
    expected = picture.resize(smaller, Image.Resampling.LANCZOS)
    assert arrived.tobytes() == expected.tobytes()


def test_nothing_but_pixels_leaves(serve, tmp_path):
    exif = Image.Exif()
    exif[0x013B] = "SECRET photographer"
    exif[0x0112] = 6
    noise(20, 10).save(
        tmp_path / "a.jpg", exif=exif, icc_profile=b"SECRET profile", comment=b"SECRET", dpi=(7, 7)
    )
    server = serve()
    with Image.open(tmp_path / "a.jpg") as picture:
        assert "SECRET" in str(picture.info)
        arrived = sent(server, picture)
    assert arrived.size == (10, 20)  # upright
    assert arrived.info == {}
    assert b"SECRET" not in server.asked[0].file
    # The signature, and four parts: what it is, what it shows, and its end.
    parts = [server.asked[0].file.count(name) for name in (b"IHDR", b"IEND", b"eXIf", b"iCCP")]
    assert parts == [1, 1, 0, 0]


def test_the_manifest_can_say_how_pictures_are_sent():
    assert SENT_AS == "PNG, 8-bit RGB, at most 1024 pixels a side, no metadata"
    assert LONGEST_SIDE == 1024


def test_a_picture_that_cannot_be_shown_fails_for_good_and_is_not_sent(serve):
    server = serve()
    picture = Image.new("F", (2, 2), float("nan"))
    failed = Failed("damaged picture (values that are not numbers)", is_transient=False)
    assert ask(server, picture) == [failed] * len(QUESTIONS)
    assert server.asked == []


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_a_question_without_a_choice_is_a_bug(serve, labels):
    server = serve()
    with pytest.raises(ValueError, match="needs two labels"):
        model_of(server).classify(ADA, [*QUESTIONS, labels])
    assert server.asked == []


# What is believed.


def test_scores_and_margins():
    rows = [{"label": "a", "score": 0.125}, {"label": "b", "score": 0.5}]
    rows += [{"label": "c", "score": 0.375}]
    expected = Choice("b", 0.5, 0.125)
    for order in (rows, rows[::-1]):
        assert read_choice(order, "abcd", b"") == expected
        assert read_choice([order], "abcd", b"") == expected
    assert read_choice(rows[:1], "abcd", b"") == Choice("a", 0.125, None)
    assert read_choice([{"label": "a", "score": 1, "id": 3}], "ab", b"") == Choice("a", 1.0, None)
    assert read_choice(
        [{"label": "a", "score": -2}, {"label": "b", "score": -3}], "ab", b""
    ) == Choice("a", -2.0, 1.0)


NO_LIST = "the answer is no list of labels and scores"
NO_NUMBER = "a score that is not a number"
NOT_FINITE = "a score that is not finite"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, NO_LIST),
        (3, NO_LIST),
        ("ab", NO_LIST),
        ({}, NO_LIST),
        ({"error": "Model is loading"}, NO_LIST),
        ({"label": "a", "score": 1}, NO_LIST),
        ([[[{"label": "a", "score": 1}]]], NO_LIST),
        ([[{"label": "a", "score": 1}], [{"label": "b", "score": 1}]], NO_LIST),
        ([{"label": "a"}], NO_LIST),
        ([{"score": 1}], NO_LIST),
        ([{"label": 3, "score": 1}], NO_LIST),
        ([{"label": None, "score": 1}], NO_LIST),
        (["a"], NO_LIST),
        ([], "an empty list of labels"),
        ([[]], "an empty list of labels"),
        ([{"label": "a", "score": "NaN"}], NO_NUMBER),
        ([{"label": "a", "score": "0.5"}], NO_NUMBER),
        ([{"label": "a", "score": True}], NO_NUMBER),
        ([{"label": "a", "score": None}], NO_NUMBER),
        ([{"label": "a", "score": [1]}], NO_NUMBER),
        ([{"label": "a", "score": math.nan}], NOT_FINITE),
        ([{"label": "a", "score": math.inf}], NOT_FINITE),
        ([{"label": "a", "score": -math.inf}], NOT_FINITE),
        ([{"label": "a", "score": 10**400}], NOT_FINITE),
        ([{"label": "a", "score": 0.5}, {"label": "b", "score": math.nan}], NOT_FINITE),
        ([{"label": "A", "score": 1}], "a label that was not offered"),
        ([{"label": "a ", "score": 1}], "a label that was not offered"),
        ([{"label": "a", "score": 1}, {"label": "a", "score": 1}], "the same label twice"),
    ],
)
def test_what_is_not_believed(answer, reason):
    with pytest.raises(UnreadableError) as error:
        read_choice(answer, ["a", "b"], b"")
    assert str(error.value) == reason


def test_a_shared_first_place_favours_no_name():
    """Neither the order of the pool nor that of the answer decides, and it is no coin, either."""
    rows = [{"label": label, "score": 0.25} for label in "abcd"]
    rows[3]["score"] = 0.125
    wins = dict.fromkeys("abcd", 0)
    for number in range(300):
        picture = number.to_bytes(16, "big")
        choice = read_choice(rows, "abcd", picture)
        assert choice == Choice(choice.label, 0.25, 0.0)
        assert read_choice(rows[::-1], "dcba", picture) == choice
        wins[choice.label] += 1
    assert wins["d"] == 0
    # Five standard deviations around a third.
    assert all(abs(wins[label] - 100) < 41 for label in "abc")


def test_ties_are_drawn_by_the_picture_that_is_shown(serve):
    rows = [{"label": label, "score": 0.5} for label in "ab"]
    server = serve(lambda _: json.dumps(rows).encode())
    model = model_of(server)
    pictures = [Image.new("RGB", (2, 2), (red, 0, 0)) for red in range(32)]
    asked = [next(model.classify(picture, ["ab"])).label for picture in pictures]
    assert set(asked) == {"a", "b"}
    assert [next(model.classify(each, ["ba"])).label for each in pictures] == asked


@pytest.mark.parametrize(
    "form",
    [{}, {"best_first": False}, {"is_wrapped": True}, {"top": 2}, {"top": 2, "is_wrapped": True}],
)
def test_all_forms_of_an_answer_say_the_same(serve, form):
    assert ask(serve(**form)) == ask(serve())


def test_the_best_one_alone_has_no_margin(serve):
    assert {outcome.margin for outcome in ask(serve(top=1))} == {None}


# What goes wrong.


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("not offered", "a label that was not offered"),
        ("same label twice", "the same label twice"),
        ("NaN", NOT_FINITE),
        ('"NaN"', NO_NUMBER),
        (b"[]", "an empty list of labels"),
        (b'{"error": "overloaded"}', NO_LIST),
        ("garbage", "the answer is no JSON"),
        ("web page", "a web page instead of an answer"),
        ("empty", "an empty answer"),
        ("half", "half an answer"),
        ("no answer", "the connection broke off"),
        ("huge", "the answer is too long"),
        ("status 429", "status 429"),
        ("status 503", "status 503"),
    ],
)
def test_one_question_that_fails_says_why_and_costs_no_other(serve, deed, reason):
    server = serve({1: deed, 2: deed})
    first, second, third = ask(server)
    assert second == Failed(reason, is_transient=True)
    assert [first.label, third.label] == [QUESTIONS[0][0], QUESTIONS[2][0]]
    assert len(server.asked) == 4


@pytest.mark.parametrize("deed", ["not offered", "same label twice", "NaN", '"NaN"'])
def test_a_server_that_stumbled_is_asked_again(serve, deed):
    server = serve({0: deed})
    assert ask(server) == ask(serve())
    assert len(server.asked) == 4


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refusal_names_its_status_and_nobody(serve, status):
    server = serve({1: f"status {status}"})
    _, refused, _ = ask(server)
    assert refused == Failed(f"status {status}", is_transient=False)
    assert len(server.asked) == 3


def test_a_server_that_dies_is_given_up(serve):
    server = serve({4: "die"})
    patience = Patience(concurrency=1, attempts=2, first_wait_s=0.0)
    outcomes = ask(server, questions=QUESTIONS * 4, patience=patience)
    assert all(isinstance(outcome, Choice) for outcome in outcomes[:4])
    assert outcomes[4:9] == [Failed("no connection", is_transient=True)] * 5
    assert outcomes[9:] == [GAVE_UP] * 3
    assert len(server.asked) == 5


def test_a_wrong_address_is_an_error_that_names_no_secret(serve, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "SECRET")
    server = serve(lambda _: "status 404")
    model = load_label_only(f"endpoint:{server.url}?code=SECRET#SECRET", patience=HURRIED)
    with pytest.raises(ModelError) as error:
        next(model.classify(ADA, QUESTIONS))
    assert str(error.value) == (
        f'model "endpoint:{server.url}": there is nothing to ask at this address (status 404); '
        "check its path."
    )
    assert server.asked[0].path == "/models/clip?code=SECRET"


def test_the_key_in_the_environment_is_sent(serve, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "SECRET\n")
    server = serve(key="SECRET")
    assert len(ask(server)) == 3
    assert "SECRET" not in model_of(server).record.model_dump_json()


def test_a_key_that_would_travel_in_clear(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "SECRET")
    assert refusal("http://models.example/clip") == (
        f'model "endpoint:http://models.example/clip": the key in {KEY_VARIABLE} would travel in '
        "clear; use https, or unset the key."
    )


def test_stop_ends_asking(serve):
    server = serve()
    model = model_of(server)
    outcomes = model.classify(ADA, QUESTIONS)
    assert isinstance(next(outcomes), Choice)
    model.stop()
    assert [outcome.reason for outcome in outcomes] == ["stopped before an answer came"] * 2
    model.close()
    assert len(server.asked) == 1


# Who answers.


@pytest.mark.parametrize(
    ("url", "address", "name"),
    [
        ("https://models.example/a/b", "https://models.example/a/b", "https://models.example/a/b"),
        ("HTTPS://Models.Example:443", "https://models.example/", "https://models.example/"),
        ("http://[::1]:80/x", "http://[::1]/x", "http://[::1]/x"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("https://h.example:80/?a=b&c", "https://h.example:80/?a=b&c", "https://h.example:80/"),
        ("https://h.example/@cf/clip#top", "https://h.example/@cf/clip", None),
        ("https://h.example/x?a=/b?c#d", "https://h.example/x?a=/b?c", "https://h.example/x"),
    ],
)
def test_addresses_have_one_spelling_and_a_public_name(url, address, name):
    spec = parse_spec(f"endpoint:{url}")
    assert spec == ModelSpec(f"endpoint:{url}", "endpoint", url=address)
    assert spec.public_name == f"endpoint:{name or address}"
    assert str(spec.error("x")) == f'model "{spec.public_name}": x'


def record_of(url):
    return load_label_only(f"endpoint:{url}").record


def test_the_record_is_that_of_the_address(monkeypatch):
    record = record_of("https://models.example/clip?version=3")
    assert record.name == "endpoint:https://models.example/clip"
    assert (record.family, record.dtype) == ("endpoint", "unknown")
    same = ["HTTPS://MODELS.example:443/clip?version=3", "https://models.example/clip?version=3#a"]
    assert {record_of(url).weights for url in same} == {record.weights}
    others = [
        "http://models.example/clip?version=3",
        "https://models.example/clip?version=4",
        "https://models.example/clip",
        "https://models.example/Clip?version=3",
        "https://models.example:8443/clip?version=3",
        "https://model.example/clip?version=3",
    ]
    assert len({record.weights, *(record_of(url).weights for url in others)}) == 7
    monkeypatch.setenv(KEY_VARIABLE, "SECRET")
    assert record_of("https://models.example/clip?version=3") == record


def test_concurrency_is_what_was_set():
    spec = "endpoint:https://models.example/clip"
    assert load_label_only(spec).concurrency == 4
    assert load_label_only(spec, patience=Patience(concurrency=7)).concurrency == 7


# What may be written.


def refusal(url) -> str:
    with pytest.raises(ModelError) as error:
        load_label_only(f"endpoint:{url}")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", 'model "endpoint:": write endpoint:URL.'),
        (
            "models.example/clip?SECRET",
            'model "endpoint:models.example/clip": the address must start with https:// or '
            "http://.",
        ),
        (
            "ftp://user:SECRET@models.example",
            'model "endpoint:ftp://models.example": the address must start with https:// or '
            "http://.",
        ),
        ("file:///etc/passwd", 'model "endpoint:file:///etc/passwd": the address must start'),
        ("/models/clip", 'model "endpoint:/models/clip": the address must start'),
        (
            "https://user:SECRET@models.example/clip",
            'model "endpoint:https://models.example/clip": a user name or password in an address '
            "can be read by others on this machine; put a key into VLMAUDIT_ENDPOINT_KEY.",
        ),
        (
            "https://SECRET@models.example/clip",
            'model "endpoint:https://models.example/clip": a user name or password',
        ),
        (
            "https://user:SEC/RET@models.example",
            'model "endpoint:https://models.example": host or port are malformed; write',
        ),
        (
            "https:///clip",
            'model "endpoint:https:///clip": the address names no host; write '
            "endpoint:https://HOST/PATH.",
        ),
        ("https://:80/clip", 'model "endpoint:https://:80/clip": the address names no host;'),
        (
            "https://h.example:port/",
            'model "endpoint:https://h.example:port/": host or port are malformed; write '
            "endpoint:URL.",
        ),
        (
            "https://h.example:99999/",
            'model "endpoint:https://h.example:99999/": host or port are malformed;',
        ),
        ("https://[::1/", 'model "endpoint:https://[::1/": host or port are malformed;'),
        (
            "https://h.example/a b",
            'model "endpoint:…": the address holds a blank or an unprintable letter.',
        ),
        (
            "https://h.example/\nSECRET",
            'model "endpoint:…": the address holds a blank or an unprintable letter.',
        ),
    ],
)
def test_addresses_that_are_refused(url, said):
    message = refusal(url)
    assert message.startswith(said)
    assert "SECRET" not in message
    assert "RET@" not in message


def test_an_address_alone_is_helped():
    with pytest.raises(ModelError) as error:
        parse_spec("https://user:SECRET@models.example/clip")
    assert str(error.value) == (
        'model "https:…": for a server write endpoint:https://HOST/PATH, or '
        "chat:MODEL@https://HOST/PATH for one that answers in words."
    )


def test_each_kind_of_model_has_its_loader():
    assert kind_of("endpoint:https://models.example/clip") == "label_only"
    assert kind_of("open_clip:ViT-B-16/laion400m_e32") == kind_of("scripted:a.json")
    assert kind_of("hf:openai/clip") == "contrastive"
    assert model_folder("endpoint:https://models.example/clip") is None
    with pytest.raises(CapabilityError) as error:
        load_contrastive("endpoint:https://models.example/clip?code=SECRET")
    assert str(error.value) == (
        'model "endpoint:https://models.example/clip": it says which label fits best and nothing '
        "else; there are no embeddings to compare."
    )
    with pytest.raises(CapabilityError) as error:
        load_label_only("hf:openai/clip")
    assert str(error.value) == (
        'model "hf:openai/clip": it is no black box but lies open; load it as a contrastive model.'
    )


def test_importing_the_door_loads_no_http():
    script = """
import sys
from vlmaudit.models.loading import kind_of
kind_of("endpoint:https://models.example/clip")
heavy = {"httpx2", "httpcore2", "tenacity", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)
