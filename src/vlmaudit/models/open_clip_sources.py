"""Where an open_clip model comes from, and which combinations are refused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import open_clip

from vlmaudit.errors import ModelError, did_you_mean
from vlmaudit.models.base import Construction
from vlmaudit.models.construction import GELU, QUICK_GELU, TANH_GELU
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.weights import one_line, why_no_hub

CONFIG_NAME: Final = "open_clip_config.json"
QUICKGELU: Final = "-quickgelu"

_PREPROCESSING: Final = ("mean", "std", "interpolation", "resize_mode")
# In a folder with several checkpoints open_clip takes the first of these.
_CHECKPOINT_NAMES: Final = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where architecture, tokenizer, weights and preprocessing come from."""

    architecture: str
    checkpoint: Path
    preprocessing: Mapping[str, Any]
    said: Construction
    """What the files declare, before the library fills in what they leave out."""


def find(spec: ModelSpec) -> Source:
    """Find what a spec names; published weights are fetched where they are not there yet.

    Raises:
        ModelError: There is no such thing, or its parts do not belong together.
    """
    if not spec.name:
        return _in_folder(spec)
    if spec.name not in open_clip.list_models():
        hint = did_you_mean(spec.name, open_clip.list_models())
        raise spec.error(f"no such architecture.{hint}")
    return _published(spec) if spec.path is None else _in_file(spec, spec.path)


def _published(spec: ModelSpec) -> Source:
    config = open_clip.get_pretrained_cfg(spec.name, spec.variant)
    refuse_other_activation(spec, config)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(spec.name)
        hint = did_you_mean(spec.variant, tags)
        known = f" Known: {', '.join(tags)}." if tags else f" There are none for {spec.name}."
        raise spec.error(f"no such weights.{hint or known}")
    try:
        file = open_clip.download_pretrained(config)
    # Hub, proxy, disk and checksum each fail in their own way; none of them is ours to repair.
    except Exception as problem:
        raise spec.error(
            f"its weights are not on this machine, and {why_no_hub(problem)}. Fetch them where you "
            f"can and give the file: open_clip:{spec.name}@FILE."
        ) from problem
    preprocessing = {key: config[key] for key in _PREPROCESSING}
    said = _declared(open_clip.get_model_config(spec.name), preprocessing)
    return Source(spec.name, Path(file), preprocessing, said)


def _in_file(spec: ModelSpec, file: Path) -> Source:
    uses_quick_gelu = _uses_quick_gelu(spec.name)
    needs_quick_gelu = _trained_with_quick_gelu(file)
    if needs_quick_gelu is not None and needs_quick_gelu != uses_quick_gelu:
        raise _other_activation(spec, f"@{file}", needs_quick_gelu=needs_quick_gelu)
    # The pictures of released weights of one architecture are nearly always prepared alike;
    # open_clip itself would prepare them as for OpenAI's, which is wrong for SigLIP and others.
    released = [
        {key: config[key] for key in _PREPROCESSING}
        for tag in open_clip.list_pretrained_tags_by_model(spec.name)
        if (config := open_clip.get_pretrained_cfg(spec.name, tag))
    ]
    alike = bool(released) and all(each == released[0] for each in released)
    preprocessing = released[0] if alike else {}
    said = _declared(open_clip.get_model_config(spec.name), preprocessing)
    return Source(spec.name, file, preprocessing, said)


def _in_folder(spec: ModelSpec) -> Source:
    folder = spec.path
    assert folder is not None
    if not folder.is_dir():
        raise spec.error("there is no such folder.")
    config_file = folder / CONFIG_NAME
    if not config_file.is_file():
        hint = ""
        if (folder / "config.json").is_file():
            hint = f' It looks like a transformers model: write "hf:{spec.text.partition(":")[2]}".'
        raise spec.error(f"the folder has no {CONFIG_NAME}.{hint}")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        complete = {"embed_dim", "vision_cfg", "text_cfg"} <= set(config["model_cfg"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise spec.error(f"{CONFIG_NAME} cannot be read ({one_line(problem)}).") from problem
    if not complete:
        raise spec.error(f"{CONFIG_NAME} describes no model (model_cfg is incomplete).")
    said = _declared(config["model_cfg"], config.get("preprocess_cfg") or {})
    return Source(f"local-dir:{folder}", _checkpoint_in(spec, folder), {}, said)


def _declared(model: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> Construction:
    """What a description of architecture and preprocessing says, and nothing that it leaves out.

    Towers of timm and transformers have activations of their own, and a ResNet has ReLU, whatever
    `quick_gelu` says. Elsewhere that flag decides, and is not set where it is not there.
    """
    vision, text = model["vision_cfg"], model["text_cfg"]
    has_own = vision.get("timm_model_name") or isinstance(vision.get("layers"), list | tuple)
    mean, std = preprocessing.get("mean"), preprocessing.get("std")
    return Construction(
        image_activation=None if has_own else _activation(model, vision),
        text_activation=None if text.get("hf_model_name") else _activation(model, text),
        channels=None if mean is None else "RGB",
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
        image_size=_height_and_width(vision.get("image_size")),
    )


def _activation(model: Mapping[str, Any], tower: Mapping[str, Any]) -> str | None:
    options = tower.get("act_kwargs") or {}
    if model.get("quick_gelu", False):
        return QUICK_GELU
    if not options:
        return GELU
    return TANH_GELU if options == {"approximate": "tanh"} else None


def _height_and_width(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _checkpoint_in(spec: ModelSpec, folder: Path) -> Path:
    """The checkpoint open_clip takes; where its choice is arbitrary there is an error instead."""
    endings = {".safetensors", ".bin", ".pth"}
    found = {file.name: file for file in folder.iterdir() if file.suffix in endings}
    if not found:
        raise spec.error(f"the folder holds no checkpoint, such as {_CHECKPOINT_NAMES[0]}.")
    if len(found) == 1:
        return next(iter(found.values()))
    for name in _CHECKPOINT_NAMES:
        if name in found:
            return found[name]
    raise spec.error(
        f"the folder holds several checkpoints ({', '.join(sorted(found))}); call the one that "
        f"is meant {_CHECKPOINT_NAMES[0]}, or move the others away."
    )


def refuse_other_activation(spec: ModelSpec, config: Mapping[str, Any]) -> None:
    """Refuse weights that were trained with another activation than the architecture has.

    They load without an error, and the numbers are wrong: the IDIA paper's ViT-B-32 target was
    audited like that. An architecture with one spelling only has its weights' activation.
    """
    twin = _twin(spec.name)
    if twin not in open_clip.list_models():
        return
    uses = _uses_quick_gelu(spec.name)
    if config:
        needs = bool(config.get("quick_gelu", False))
    elif other := open_clip.get_pretrained_cfg(twin, spec.variant):
        needs = bool(other.get("quick_gelu", False))
    else:
        return
    if needs != uses:
        raise _other_activation(spec, f"/{spec.variant}", needs_quick_gelu=needs)


def _other_activation(spec: ModelSpec, rest: str, *, needs_quick_gelu: bool) -> ModelError:
    trained = "with QuickGELU" if needs_quick_gelu else "without QuickGELU"
    runs = "without" if needs_quick_gelu else "with"
    twin = _twin(spec.name)
    hint = f" Write open_clip:{twin}{rest}." if twin in open_clip.list_models() else ""
    return spec.error(
        f"these weights were trained {trained}, and {spec.name} runs them {runs}.{hint}"
    )


def _twin(architecture: str) -> str:
    """The same architecture with the other activation."""
    if architecture.endswith(QUICKGELU):
        return architecture.removesuffix(QUICKGELU)
    return architecture + QUICKGELU


def _uses_quick_gelu(architecture: str) -> bool:
    return bool(open_clip.get_model_config(architecture).get("quick_gelu", False))


def _trained_with_quick_gelu(file: Path) -> bool | None:
    """What a file's name says about the activation; None where it says nothing.

    Released files are known by their names, which end in a part of their checksum.
    """
    for architecture, tag in open_clip.list_pretrained():
        config = open_clip.get_pretrained_cfg(architecture, tag)
        released = config.get("url", "")
        if "/open_clip/" in released and released.endswith(f"/{file.name}"):
            return bool(config.get("quick_gelu", False))
    return True if "quickgelu" in file.name.lower() else None
