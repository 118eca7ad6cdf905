"""What a loaded model is found to do, and what a checkpoint's files declare."""

import json

import numpy as np
import pytest
from PIL import Image

from vlmaudit.models.base import Construction

pytestmark = pytest.mark.torch


def activation(*modules):
    from vlmaudit.models.construction import activation_of

    return activation_of(modules)


def test_every_activation_of_transformers_is_called_by_its_values():
    from transformers.activations import ACT2FN

    from vlmaudit.models.hf_declared import _ACTIVATIONS

    for spelling, name in _ACTIVATIONS.items():
        assert activation(ACT2FN[spelling]) == name, spelling


def test_activations_of_open_clip_and_torch():
    import open_clip
    from torch import nn

    assert activation(open_clip.transformer.QuickGELU()) == "QuickGELU"
    assert activation(nn.GELU()) == "GELU"
    assert activation(nn.GELU(approximate="tanh")) == "GELU (tanh)"
    assert activation(nn.SiLU(), nn.SiLU()) == "SiLU"
    assert activation(nn.Hardswish()) == "Hardswish"


def test_a_class_by_another_name_is_known_all_the_same():
    import torch
    from torch import nn

    class GELU(nn.Module):
        def forward(self, x):
            return x * torch.sigmoid(1.702 * x)

    assert activation(GELU()) == "QuickGELU"


def test_what_is_no_activation_does_not_count():
    from torch import nn

    tower = nn.ModuleList(
        [
            *(nn.Linear(4, 4), nn.LayerNorm(4), nn.LayerNorm(42, elementwise_affine=False)),
            *(nn.Identity(), nn.Dropout(0.5).eval(), nn.Softmax(dim=-1), nn.Flatten(0)),
            *(nn.ZeroPad2d(1), nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(2), nn.Embedding(3, 4)),
            nn.MultiheadAttention(4, 1),
        ]
    )
    assert activation(tower) is None
    assert activation(tower, nn.Sequential(nn.Linear(4, 4), nn.ReLU())) == "ReLU"


def test_gates_and_poolers_count_only_where_they_are_alone():
    from torch import nn

    assert activation(nn.SiLU(), nn.Sigmoid(), nn.Tanh()) == "SiLU"
    assert activation(nn.Tanh()) == "Tanh"


def test_towers_that_mix_are_called_by_all_their_names():
    from torch import nn

    assert activation(nn.GELU(), nn.ReLU()) == "GELU and ReLU"


def preprocessing(change):
    """What is measured where a picture's pixels, from 0 to 1, are changed so."""
    from vlmaudit.models.construction import preprocessing_of

    def prepare(pictures):
        pixels = np.stack([np.asarray(each) for each in pictures]) / 255
        return change(pixels.reshape(len(pictures), -1, 3))

    return preprocessing_of(prepare)


def test_mean_std_and_order_are_measured():
    mean, std = np.array([0.48, 0.46, 0.41]), np.array([0.27, 0.26, 0.28])
    assert preprocessing(lambda x: (x - mean) / std) == (
        "RGB",
        (0.48, 0.46, 0.41),
        (0.27, 0.26, 0.28),
    )
    order, *numbers = preprocessing(lambda x: (x[:, :, [2, 0, 1]] - mean) / std)
    assert (order, *numbers) == ("BRG", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    assert preprocessing(lambda x: 255 * x) == ("RGB", (0, 0, 0), (0.003922,) * 3)


def test_padding_beside_a_picture_is_not_measured():
    def padded(x):
        return np.concatenate([x / 2, np.zeros_like(x)[:, :-1]], axis=1)

    assert preprocessing(padded) == ("RGB", (0, 0, 0), (2, 2, 2))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x**2.2,
        lambda x: np.where(np.isclose(x, 128 / 255), x + 0.02, x),
        lambda x: x.mean(axis=2, keepdims=True) + 0 * x,
        lambda x: x @ np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0, 0, 1]]),
        lambda x: x[:, :, [0, 0, 1]],
        lambda x: x * 0,
        lambda x: x / 0.0,
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_no_mean_and_std_is_not_called_so(change):
    assert preprocessing(change) is None


# Declared by files.


def hf(folder, config, processor=None, *, file="preprocessor_config.json"):
    from vlmaudit.models.hf_declared import declared

    (folder / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (folder / file).write_text(json.dumps(processor))
    return declared(str(folder), "main")


NORMAL = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}


def test_transformers_files_of_today_and_of_old(tmp_path):
    config = {
        "text_config": {"hidden_act": "quick_gelu"},
        "vision_config": {"hidden_act": "gelu", "image_size": 224},
    }
    told = Construction("GELU", "QuickGELU", "RGB", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (224, 224))
    assert hf(tmp_path, config, NORMAL) == told
    # Where both are there, the library takes the one inside processor_config.json.
    newer = {"image_processor": {**NORMAL, "image_mean": 0.5}}
    found = hf(tmp_path, config, newer, file="processor_config.json")
    assert found.mean == (0.5, 0.5, 0.5)
    without = {"processor_class": "CLIPProcessor"}
    assert hf(tmp_path, config, without, file="processor_config.json") == told


def test_transformers_files_that_say_nothing(tmp_path):
    assert hf(tmp_path, {"model_type": "clip"}) == Construction()
    assert hf(tmp_path, {"text_config": {"hidden_act": "xielu"}}, {}) == Construction()
    assert hf(tmp_path, {}, {"image_mean": [0.5] * 3}).mean is None


@pytest.mark.parametrize(
    ("processor", "mean", "std"),
    [
        ({"do_normalize": False}, 0.0, 1.0),
        ({"do_normalize": False, "do_rescale": False}, 0.0, 1 / 255),
        ({"image_mean": 0.5, "image_std": 0.25, "rescale_factor": 1 / 255}, 0.5, 0.25),
        ({"image_mean": 0.0, "image_std": 1.0, "rescale_factor": 1 / 127.5}, 0.0, 0.5),
        (
            {"image_mean": 0, "image_std": 1, "rescale_factor": 1 / 127.5, "rescale_offset": True},
            0.5,
            0.5,
        ),
        (
            {
                "image_processor_type": "EfficientNetImageProcessor",
                **{"image_mean": 0.5, "image_std": 0.5, "include_top": True},
            },
            0.5,
            0.25,
        ),
        (
            {
                "image_processor_type": "EfficientNetFeatureExtractor",
                **{"image_mean": 0.5, "image_std": 0.5, "include_top": False},
            },
            0.5,
            0.5,
        ),
    ],
)
def test_what_transformers_files_amount_to(processor, mean, std, tmp_path):
    found = hf(tmp_path, {}, processor)
    assert found.mean == pytest.approx((mean,) * 3)
    assert found.std == pytest.approx((std,) * 3)
    if processor.get("image_processor_type") == "EfficientNetImageProcessor":
        from transformers import EfficientNetImageProcessor

        measured = _measured(EfficientNetImageProcessor(**processor))
        assert measured == ("RGB", found.mean, found.std)


def _measured(processor):
    from vlmaudit.models.construction import preprocessing_of

    def prepare(pictures: list[Image.Image]):
        pixels = processor(pictures, return_tensors="pt")["pixel_values"]
        return pixels.flatten(start_dim=2).transpose(1, 2).numpy()

    return preprocessing_of(prepare)


def test_what_only_the_library_knows_is_not_declared(tmp_path):
    silent = {"image_processor_type": "EfficientNetImageProcessor", **NORMAL}
    assert hf(tmp_path, {}, silent).std is None


def test_flipped_channels_are_declared(tmp_path):
    assert hf(tmp_path, {}, {**NORMAL, "do_flip_channel_order": True}).channels == "BGR"


def test_files_of_a_hub_repository_are_read_from_the_cache(tmp_path, monkeypatch):
    import huggingface_hub

    from vlmaudit.models.hf_declared import declared

    cache = tmp_path / "models--ada--tiny"
    snapshot = cache / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("a" * 40)
    (snapshot / "config.json").write_text('{"text_config": {"hidden_act": "gelu"}}')
    absent = cache / ".no_exist" / ("a" * 40) / "processor_config.json"
    absent.parent.mkdir(parents=True)
    absent.touch()
    monkeypatch.setattr(huggingface_hub.file_download, "HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert declared("ada/tiny", "main") == Construction(text_activation="GELU")


def open_clip_says(vision=None, text=None, preprocessing=None, **model):
    from vlmaudit.models.open_clip_sources import _declared

    towers = {"vision_cfg": vision or {}, "text_cfg": text or {}}
    return _declared({**towers, **model}, preprocessing or {})


def test_open_clip_files():
    plain = open_clip_says(vision={"image_size": 224})
    assert plain == Construction("GELU", "GELU", image_size=(224, 224))
    quick = open_clip_says(
        {"width": 64},
        {"width": 64},
        quick_gelu=True,
        preprocessing={"mean": [0.1] * 3, "std": [0.2] * 3},
    )
    assert quick == Construction("QuickGELU", "QuickGELU", "RGB", (0.1,) * 3, (0.2,) * 3)
    tall = open_clip_says(vision={"image_size": [240, 320]})
    assert tall.image_size == (240, 320)


def test_open_clip_towers_with_activations_of_their_own():
    other = open_clip_says(
        vision={"timm_model_name": "vit_base"}, text={"hf_model_name": "bert"}, quick_gelu=True
    )
    assert (other.image_activation, other.text_activation) == (None, None)
    resnet = open_clip_says(vision={"layers": [3, 4, 6, 3]}, quick_gelu=True)
    assert (resnet.image_activation, resnet.text_activation) == (None, "QuickGELU")
    siglip = open_clip_says(text={"act_kwargs": {"approximate": "tanh"}})
    assert (siglip.image_activation, siglip.text_activation) == ("GELU", "GELU (tanh)")


def test_every_architecture_of_open_clip_can_be_read():
    import open_clip

    from vlmaudit.models.open_clip_sources import _declared

    for name in open_clip.list_models():
        said = _declared(open_clip.get_model_config(name), {})
        assert said.image_size is not None, name
