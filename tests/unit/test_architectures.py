"""Architectures by name and by file, and what cannot be trained from nothing."""

import json

import pytest

from vlmaudit.errors import InputError
from vlmaudit.lab.architectures import (
    PAPER_ARCHITECTURES,
    build,
    find_architecture,
    lab_architectures,
    tokenizer_of,
)

pytestmark = pytest.mark.torch

TOWERS = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1},
}


def of_file(folder, **changes):
    described = {**TOWERS, **changes}
    (folder / "mine.json").write_text(json.dumps(described))
    return find_architecture(str(folder / "mine.json"))


@pytest.mark.parametrize("name", lab_architectures())
def test_what_is_shipped_builds_and_is_small(name):
    import torch

    architecture = find_architecture(name)
    model = build(architecture)
    side = architecture.side

    assert architecture.is_known_to_learn
    assert name.endswith(f"-{side}")
    assert sum(value.numel() for value in model.parameters()) < 9e6
    with torch.no_grad():
        shown = model.eval().encode_image(torch.rand(2, 3, side, side))
    assert shown.shape == (2, architecture.config["embed_dim"])
    assert tokenizer_of(architecture)(["a"]).shape == (1, architecture.context_length)


@pytest.mark.parametrize("name", PAPER_ARCHITECTURES)
def test_the_papers_are_open_clips_and_not_said_to_be_tried(name):
    import open_clip
    import torch

    architecture = find_architecture(name)

    assert architecture.config == open_clip.get_model_config(name)
    assert not architecture.is_known_to_learn
    with torch.device("meta"):
        build(architecture)


def test_a_file_is_an_architecture(tmp_path):
    architecture = of_file(tmp_path)

    assert (architecture.name, architecture.side, architecture.context_length) == (
        *("mine.json", 32, 12),
    )
    assert not architecture.is_known_to_learn
    assert build(architecture).context_length == 12


def test_a_name_that_is_none():
    with pytest.raises(InputError, match=r"Did you mean lab-resnet-64\?.*RN50, ViT-B-32, RN50x4"):
        find_architecture("lab-resnet-65")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "is no JSON file"),
        ("[]", "describes no CLIP; it needs embed_dim, text_cfg, vision_cfg"),
        (json.dumps({**TOWERS, "vision_cfg": []}), "must be objects"),
        (json.dumps({**TOWERS, "vision_cfg": {"image_size": "big"}}), "needs an image_size"),
    ],
)
def test_a_file_that_describes_none(tmp_path, content, line):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(InputError, match=line) as caught:
        find_architecture(str(tmp_path / "mine.json"))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        find_architecture(str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    ("tower", "change", "line"),
    [
        ("text_cfg", {"hf_model_name": "roberta-base"}, "text_cfg has hf_model_name; .* nothing"),
        ("vision_cfg", {"timm_model_pretrained": True}, "vision_cfg has timm_model_pretrained"),
        ("text_cfg", {"no_causal_mask": True}, "text_cfg has no_causal_mask"),
    ],
)
def test_what_would_be_fetched_or_cannot_be_cut(tmp_path, tower, change, line):
    with pytest.raises(InputError, match=line):
        of_file(tmp_path, **{tower: {**TOWERS[tower], **change}})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"custom_text": True}, "cannot build a CLIP of it .*custom_text"),
        ({"embed_dim": "wide"}, "cannot build a CLIP of it"),
        ({"text_cfg": {**TOWERS["text_cfg"], "vocab_size": 99}}, "vocab_size is 99"),
        ({"text_cfg": {**TOWERS["text_cfg"], "pool_type": "last"}}, "not end at the end token"),
    ],
)
def test_what_open_clip_cannot_build_or_we_cannot_train(tmp_path, changes, line):
    with pytest.raises(InputError, match=line) as caught:
        build(of_file(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_a_text_tower_read_at_a_named_token_is_cut_there(tmp_path):
    """Pooled at an end token by its number, as newer configurations say, instead of the highest."""
    import numpy as np
    import torch

    from vlmaudit.lab.texts import CaptionTower

    text = {**TOWERS["text_cfg"], "pool_type": "eos", "eos_id": 49407, "proj_bias": True}
    architecture = of_file(tmp_path, text_cfg=text)
    torch.manual_seed(0)
    model = build(architecture)
    tokens = tokenizer_of(architecture)(["one", "two and three and four", "five six", "", "a b c"])
    with torch.no_grad():
        expected = model.encode_text(tokens)
        found = CaptionTower(model, tokens).encode(np.array([3, 1, 4, 0]))

    assert torch.allclose(found, expected[[3, 1, 4, 0]], atol=1e-5)
    assert found.std() > 0
