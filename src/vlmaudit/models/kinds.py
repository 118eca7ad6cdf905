"""Which kind of model a spec names, found out without loading it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vlmaudit.models.loading import ModelSpec, parse_spec
from vlmaudit.models.scripting import CONTRASTIVE_KEYS, GENERATIVE_KEYS

# How transformers ends the names of classes that write text.
_WRITERS: Final = ("ForConditionalGeneration", "ForCausalLM", "LMHeadModel", "EncoderDecoderModel")


def asks_in_words(spec: str) -> bool:
    """Whether the model is asked in words and answers in words, so far as its files tell.

    A repository of the hub is looked up on this machine, and otherwise on the hub. Where nothing
    can be read the answer is no: the loader then says what is wrong.

    >>> asks_in_words("chat:qwen2.5-vl@https://models.example/v1")
    True
    >>> asks_in_words("open_clip:ViT-B-16/laion400m_e32")
    False

    Raises:
        ModelError: The spec cannot be read.
    """
    parsed = parse_spec(spec)
    if parsed.scheme == "scripted":
        keys = _json_object(parsed.path).keys()
        return bool(keys & GENERATIVE_KEYS) and not keys & CONTRASTIVE_KEYS
    if parsed.scheme == "hf":
        return _writes(_json_object(_config_file(parsed)))
    return parsed.scheme == "chat"


def _writes(config: Mapping[str, Any]) -> bool:
    named = [*_listed(config.get("architectures")), *_listed(config.get("auto_map"))]
    if named:
        return any(name.endswith((*_WRITERS, "ForImageTextToText")) for name in named)
    if not isinstance(kind := config.get("model_type"), str):
        return False
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def _listed(names: object) -> list[str]:
    """The strings in a list, or the keys of an object: a foreign file may hold anything."""
    return (
        [name for name in names if isinstance(name, str)] if isinstance(names, list | dict) else []
    )


def _config_file(spec: ModelSpec) -> Path | None:
    if spec.path is not None:
        return spec.path / "config.json"
    from transformers.utils import cached_file

    try:
        found = cached_file(spec.name, "config.json", revision=spec.variant or "main")
    except (OSError, ValueError):  # the loader says why it cannot be had
        return None
    return None if found is None else Path(found)


def _json_object(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
