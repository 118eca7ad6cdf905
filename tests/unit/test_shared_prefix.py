"""What prompts share, room that is used again, and models that cannot share or answer."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmaudit.errors import CapabilityError, ModelError
from vlmaudit.models.base import Answer, Failed
from vlmaudit.models.loading import load_contrastive, load_generative
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.seeds import stream

pytestmark = pytest.mark.torch

TINY = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
ASKED = [
    "Who is this?",
    "Describe the person in the picture, and say what they may be called.",
    "What?",
    "Who is the celebrity",
    "Is it Ada Lovelace",
]
WORDS = GenerativeOptions(max_new_tokens=6)


@pytest.fixture(scope="module")
def llava(tmp_path_factory) -> Path:
    return TINY["build"]("LLaVA", tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(llava, tmp_path) -> Path:
    """The same checkpoint, to be changed."""
    return shutil.copytree(llava, tmp_path / "llava")


def noise() -> Image.Image:
    return Image.fromarray(stream(1, "noise").integers(0, 256, (40, 40, 3), dtype=np.uint8))


def rewrite(file: Path, **values) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def loaded(folder, options=WORDS):
    return load_generative(f"hf:{folder}", options)


def refusal(folder, options=WORDS, kind=ModelError) -> str:
    """What is said about the model, without the part that names it."""
    with pytest.raises(kind) as error:
        loaded(folder, options)
    message, start = str(error.value), f'model "hf:{folder}": '
    assert "\n" not in message
    assert message.startswith(start)
    return message.removeprefix(start)


# The engine.


def test_a_picture_goes_through_the_vision_tower_once(llava, monkeypatch):
    model = loaded(llava)
    seen, prepared = [], []
    tower = model._model.model.vision_tower
    tower.register_forward_hook(lambda *_: seen.append(1))
    processor = model._asker._prepared._processor
    call = type(processor).__call__

    def count(self, *images, **how):
        prepared.append(1)
        return call(self, *images, **how)

    monkeypatch.setattr(type(processor), "__call__", count)
    answers = list(model.answer(noise(), ASKED))
    assert (len(seen), len(prepared)) == (1, 1)
    assert [model.answer_alone(noise(), prompt) for prompt in ASKED] == answers
    assert len(seen) == 1 + len(ASKED)


def test_only_what_prompts_do_not_share_is_read_for_each(llava):
    model = loaded(llava)
    widths = []
    embedding = model._model.get_input_embeddings()
    embedding.register_forward_hook(lambda _, given, __: widths.append(tuple(given[0].shape)))
    list(model.answer(noise(), ASKED))
    (prefix, *rest) = widths
    assert prefix[0] == 1
    assert prefix[1] > 16  # image tokens
    batch = [shape for shape in rest if shape[1] > 1]
    assert len(batch) == 1
    assert batch[0][0] == len(ASKED)
    longest = max(model.answer_alone(noise(), prompt).prompt_tokens for prompt in ASKED)
    assert batch[0][1] == longest - prefix[1]


def test_padding_tokens_say_nothing(llava):
    model = loaded(llava)
    answers = list(model.answer(noise(), ASKED))
    model._way.engine._pad = 77
    assert list(model.answer(noise(), ASKED)) == answers


@pytest.mark.parametrize("most", [1, 2, 3])
def test_batches_are_halved_where_memory_ends(llava, monkeypatch, most):
    model = loaded(llava)
    answers = list(model.answer(noise(), ASKED))
    generate, room = type(model._model).generate, []

    def short_of_memory(self, *, input_ids, **how):
        if len(input_ids) > most:
            raise MemoryError
        if (rows := how.get("past_key_values")) is not None:
            room.append(len(rows.layers[0]._all_keys))
        return generate(self, input_ids=input_ids, **how)

    monkeypatch.setattr(type(model._model), "generate", short_of_memory)
    assert list(model.answer(noise(), ASKED)) == answers
    assert 0 < max(room) <= most  # what the larger batch held was given back


def test_what_does_not_fit_at_all_fails_and_may_be_asked_again(llava, monkeypatch):
    model = loaded(llava)

    def no_memory(*_, **__):
        raise MemoryError

    monkeypatch.setattr(type(model._model), "generate", no_memory)
    assert list(model.answer(noise(), ASKED)) == [Failed("out of memory", True)] * len(ASKED)
    with pytest.raises(MemoryError):
        type(model._model).generate()


def test_memory_that_ends_over_a_picture_fails_that_picture(llava):
    model = loaded(llava)

    def no_memory(*_):
        raise MemoryError

    hook = model._model.model.vision_tower.register_forward_hook(no_memory)
    assert list(model.answer(noise(), ASKED)) == [Failed("out of memory", True)] * len(ASKED)
    hook.remove()
    assert all(isinstance(each, Answer) for each in model.answer(noise(), ASKED))


def test_prompts_that_end_before_the_picture_share_nothing(copy):
    """A template that puts the words first leaves only what is before them to share."""
    template = (
        "{% for message in messages %}{% for part in message['content'] | reverse %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}:"
    )
    (copy / "chat_template.jinja").write_text(template)
    model = loaded(copy)
    assert model.sharing == "vision"
    assert "do not begin with the picture" in model.sharing_notice
    alone = [model.answer_alone(noise(), prompt) for prompt in ASKED]
    assert list(model.answer(noise(), ASKED)) == alone


def test_a_call_whose_prompts_do_not_share_the_picture_shares_nothing(copy):
    """What held for the prompts at loading need not hold for others."""
    template = (
        "{% set parts = messages[0]['content'] %}"
        "{% set said = parts[-1]['text'] %}{% set picture = '<image>' if parts | length > 1 %}"
        "{% if 'Lovelace' in said %}{{ said }} {{ picture }}{% else %}{{ picture }}{{ said }}"
        "{% endif %}:"
    )
    (copy / "chat_template.jinja").write_text(template)
    model = loaded(copy)
    assert model.sharing == "prefix"
    alone = [model.answer_alone(noise(), prompt) for prompt in ASKED]
    assert all(isinstance(each, Answer) for each in alone)
    assert list(model.answer(noise(), ASKED)) == alone


def test_a_window_forbids_sharing_the_prefix(tmp_path):
    folder = TINY["build"]("LLaVA-NeXT", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["sliding_window"] = 40
    (folder / "config.json").write_text(json.dumps(config))
    model = loaded(folder)
    assert model.sharing != "prefix"
    assert "do not keep all they have read" in model.sharing_notice
    assert list(model.answer(noise(), ASKED)) == [
        model.answer_alone(noise(), prompt) for prompt in ASKED
    ]
    scores = model.log_likelihood(noise(), ASKED[0], ["Ada", "Ada Lovelace"])
    alone = [
        model.log_likelihood_alone(noise(), ASKED[0], name) for name in ("Ada", "Ada Lovelace")
    ]
    np.testing.assert_allclose(scores, alone, atol=1e-4)


def test_sharing_that_does_not_hold_is_not_used(llava, monkeypatch):
    from vlmaudit.models import shared_prefix

    monkeypatch.setattr(shared_prefix, "encode", _spoilt)
    model = loaded(llava)
    assert model.sharing == "vision"
    assert "would not be those of asking alone" in model.sharing_notice
    alone = [model.answer_alone(noise(), prompt) for prompt in ASKED]
    assert list(model.answer(noise(), ASKED)) == alone


def _spoilt(model, asked, length):
    from vlmaudit.models.shared_prefix import forward

    cache = forward(model, asked, length).past_key_values
    for layer in cache.layers:
        layer.values = layer.values.flip(2)
    return cache


# Answers that are none.


def test_values_that_are_not_numbers_are_no_answer(copy):
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    (name,) = (each for each in state if each.endswith("model.norm.weight"))
    state[name][0] = float("nan")
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    model = loaded(copy)
    (outcome, *_) = model.answer(noise(), ASKED)
    assert outcome == Failed("the model answered with values that are not numbers", False)
    assert model.answer_alone(noise(), ASKED[0]) == outcome


def test_words_that_hold_the_picture_mark_fail_and_say_why(llava):
    model = loaded(llava)
    (outcome,) = model.answer(noise(), ["What is <image>?"])
    assert isinstance(outcome, Failed)
    assert "does not take this picture or these words" in outcome.reason
    assert "\n" not in outcome.reason


def test_what_a_checkpoint_says_of_sampling_is_not_followed(llava, copy):
    rewrite(
        copy / "generation_config.json",
        do_sample=True,
        temperature=5.0,
        repetition_penalty=9.0,
        num_beams=3,
        min_new_tokens=2,
        suppress_tokens=list(range(100, 400)),
    )
    model = loaded(copy)
    assert list(model.answer(noise(), ASKED)) == list(loaded(llava).answer(noise(), ASKED))


# Checkpoints that are not loaded.


def test_a_text_only_checkpoint_is_refused(tmp_path):
    folder = TINY["build_text_only"](tmp_path / "text")
    assert refusal(folder, kind=CapabilityError) == (
        "llama reads text and sees no pictures; this needs a model such as LLaVA, BLIP-2 or "
        "Qwen2.5-VL."
    )


def test_a_contrastive_checkpoint_is_sent_to_the_audit_that_wants_it(tiny_hf_clip):
    assert refusal(tiny_hf_clip, kind=CapabilityError) == (
        "clip compares pictures with texts and answers nothing; whether it ties faces to names is "
        "what vlmaudit identity-inference asks."
    )


def test_a_generative_checkpoint_is_no_contrastive_one(llava):
    with pytest.raises(CapabilityError, match="one space"):
        load_contrastive(f"hf:{llava}")


def test_a_processor_without_a_template_is_refused_where_no_rule_is_known(tmp_path):
    folder = TINY["build"]("LLaVA-NeXT", tmp_path)
    (folder / "chat_template.jinja").unlink()
    assert refusal(folder) == (
        "its processor has no chat template, so how it wants to be asked is not known; put its "
        "makers' chat_template.jinja into the folder."
    )


def test_llava_without_a_template_is_asked_in_the_turns_it_was_trained_on(copy):
    (copy / "chat_template.jinja").unlink()
    model = loaded(copy)
    assert model.as_read(noise(), "Who {is} it?") == "<s> USER: <image>\nWho {is} it? ASSISTANT:"
    assert model.sharing == "prefix"


def test_a_template_that_cannot_be_used_is_named(copy):
    (copy / "chat_template.jinja").write_text("{{ raise_exception('no pictures here') }}")
    assert refusal(copy) == "its chat template cannot be used (no pictures here)."
    (copy / "chat_template.jinja").write_text("always the same")
    assert refusal(copy) == "its chat template cannot be used (the question is not in it)."


def test_image_tokens_that_do_not_match_the_features(copy):
    rewrite(copy / "processor_config.json", num_additional_image_tokens=0)
    message = refusal(copy)
    assert message.startswith("its processor writes another number of image tokens than it has")
    assert "processor_config.json" in message


def test_a_folder_without_processor(copy):
    for file in copy.glob("*processor*.json"):
        file.unlink()
    message = refusal(copy)
    assert "image processor" in message


def test_code_that_comes_with_a_checkpoint_is_not_run(copy):
    (copy / "own.py").write_text("raise SystemExit('ran')")
    rewrite(
        copy / "config.json",
        model_type="own",
        auto_map={"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.Model"},
    )
    assert refusal(copy) == (
        "it brings its own Python code, which would run here; read it, and allow that one commit "
        "with --trust-remote-code REVISION."
    )


@pytest.mark.parametrize(
    ("spec", "revision"),
    [
        ("hf:org/model", "a" * 40),
        ("hf:org/model@main", "main"),
        (f"hf:org/model@{'b' * 40}", "a" * 40),
    ],
)
def test_code_is_trusted_at_one_commit_only(spec, revision):
    with pytest.raises(ModelError, match="code is trusted at one commit only"):
        load_generative(spec, GenerativeOptions(trust_remote_code=revision))


def test_pickled_code_in_weights_is_not_run(copy):
    import pickle

    (copy / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Evil()}))
    message = refusal(copy)
    assert "pytorch_model.bin" in message


@pytest.mark.parametrize(
    ("missing", "family", "options", "command"),
    [
        ("num2words", "SmolVLM", WORDS, "pip install 'vlmaudit[smolvlm]'"),
        (
            "bitsandbytes",
            "LLaVA",
            GenerativeOptions(quantization="4bit"),
            "pip install 'vlmaudit[quantized]'",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_command(
    missing, family, options, command, tmp_path, monkeypatch
):
    from vlmaudit.models import hf_generative

    there = hf_generative._has
    monkeypatch.setattr(hf_generative, "_has", lambda name: name != missing and there(name))
    message = refusal(TINY["build"](family, tmp_path), options)
    assert command in message


@pytest.mark.parametrize(("kind", "named"), [("4bit", "4bit nf4"), ("8bit", "8bit")])
def test_quantised_weights_answer_and_are_named(kind, named, tmp_path):
    wide = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
    wide["build"].__globals__["WIDTH"] = 64  # numbers that 4-bit weights are scaled together
    folder = wide["build"]("LLaVA", tmp_path)
    plain = loaded(folder)
    model = loaded(folder, GenerativeOptions(quantization=kind, max_new_tokens=4))
    assert (model.record.quantization, model.record.dtype) == (named, "float32")
    assert model.record.weights != plain.record.weights
    assert model.sharing == "prefix"
    layers = {type(each).__name__ for each in model._model.modules()}
    assert layers & {"Linear4bit", "Linear8bitLt"}
    assert all(isinstance(each, Answer) for each in model.answer(noise(), ASKED[:2]))
