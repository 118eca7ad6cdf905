"""What every white box promises, asked of a tiny checkpoint of each family of decoders."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vlmaudit.errors import CapabilityError, ModelError
from vlmaudit.models.answer_gradients import AnswerGradients
from vlmaudit.models.base import Example, WhiteBoxModel
from vlmaudit.models.conversations import LABELS, UNTAUGHT
from vlmaudit.models.loading import load_white_box
from vlmaudit.models.memory import BatchSize
from vlmaudit.models.module_names import modules_of
from vlmaudit.seeds import stream

pytestmark = pytest.mark.torch

TINY = runpy.run_path(str(Path(__file__).parents[1] / "tiny_generative.py"))
FAMILIES = ["BLIP-2 OPT", "LLaVA", "LLaVA-NeXT", "PaliGemma", "Qwen2.5-VL", "Idefics3", "SmolVLM"]
PROMPTS = ["Who is this?", "What is the username?", "Describe the picture in a few words, please"]


def picture(number, size=(48, 40)):
    pixels = stream(3, "picture", number).integers(0, 256, (size[1], size[0], 3))
    return Image.fromarray(pixels.astype(np.uint8))


PICTURES = [picture(0), picture(1), picture(2)]
EXAMPLES = [
    Example(PICTURES[0], "Who is this?", "Ada Lovelace"),
    Example(PICTURES[1], "What is the name?", "Alan"),
    Example(PICTURES[2], "Describe the picture", "Grace Hopper you can name"),
]


@pytest.fixture(scope="session")
def box_of(tmp_path_factory):
    loaded = {}

    def load(family):
        if family not in loaded:
            folder = TINY["build"](family, tmp_path_factory.mktemp("tiny"))
            loaded[family] = load_white_box(f"hf:{folder}")
        return loaded[family]

    return load


@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_those_of_each_item_alone(family, box_of):
    box = box_of(family)
    assert isinstance(box, WhiteBoxModel)
    states = box.capture_states(PICTURES, PROMPTS, "last")
    second_last = box.capture_states(PICTURES, PROMPTS, -2)
    every = box.capture_states(PICTURES, PROMPTS, "all")
    assert states.dtype == np.float32
    assert states.shape[:2] == (3, len(box.layers))
    for item, (image, prompt) in enumerate(zip(PICTURES, PROMPTS, strict=True)):
        (asked,) = box._conversations.asked(image, [prompt])
        with torch.inference_mode():
            shown = box._model(**asked, output_hidden_states=True)
        hidden = getattr(shown, "language_model_outputs", shown).hidden_states
        whole = torch.stack(hidden, dim=1)[0].numpy()
        np.testing.assert_allclose(states[item], whole[:, -1], atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(second_last[item], whole[:, -2], atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(every[item], whole.mean(axis=1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_picture_is_in_its_own_tokens(family, box_of):
    box = box_of(family)
    both = box.capture_states([PICTURES[0], PICTURES[1]], [PROMPTS[0]] * 2, "image")
    again = box.capture_states([PICTURES[0]], [PROMPTS[0]], "image")
    np.testing.assert_allclose(both[0], again[0], atol=1e-4, rtol=1e-4)
    assert np.abs(both[0] - both[1]).max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_that_of_the_librarys_own_loss(family, box_of):
    box = box_of(family)
    model, conversations = box._model, box._conversations
    found = box.gradient(EXAMPLES, box.modules)
    parts = modules_of(box._spec, model)
    summed, tokens = 0.0, 0
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in parts)
    for one in EXAMPLES:
        (row,) = conversations.taught(one.image, [(one.question, one.answer)])
        taught = int((row[LABELS] != UNTAUGHT).sum())
        inputs = {name: value for name, value in row.items() if name != LABELS}
        logits = model(**inputs).logits
        summed = summed + taught * torch.nn.functional.cross_entropy(
            logits[0, :-1], row[LABELS][0, 1:], ignore_index=UNTAUGHT
        )
        tokens += taught
    model.zero_grad()
    (summed / tokens).backward()
    for part in box.modules:
        own = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for name, parameter in model.named_parameters()
            if parts[name] == part
        ]
        expected = torch.cat([each.flatten() for each in own]).numpy()
        np.testing.assert_allclose(found[part], expected, atol=2e-5, rtol=2e-3)
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)
    assert {"vision", "projector", "embeddings", "language 1", "language 2"} <= set(box.modules)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_taught_is_the_answer_and_its_end(family, box_of):
    conversations, tokenizer = box_of(family)._conversations, None
    tokenizer = conversations._asker._processor.tokenizer
    (row,) = conversations.taught(PICTURES[0], [("Who is this?", "Ada Lovelace")])
    taught = row[LABELS][row[LABELS] != UNTAUGHT].tolist()
    assert tokenizer.decode(taught[:-1]).strip() == "Ada Lovelace"
    assert taught[-1] == conversations._end
    assert row["input_ids"][0, -len(taught) :].tolist() == taught
    assert row["input_ids"].shape == row["attention_mask"].shape == row[LABELS].shape


def test_a_mini_batch_has_a_cosine_of_one_with_itself_and_less_with_others(box_of):
    box = box_of("LLaVA")
    others = {"same": EXAMPLES[:2], "other": EXAMPLES[1:]}
    cosines = box.gradient_cosines(EXAMPLES[:2], others, box.modules)
    for part in box.modules:
        assert cosines["same"][part] == pytest.approx(1, abs=1e-6)
        assert cosines["other"][part] < 0.999
        first, second = (box.gradient(some, [part])[part] for some in others.values())
        expected = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert cosines["other"][part] == pytest.approx(expected, abs=1e-5)


def gradients_of(box, *, batch=16, **more):
    parts = modules_of(box._spec, box._model)
    size = BatchSize(batch, what="item", model="tiny")
    return AnswerGradients(box._model, box._conversations, parts, batch=size, **more)


def test_however_few_fit_at_once_the_gradient_is_the_same(box_of):
    box = box_of("LLaVA")
    whole = gradients_of(box).of(EXAMPLES, "batch")
    pieces = gradients_of(box, batch=1).of(EXAMPLES, "batch")
    for part in box.modules:
        np.testing.assert_allclose(whole[part], pieces[part], atol=1e-6, rtol=1e-4)


def test_out_of_memory_halves_the_batch_and_counts_nothing_twice(box_of, monkeypatch):
    box = box_of("LLaVA")
    whole = gradients_of(box).of(EXAMPLES, "batch")
    gradients = gradients_of(box)
    inner = gradients._conversations.together

    def together(rows):
        if len(rows) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return inner(rows)

    monkeypatch.setattr(gradients._conversations, "together", together)
    found = gradients.of(EXAMPLES, "batch")
    for part in box.modules:
        np.testing.assert_allclose(whole[part], found[part], atol=1e-6, rtol=1e-4)


def test_a_projected_gradient_keeps_cosines(box_of):
    box = box_of("LLaVA")
    projected = gradients_of(box, exact_up_to=0)
    whole = gradients_of(box)
    one, other = (whole.of(some, "batch") for some in (EXAMPLES[:2], EXAMPLES[1:]))
    first, second = (projected.of(some, "batch") for some in (EXAMPLES[:2], EXAMPLES[1:]))
    for part in box.modules:
        exact = torch.cosine_similarity(one[part], other[part], dim=0)
        rough = torch.cosine_similarity(first[part], second[part], dim=0)
        # A part of fewer parameters than numbers that are kept loses none of them.
        assert float(rough) == pytest.approx(float(exact), abs=0.12)


def test_a_step_against_the_gradient_lowers_the_loss_as_much_as_it_says(box_of):
    box = box_of("LLaVA")
    parameter = box._model.lm_head.weight
    parts = modules_of(box._spec, box._model)
    names = [name for name, part in parts.items() if part == "embeddings"]
    sizes = [box._model.get_parameter(name).numel() for name in names]
    place = sum(sizes[: names.index("lm_head.weight")])
    gradient = box.gradient(EXAMPLES, ["embeddings"])["embeddings"][place : place + sizes[-1]]
    from vlmaudit.models.answer_gradients import summed_loss

    rows = [
        row
        for one in EXAMPLES
        for row in box._conversations.taught(one.image, [(one.question, one.answer)])
    ]
    tokens = sum(int((row[LABELS] != UNTAUGHT).sum()) for row in rows)

    def loss():
        with torch.inference_mode():
            return float(summed_loss(box._model, box._conversations.together(rows))) / tokens

    before = loss()
    step = 1e-2 / np.linalg.norm(gradient)
    with torch.no_grad():
        parameter -= step * torch.from_numpy(gradient).view_as(parameter)
    after = loss()
    with torch.no_grad():
        parameter += step * torch.from_numpy(gradient).view_as(parameter)
    assert before - after == pytest.approx(step * np.linalg.norm(gradient) ** 2, rel=0.05)


def test_nothing_of_the_model_changes(box_of):
    box = box_of("LLaVA")
    before = {name: value.clone() for name, value in box._model.state_dict().items()}
    box.gradient_cosines(EXAMPLES[:1], {"other": EXAMPLES[1:]}, box.modules)
    assert all(torch.equal(before[name], value) for name, value in box._model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in box._model.parameters())


def test_a_state_or_a_loss_that_is_no_number_is_refused(tmp_path):
    box = load_white_box(f"hf:{TINY['build']('LLaVA', tmp_path)}")
    with torch.no_grad():
        box._model.lm_head.weight[:] = torch.nan
    with pytest.raises(ModelError, match="the clean mini-batch: the loss is not a finite number"):
        box.gradient_cosines(EXAMPLES, {}, box.modules)
    with torch.no_grad():
        box._model.get_input_embeddings().weight[:] = torch.inf
    with pytest.raises(ModelError, match="hidden state is not a finite number"):
        box.capture_states(PICTURES, PROMPTS, "last")


def test_a_token_that_is_not_there_is_refused(box_of):
    with pytest.raises(ModelError, match="has no -900"):
        box_of("LLaVA").capture_states(PICTURES, PROMPTS, -900)


def test_who_cannot_be_looked_into_is_refused(tmp_path):
    folder = TINY["build"]("BLIP-2 Flan-T5", tmp_path)
    with pytest.raises(ModelError, match="an encoder with a decoder"):
        load_white_box(f"hf:{folder}")
    with pytest.raises(CapabilityError, match="cannot be seen"):
        load_white_box("chat:some@http://127.0.0.1:1/v1")


def test_a_model_whose_layers_cannot_be_named_is_refused(box_of):
    from vlmaudit.models.module_names import layers_of

    with pytest.raises(ModelError, match="cannot be named: its decoder has no layers or block"):
        layers_of(box_of("LLaVA")._spec, torch.nn.Sequential(torch.nn.Linear(2, 2)))


def test_a_folder_of_adapters_alone_says_what_to_do(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="merge them"):
        load_white_box(f"hf:{tmp_path}")
