"""What the files of a transformers checkpoint declare, before the library fills in the rest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from huggingface_hub import try_to_load_from_cache

from vlmaudit.models.base import Construction
from vlmaudit.models.construction import GELU, QUICK_GELU, RELU, SILU, TANH_GELU

_ACTIVATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "quick_gelu": QUICK_GELU,
        "gelu": GELU,
        "gelu_python": GELU,
        "gelu_new": TANH_GELU,
        "gelu_fast": TANH_GELU,
        "gelu_accurate": TANH_GELU,
        "gelu_pytorch_tanh": TANH_GELU,
        "gelu_python_tanh": TANH_GELU,
        "silu": SILU,
        "swish": SILU,
        "relu": RELU,
    }
)


def declared(source: str, revision: str) -> Construction:
    """What `config.json` and the image processor's file say.

    Args:
        source: A folder, or a hub repository that was loaded before: nothing is fetched.
        revision: The repository's revision.
    """
    config = _read(source, "config.json", revision)
    vision = config.get("vision_config") or config.get("image_config") or {}
    text = config.get("text_config") or {}
    pictures = _image_processor(source, revision)
    mean, std = _normalisation(pictures)
    size = vision.get("image_size")
    is_flipped = pictures.get("do_flip_channel_order", False)
    return Construction(
        image_activation=_ACTIVATIONS.get(vision.get("hidden_act", "")),
        text_activation=_ACTIVATIONS.get(text.get("hidden_act", "")),
        channels=None if mean is None else "BGR" if is_flipped else "RGB",
        mean=mean,
        std=std,
        image_size=(size, size) if isinstance(size, int) else None,
    )


def _image_processor(source: str, revision: str) -> Mapping[str, Any]:
    """The picture's part of the processor's file, or the file of its own that it had before."""
    together = _read(source, "processor_config.json", revision)
    return together.get("image_processor") or _read(source, "preprocessor_config.json", revision)


def _read(source: str, name: str, revision: str) -> Mapping[str, Any]:
    folder = Path(source)
    file = (
        folder / name
        if folder.is_dir()
        else try_to_load_from_cache(source, name, revision=revision)
    )
    # The cache also knows of files that the repository does not have.
    if not isinstance(file, str | Path) or not Path(file).is_file():
        return {}
    return json.loads(Path(file).read_text(encoding="utf-8"))


def _normalisation(
    pictures: Mapping[str, Any],
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and std in all, for pixel values from 0 to 1; None where they are not declared.

    What is taken off and divided by follows a factor, usually 1/255, and for some an offset of 1;
    EfficientNet's processor may divide by the std once more.
    """
    means, stds = _channels(0.0), _channels(1.0)
    if pictures.get("do_normalize", True):
        if not {"image_mean", "image_std"} <= pictures.keys():
            return None, None
        means, stds = _channels(pictures["image_mean"]), _channels(pictures["image_std"])
    scale, offset = 255.0, 0.0
    if pictures.get("do_rescale", True):
        scale *= pictures.get("rescale_factor", 1 / 255)
        offset = float(pictures.get("rescale_offset", False))
    twice = 1
    if str(pictures.get("image_processor_type", "")).startswith("EfficientNet"):
        if "include_top" not in pictures:
            return None, None
        twice = 1 + bool(pictures["include_top"])
    return (
        tuple((mean + offset) / scale for mean in means),
        tuple(std**twice / scale for std in stds),
    )


def _channels(numbers: float | Sequence[float]) -> Sequence[float]:
    return (numbers,) * 3 if isinstance(numbers, int | float) else numbers
