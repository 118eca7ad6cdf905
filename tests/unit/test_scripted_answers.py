"""The fake that says what it was told: it must do exactly that."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare

from vlmaudit.errors import CapabilityError, ModelError
from vlmaudit.models.base import Answer, Failed, GenerativeModel, ScoringModel
from vlmaudit.models.loading import load_contrastive, load_generative
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.patience import Patience
from vlmaudit.models.scripted_answers import MOST_BONUS, NEUTRAL, Rule, Says
from vlmaudit.seeds import stream

RED, GREEN = "#ff0000", "#00ff00"
NAMES = [f"{first} {last}" for first in ("Ann", "Bob", "Cal", "Dan") for last in ("Al", "Be")]


def picture(colour, number=0):
    """A picture whose centre pixel has the colour, and that is otherwise its own."""
    pixels = stream(number, "pixels").integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.paste(colour, (4, 4, 5, 5))
    return image


def said(model, image, *prompts):
    return [each.text for each in model.answer(image, prompts)]


def test_it_is_what_audits_ask_for():
    assert isinstance(Says(), GenerativeModel)
    assert isinstance(Says(), ScoringModel)


def test_the_first_rule_that_fits_decides():
    model = Says(
        [
            Rule(face=RED, prompt="Who", answer="Ada Lovelace."),
            Rule(face=RED, answer="A woman."),
            Rule(without_picture=True, answer="There is no picture."),
            Rule(without_picture=False, prompt="Who", answer="I cannot say."),
        ]
    )
    asked = ("Who is it?", "Describe it")
    assert said(model, picture(RED), *asked) == ["Ada Lovelace.", "A woman."]
    assert said(model, picture(GREEN), *asked) == ["I cannot say.", NEUTRAL]
    assert said(model, None, *asked) == ["There is no picture."] * 2
    assert said(Says(otherwise="Hm."), picture(RED), *asked) == ["Hm."] * 2


def test_a_rule_without_conditions_holds_always():
    model = Says([Rule(answer="")])
    assert said(model, picture(RED), "a", "b") == said(model, None, "a", "b") == ["", ""]


def test_a_face_is_the_centre_of_any_kind_of_picture():
    model = Says([Rule(face="#FF0000", answer="red")])
    for mode in ("RGB", "RGBA", "P"):
        image = Image.new("RGB", (5, 4), "red").convert(mode)
        assert said(model, image, "a") == ["red"]


def test_failures_ends_and_counts_come_out_as_told():
    model = Says(
        [
            Rule(prompt="one", fails="out of memory", transient=True),
            Rule(prompt="two", fails="blocked"),
            Rule(prompt="three", answer="on and on and", finish="length"),
        ]
    )
    assert list(model.answer(None, ["one", "two", "number three"])) == [
        Failed("out of memory", is_transient=True),
        Failed("blocked", is_transient=False),
        Answer("on and on and", "length", tokens=4, prompt_tokens=2),
    ]


def test_a_picture_that_cannot_be_shown_fails():
    image = Image.new("F", (2, 2), float("nan"))
    failed = Failed("damaged picture (values that are not numbers)", is_transient=False)
    assert list(Says().answer(image, ["a", "b"])) == [failed] * 2


def test_answers_come_one_at_a_time():
    answers = Says().answer(None, ["a"] * 3)
    assert next(answers).text == NEUTRAL
    assert len(list(answers)) == 2


def test_a_name_it_was_told_is_likeliest_and_others_are_not_moved():
    told = Says(likelihoods={RED: {"Bob Al": MOST_BONUS}})
    plain = Says()
    for number in range(5):
        moved = told.log_likelihood(picture(RED, number), "Who?", NAMES)
        before = plain.log_likelihood(picture(RED, number), "Who?", NAMES)
        assert NAMES[int(moved.argmax())] == "Bob Al"
        expected = [MOST_BONUS if name == "Bob Al" else 0.0 for name in NAMES]
        np.testing.assert_allclose(moved - before, expected)
    for image in (picture(GREEN), None):
        assert (
            told.log_likelihood(image, "Who?", NAMES) == plain.log_likelihood(image, "Who?", NAMES)
        ).all()


def test_a_name_is_known_in_any_case_accent_and_punctuation():
    model, plain = Says(likelihoods={RED: {"Adrianne León": 9.0}}), Says()
    answers = ["ADRIANNE LEON.", "Adrianne León", "Adrianne Leonard"]
    lifted = model.log_likelihood(picture(RED), "Who?", answers)
    lifted = lifted - plain.log_likelihood(picture(RED), "Who?", answers)
    np.testing.assert_allclose(lifted, [9, 9, 0])


def test_log_likelihoods_are_steady_negative_and_depend_on_all_that_is_asked():
    model = Says(likelihoods={RED: {"Ann Al": MOST_BONUS}})
    many = [f"name {number}" for number in range(2000)] + ["Ann Al"]
    scores = model.log_likelihood(picture(RED), "Who?", many)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert (scores < 0).all()
    assert scores[7] == model.log_likelihood(picture(RED), "Who?", many[7:8])[0]
    assert scores[0] != model.log_likelihood(picture(RED), "What?", many)[0]
    assert scores[0] != model.log_likelihood(picture(RED, 1), "Who?", many)[0]
    assert scores[0] != Says(seed=1).log_likelihood(picture(RED), "Who?", many)[0]
    assert model.log_likelihood(None, "Who?", []).shape == (0,)


def test_a_name_has_a_likelihood_of_its_own_that_pictures_share():
    """As in real models, where common names win for every face."""
    model = Says()
    scores = np.array(
        [model.log_likelihood(picture(GREEN, number), "Who?", NAMES) for number in range(60)]
    )
    assert scores.mean(axis=0).std() > 3 * scores.std(axis=0).mean() / np.sqrt(60)


def test_a_stranger_is_as_likely_to_have_one_name_as_another():
    """Over seeds, since within one a name's own likelihood is meant to tell."""
    chosen = [
        int(Says(seed=seed).log_likelihood(picture(GREEN), "Who?", NAMES).argmax())
        for seed in range(800)
    ]
    assert chisquare(np.bincount(chosen, minlength=len(NAMES))).pvalue > 1e-4


def test_all_it_was_told_is_in_the_digest():
    base = {"rules": [Rule(answer="a")], "likelihoods": {RED: {"Bo": 1.0}}, "seed": 1}
    others = [
        {"rules": [Rule(answer="b")]},
        {"rules": [Rule(answer="a", face=RED)]},
        {"rules": [Rule(answer="a"), Rule(answer="a")]},
        {"likelihoods": {RED: {"Bo": 2.0}}},
        {"otherwise": "Hm."},
        {"seed": 2},
    ]
    digests = {Says(**{**base, **other}).record.weights for other in [{}, *others]}
    assert len(digests) == 7
    assert Says(**base, name="x", concurrency=9).record.weights in digests


@pytest.mark.parametrize(
    ("likelihoods", "said"),
    [
        ({"red": {"Bo": 1.0}}, '"red" is no colour of the form #rrggbb'),
        ({RED: {"!": 1.0}}, '"!" is no name'),
        ({RED: {"Bo": 21.0}}, '"Bo" can be known by 20 at most, not by 21'),
        ({RED: {"Bo": float("nan")}}, '"Bo" can be known by 20 at most, not by nan'),
    ],
)
def test_likelihoods_that_cannot_be_meant(likelihoods, said):
    with pytest.raises(ValueError, match=said):
        Says(likelihoods=likelihoods)


# From a file.


def write(tmp_path, script):
    file = tmp_path / "says.json"
    file.write_text(script if isinstance(script, str) else json.dumps(script))
    return f"scripted:{file}"


def test_reads_what_to_say_from_a_file(tmp_path):
    rules = [{"face": RED, "without_picture": None, "prompt": "Who", "answer": "Bo."}]
    rules += [{"prompt": "Describe", "fails": "blocked", "transient": True}]
    script = {"rules": rules, "likelihoods": {RED: {"Bo": 2}}, "seed": 3, "otherwise": "Hm."}
    options = GenerativeOptions(max_new_tokens=5, patience=Patience(concurrency=3))
    model = load_generative(write(tmp_path, script), options)
    assert said(model, picture(RED), "Who?", "What?") == ["Bo.", "Hm."]
    assert list(model.answer(None, ["Describe it"])) == [Failed("blocked", is_transient=True)]
    assert (model.max_new_tokens, model.concurrency) == (5, 3)
    assert model.record.name == "scripted:says.json"
    same = Says(
        [Rule(**rule) for rule in rules], likelihoods={RED: {"Bo": 2.0}}, seed=3, otherwise="Hm."
    )
    assert model.record.weights == same.record.weights
    assert load_generative(write(tmp_path, {})).concurrency == 1


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("{", "the file: Invalid JSON"),
        ("[]", "the file: Input should be an object."),
        ({"rules": [{"answer": "a", "fails": "b"}]}, "rules.0: Value error, a rule has either an "),
        ({"rules": [{"face": RED}]}, 'rules.0: Value error, a rule has either an "answer" or '),
        ({"rules": [{"face": "red", "answer": ""}]}, 'rules.0.face: Value error, "red" is no '),
        (
            {"rules": [{"face": RED, "without_picture": True, "answer": ""}]},
            "rules.0: Value error, there is no face without a picture.",
        ),
        ({"rules": [{"answer": "a", "faces": RED}]}, "rules.0.faces: Extra inputs are not "),
        ({"rules": [], "people": {}}, "people: Extra inputs are not permitted."),
        ({"likelihoods": {RED: {"Bo": 30}}}, '"Bo" can be known by 20 at most, not by 30.'),
        ({"answers": []}, "answers: Extra inputs are not permitted."),
    ],
)
def test_a_file_that_describes_no_model(tmp_path, script, message):
    spec = write(tmp_path, script)
    with pytest.raises(ModelError) as error:
        load_generative(spec)
    assert type(error.value) is ModelError
    assert str(error.value).startswith(f'model "{spec}": {message}')
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read \(No such file or directory\)\.$"):
        load_generative(f"scripted:{tmp_path}/none.json")


@pytest.mark.parametrize(
    ("options", "asked"),
    [({"dtype": "bfloat16"}, "bfloat16"), ({"quantization": "4bit"}, "4bit")],
)
def test_another_arithmetic_is_refused(tmp_path, options, asked):
    with pytest.raises(ModelError, match=f"answers in float32, not in {asked}"):
        load_generative(write(tmp_path, {}), GenerativeOptions(**options))


def test_each_scripted_model_sends_on_to_the_audit_that_wants_it(tmp_path):
    with pytest.raises(CapabilityError) as error:
        load_generative(write(tmp_path, {"people": {RED: "Bo"}, "seed": 1}))
    assert str(error.value) == (
        'model "scripted:says.json": it compares pictures with texts and answers nothing; whether '
        "it ties faces to names is what vlmaudit identity-inference asks."
    )
    with pytest.raises(CapabilityError) as error:
        load_contrastive(write(tmp_path, {"rules": [], "seed": 1}))
    assert str(error.value) == (
        'model "scripted:says.json": it answers in words and nothing else; there are no '
        "embeddings to compare. What it says of people is what vlmaudit name-leakage asks."
    )
