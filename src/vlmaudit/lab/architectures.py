"""Architectures of target models: those shipped here, open_clip's own, and anybody's JSON file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from vlmaudit.errors import InputError, did_you_mean

PAPER_ARCHITECTURES: Final = ("RN50", "ViT-B-32", "RN50x4")
"""What the IDIA paper trained on CC3M, under open_clip's names. None was trained here: they need
a GPU for days."""

_VOCABULARY: Final = 49408

# What would fetch weights or a tokenizer, or is no CLIP with a causal text tower of its own.
_FOREIGN: Final = {
    "vision_cfg": ("timm_model_pretrained",),
    "text_cfg": ("hf_model_name", "hf_tokenizer_name", "no_causal_mask"),
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A CLIP in open_clip's words.

    Attributes:
        name: The name it is known by, or its file's name; no path of any machine.
        config: What ``model_cfg`` says in an ``open_clip_config.json``.
        is_known_to_learn: Whether models of it have been trained here and learnt.
    """

    name: str
    config: Mapping[str, Any]
    is_known_to_learn: bool

    @property
    def side(self) -> int:
        """Pixels along a side of the pictures it looks at."""
        return int(self.config["vision_cfg"]["image_size"])

    @property
    def context_length(self) -> int:
        """Tokens of a text at most, the two special ones included."""
        return int(self.config["text_cfg"].get("context_length", 77))


def lab_architectures() -> tuple[str, ...]:
    """The names of the small architectures shipped here, which learn on a CPU."""
    shipped = files("vlmaudit.lab").joinpath("architectures").iterdir()
    names = (file.name for file in shipped if file.name.endswith(".json"))
    return tuple(sorted(name.removesuffix(".json") for name in names))


def find_architecture(name: str) -> Architecture:
    """The architecture of a name or a file.

    Args:
        name: One of `lab_architectures`, an architecture of open_clip such as those of the paper,
            or the path of a JSON file, which ends in ``.json``.

    Raises:
        InputError: There is none, or it cannot be trained from nothing as a CLIP.
    """
    if name.endswith(".json"):
        return _checked(name, Path(name).name, _read(Path(name)), is_known_to_learn=False)
    if name in lab_architectures():
        text = files("vlmaudit.lab").joinpath("architectures", f"{name}.json").read_text("utf-8")
        return Architecture(name, json.loads(text), is_known_to_learn=True)
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        known = (*lab_architectures(), *PAPER_ARCHITECTURES)
        hint = did_you_mean(name, (*known, *open_clip.list_models()))
        raise InputError(
            f'architecture "{name}": there is none of that name.{hint} Known: {", ".join(known)}, '
            "the others of open_clip, or the path of a JSON file."
        )
    return _checked(name, name, config, is_known_to_learn=False)


def build(architecture: Architecture) -> Any:  # noqa: ANN401
    """An `open_clip.CLIP` with first weights from torch's global generator.

    Raises:
        InputError: open_clip cannot build it.
    """
    import open_clip

    try:
        model = open_clip.model.CLIP(**architecture.config)
    # The library raises nearly anything on a configuration that makes no sense.
    except Exception as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise InputError(
            f'architecture "{architecture.name}": open_clip cannot build a CLIP of it ({reason}).'
        ) from problem
    if model.vocab_size < _VOCABULARY:
        raise InputError(
            f'architecture "{architecture.name}": its vocab_size is {model.vocab_size}, and the '
            f"tokenizer of CLIP has {_VOCABULARY} words."
        )
    if model.attn_mask is None or model.text_pool_type not in {"argmax", "eos"}:
        raise InputError(
            f'architecture "{architecture.name}": its text tower does not end at the end token; '
            "only causal ones can be trained here."
        )
    return model


def tokenizer_of(architecture: Architecture) -> Any:  # noqa: ANN401
    """The tokenizer that open_clip takes when it loads a model of this architecture."""
    import open_clip

    options = architecture.config["text_cfg"].get("tokenizer_kwargs", {})
    return open_clip.SimpleTokenizer(context_length=architecture.context_length, **options)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"{path}: cannot be read ({problem.strerror}).") from problem
    except ValueError as problem:
        raise InputError(f"{path}: is no JSON file ({problem}).") from problem


def _checked(place: str, name: str, config: object, *, is_known_to_learn: bool) -> Architecture:
    needed = {"embed_dim", "vision_cfg", "text_cfg"}
    if not isinstance(config, dict) or not needed <= set(config):
        raise InputError(f"{place}: describes no CLIP; it needs {', '.join(sorted(needed))}.")
    towers = [config["vision_cfg"], config["text_cfg"]]
    if not all(isinstance(tower, dict) for tower in towers):
        raise InputError(f"{place}: vision_cfg and text_cfg must be objects.")
    if not isinstance(config["vision_cfg"].get("image_size"), int):
        raise InputError(f"{place}: vision_cfg needs an image_size, as one number.")
    for tower, keys in _FOREIGN.items():
        for key in keys:
            if config[tower].get(key):
                raise InputError(
                    f"{place}: {tower} has {key}; a target model is trained from nothing, with a "
                    "causal text tower and the tokenizer of CLIP."
                )
    return Architecture(name, cast("dict[str, Any]", config), is_known_to_learn)
