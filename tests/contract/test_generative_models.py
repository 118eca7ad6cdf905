"""What every generative model of transformers promises, asked of a tiny one of each family."""

import json
import os
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmaudit.data.prompts import PROMPTS
from vlmaudit.models.base import (
    Answer,
    ChecksSharing,
    Failed,
    GenerativeModel,
    ScoresAlone,
    ScoringModel,
)
from vlmaudit.models.loading import load_generative
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.seeds import stream

pytestmark = pytest.mark.torch

TINY = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
GOLDEN = Path(__file__).parents[1] / "golden" / "rendered_prompts.json"
# What each family is expected to share, and whether it can be asked without a picture.
FAMILIES = {
    "BLIP-2 OPT": ("vision", False),
    "BLIP-2 Flan-T5": ("vision", False),
    "LLaVA": ("prefix", True),
    "LLaVA-NeXT": ("prefix", True),
    "PaliGemma": ("vision", False),
    "Qwen2.5-VL": ("prefix", True),
    "Idefics3": ("prefix", True),
    "SmolVLM": ("prefix", True),
}
ASKED = [prompt.text for prompt in PROMPTS.values()][::4]
NAMES = ["Ada", "Ada Lovelace", "Alan Turing", "Bo", "Will Smith", "Will Smithson", "Ngũgĩ"]
WORDS = GenerativeOptions(max_new_tokens=10)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    built: dict[str, Path] = {}

    def build(family: str) -> Path:
        if family not in built:
            built[family] = TINY["build"](family, tmp_path_factory.mktemp("tiny"))
        return built[family]

    return build


@pytest.fixture(scope="session")
def model_of(folder_of):
    loaded: dict[tuple, GenerativeModel] = {}

    def load(family: str, options: GenerativeOptions = WORDS) -> GenerativeModel:
        key = (family, options)
        if key not in loaded:
            loaded[key] = load_generative(f"hf:{folder_of(family)}", options)
        return loaded[key]

    return load


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture
def model(family, model_of):
    return model_of(family)


def picture(width: int = 48, height: int = 40, *, key: str = "one") -> Image.Image:
    rng = stream(3, "pictures", key)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def said(model, image=None, prompts=ASKED) -> list[str]:
    answers = list(model.answer(image, prompts))
    assert all(isinstance(answer, Answer) for answer in answers), answers
    return [answer.text for answer in answers]


def test_it_is_what_audits_ask_for(model):
    for protocol in (GenerativeModel, ScoringModel, ChecksSharing, ScoresAlone):
        assert isinstance(model, protocol)
    assert model.max_new_tokens == 10
    assert model.concurrency == 1


def test_what_is_shared_is_what_the_architecture_allows(family, model):
    assert model.sharing == FAMILIES[family][0]
    assert bool(model.sharing_notice) == (model.sharing != "prefix")
    assert "\n" not in model.sharing_notice


def test_answers_are_token_for_token_those_of_asking_alone(model):
    for image in (picture(), picture(64, 30, key="two")):
        together = list(model.answer(image, ASKED))
        assert together == [model.answer_alone(image, prompt) for prompt in ASKED]
        assert len({answer.text for answer in together}) >= len(ASKED) - 1


def test_answers_do_not_depend_on_order_batch_or_company(family, model, model_of):
    answers = said(model, picture())
    assert said(model, picture(), ASKED[::-1]) == answers[::-1]
    assert said(model, picture(), ASKED[2:4]) == answers[2:4]
    small = model_of(family, GenerativeOptions(max_new_tokens=10, batch_size=2))
    assert small.sharing == model.sharing
    assert said(small, picture()) == answers
    said(model, picture(30, 70, key="between"))
    assert said(model, picture()) == answers


def test_answers_depend_on_the_picture(model):
    assert said(model, picture()) != said(model, picture(key="another"))


def test_answers_are_repeatable_and_so_is_the_record(family, model, folder_of, tmp_path_factory):
    again = load_generative(f"hf:{folder_of(family)}", WORDS)
    assert again.record == model.record
    assert said(again, picture()) == said(model, picture())
    record = model.record
    assert (record.family, record.dtype, record.quantization) == ("hf", "float32", "none")
    assert str(tmp_path_factory.getbasetemp()) not in record.model_dump_json()


def test_asking_without_a_picture(family, model):
    answers = list(model.answer(None, ASKED))
    if not FAMILIES[family][1]:
        assert answers == [Failed("asks only with a picture", is_transient=False)] * len(ASKED)
        return
    # Asked about a picture in between: nothing of it is left.
    said(model, picture(90, 30))
    assert answers == [model.answer_alone(None, prompt) for prompt in ASKED]
    assert said(model, None) == [answer.text for answer in answers]
    assert answers != list(model.answer(picture(), ASKED))


def test_the_prompt_is_not_echoed_and_special_tokens_are_left_out(model):
    for answer in model.answer(picture(), ASKED):
        assert answer.tokens == 10
        assert answer.prompt_tokens > 10
        assert not any(prompt in answer.text for prompt in ASKED)
        for mark in ("<s>", "</s>", "<image>", "<pad>", "<|im_end|>", "<end_of_utterance>"):
            assert mark not in answer.text


def test_a_model_that_ends_by_itself_is_told_from_one_that_is_cut_off(
    family, model, folder_of, tmp_path
):
    """Tokens that come out in the middle are made ends: some at once, some later, some never."""
    from transformers import AutoProcessor

    cut = list(model.answer(picture(), ASKED))
    assert {answer.finish for answer in cut} == {"length"}
    folder = shutil.copytree(folder_of(family), tmp_path / "ends")
    first = model.first_token_log_probabilities(picture(), ASKED, shared=False)
    at_once = int(first[0].argmax())
    for file in ("generation_config.json", "config.json"):
        settings = json.loads((folder / file).read_text())
        places = [settings, settings.get("text_config", {})]
        for place in places:
            if "eos_token_id" in place:
                place["eos_token_id"] = [place["eos_token_id"], at_once]
        (folder / file).write_text(json.dumps(settings))
    ends = load_generative(f"hf:{folder}", WORDS)
    answers = list(ends.answer(picture(), ASKED))
    assert answers == [ends.answer_alone(picture(), prompt) for prompt in ASKED]
    assert answers[0].finish == "stop"
    assert answers[0].tokens == 1
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    assert answers[0].text == tokenizer.decode([at_once], skip_special_tokens=True).strip()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_pictures_of_any_mode(model, mode):
    image = picture().convert("L" if mode == "I;16" else mode).convert(mode)
    assert len(said(model, image, ASKED[:2])) == 2
    assert image.mode == mode


def test_pictures_of_one_pixel_and_of_odd_shapes(model):
    for size in ((1, 1), (1, 9), (300, 20)):
        outcomes = list(model.answer(Image.new("RGB", size, (40, 90, 200)), ASKED[:2]))
        assert len(outcomes) == 2
        # Some processors refuse a shape; that is a failure with a reason, and no traceback.
        assert all(isinstance(each, Answer) or each.reason for each in outcomes)


def test_pictures_are_turned_upright(model, tmp_path):
    upright, exif = picture(40, 60), Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    with Image.open(tmp_path / "lying.png") as lying:
        assert said(model, lying, ASKED[:2]) == said(model, upright, ASKED[:2])


def test_nothing_to_ask_gives_nothing(model):
    assert list(model.answer(picture(), [])) == []


def test_likelihoods_are_those_of_one_pass_each(family, model):
    for image in [picture(), None] if FAMILIES[family][1] else [picture()]:
        scores = model.log_likelihood(image, ASKED[0], NAMES)
        alone = [model.log_likelihood_alone(image, ASKED[0], name) for name in NAMES]
        np.testing.assert_allclose(scores, alone, atol=1e-4)
        assert len(np.unique(scores.round(3))) == len(NAMES)
    order = [3, 1, 0]
    asked = model.log_likelihood(picture(), ASKED[0], [NAMES[place] for place in order])
    with_all = model.log_likelihood(picture(), ASKED[0], NAMES)
    np.testing.assert_allclose(asked, with_all[order], atol=1e-4)


def test_first_tokens_are_as_likely_shared_as_alone(model):
    shared = model.first_token_log_probabilities(picture(), ASKED, shared=True)
    alone = model.first_token_log_probabilities(picture(), ASKED, shared=False)
    np.testing.assert_allclose(shared, alone, atol=1e-3)
    np.testing.assert_allclose(np.exp(shared).sum(axis=1), 1, atol=1e-4)


def test_narrow_arithmetic_stays_near(family, model_of):
    narrow = model_of(family, GenerativeOptions(max_new_tokens=10, dtype="bfloat16"))
    assert narrow.record.dtype == "bfloat16"
    assert narrow.sharing == FAMILIES[family][0]
    shared, alone = (
        np.exp(narrow.first_token_log_probabilities(picture(), ASKED, shared=each))
        for each in (True, False)
    )
    # Half the sum of differences; 0.02 was seen.
    assert np.abs(shared - alone).sum(axis=1).max() / 2 < 0.1


def test_rendered_prompts(family, model):
    """As decoded, picture tokens collapsed. VLMAUDIT_GOLDEN=write rewrites; review the diff."""
    read = {"picture": model.as_read(picture(), "Who is it?")}
    if FAMILIES[family][1]:
        read["no picture"] = model.as_read(None, "Who is it?")
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if os.environ.get("VLMAUDIT_GOLDEN") == "write":
        GOLDEN.parent.mkdir(exist_ok=True)
        golden[family] = read
        GOLDEN.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n")
    assert golden[family] == read
