"""Generative checkpoints of transformers: loaded, or refused in a line that says why.

Everything that `AutoModelForImageTextToText` loads: LLaVA, BLIP-2, PaliGemma, Qwen-VL, …
"""

import importlib.util
import json
import logging
import re
from dataclasses import dataclass
from typing import Any, Final

import torch
import transformers

from vlmaudit.errors import CapabilityError, ModelError
from vlmaudit.models.devices import TORCH_DTYPES, pick_device
from vlmaudit.models.generative_families import Family, family_of
from vlmaudit.models.greedy import make_greedy
from vlmaudit.models.hf_answers import HfGenerative
from vlmaudit.models.hf_files import (
    Checkpoint,
    Model,
    Processor,
    find,
    identity_of,
    without_chatter,
)
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.memory import fitting, is_out_of_memory
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.trie_scoring import NODES_A_PACK
from vlmaudit.models.weights import one_line, weights_digest
from vlmaudit.results.records import ModelRecord

PROMPTS_A_BATCH: Final = 10
"""Prompts a batch where nobody says otherwise: on a CPU more of them save nothing."""
PROMPTS_A_GPU_BATCH: Final = 30

_QUANTIZED: Final = {"none": "none", "8bit": "8bit", "4bit": "4bit nf4"}
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_NEEDS_CODE: Final = (
    "it brings its own Python code, which would run here; read it, and allow that one commit with "
    "--trust-remote-code REVISION."
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint that answers greedily, in its parts.

    Attributes:
        model: Its weights, for answering only.
        processor: What turns words and pictures into numbers.
        family: How it is asked.
        record: Which weights they are.
    """

    model: Model
    processor: Processor
    family: Family
    record: ModelRecord


def open_checkpoint(spec: ModelSpec, options: GenerativeOptions) -> Opened:
    """Read a checkpoint from a folder or from the hub.

    Raises:
        ModelError: It cannot be found, trusted or used, or a package is missing.
        CapabilityError: It does not answer questions about pictures.
    """
    place = pick_device(spec, options.device)
    files = _trusted(spec, find(spec), options.trust_remote_code)
    with without_chatter(show_bars=spec.path is None):
        config = files.config()
        _require_answers(spec, config, runs_code=files.runs_code)
        _require_packages(spec, config, options)
        processor = files.processor(("image_processor", "tokenizer"))
        family = family_of(spec, config.model_type, processor)
        with fitting(spec.text):
            model = _model(files, options, place)
    make_greedy(model, processor.tokenizer)
    return Opened(model, processor, family, _record(spec, model, processor, options))


def load(spec: ModelSpec, options: GenerativeOptions) -> HfGenerative:
    """Load a model from a folder or from the hub.

    Raises:
        ModelError: It cannot be found, trusted or used, or a package is missing.
        CapabilityError: It does not answer questions about pictures.
    """
    opened = open_checkpoint(spec, options)
    place = opened.model.device
    usual = PROMPTS_A_BATCH if place.type == "cpu" else PROMPTS_A_GPU_BATCH
    try:
        with fitting(spec.text):
            return HfGenerative(
                opened.model,
                opened.processor,
                opened.family,
                record=opened.record,
                batch_size=options.batch_size or usual,
                candidates_a_pack=options.batch_size or NODES_A_PACK,
                max_new_tokens=options.max_new_tokens,
            )
    # The library raises nearly anything where processor and weights do not fit each other.
    except Exception as problem:
        if isinstance(problem, ModelError) or is_out_of_memory(problem):
            raise
        raise _cannot_be_asked(spec, problem) from problem


def _trusted(spec: ModelSpec, files: Checkpoint, revision: str | None) -> Checkpoint:
    """The same files, whose code may run if the user has named the commit it is from."""
    if not revision:
        return Checkpoint(spec, files.source, files.revision, needs_code=_NEEDS_CODE)
    if spec.path is None and (revision != spec.variant or not _COMMIT.fullmatch(revision)):
        raise spec.error(
            "code is trusted at one commit only: write hf:ORG/NAME@COMMIT and "
            "--trust-remote-code COMMIT, with the same 40 hexadecimal digits."
        )
    return Checkpoint(spec, files.source, files.revision, runs_code=True, needs_code=_NEEDS_CODE)


def _require_answers(
    spec: ModelSpec, config: transformers.PretrainedConfig, *, runs_code: bool
) -> None:
    """Refuse by the class, before gigabytes are read."""
    kind = type(config)
    foreign = getattr(config, "auto_map", None) or {}
    if kind in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or (
        runs_code and "AutoModelForImageTextToText" in foreign
    ):
        return
    known = transformers.MODEL_MAPPING.get(kind, None)
    classes = known if isinstance(known, tuple | list) else [known]
    if any(hasattr(each, "get_text_features") for each in classes):
        raise CapabilityError(
            f'model "{spec.text}": {config.model_type} compares pictures with texts and answers '
            "nothing; whether it ties faces to names is what vlmaudit identity-inference asks."
        )
    if kind in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        why = f"{config.model_type} reads text and sees no pictures"
    else:
        why = f"{config.model_type} does not answer questions about pictures"
    raise CapabilityError(
        f'model "{spec.text}": {why}; this needs a model such as LLaVA, BLIP-2 or Qwen2.5-VL.'
    )


def _require_packages(
    spec: ModelSpec, config: transformers.PretrainedConfig, options: GenerativeOptions
) -> None:
    if config.model_type == "smolvlm" and not _has("num2words"):
        raise spec.error(
            "its processor writes numbers as words; install: pip install 'vlmaudit[smolvlm]'."
        )
    if options.quantization == "none":
        return
    missing = [name for name in ("bitsandbytes", "accelerate") if not _has(name)]
    if missing:
        raise spec.error(
            f"loading in {options.quantization} needs {' and '.join(missing)}; install: "
            "pip install 'vlmaudit[quantized]'."
        )


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _model(files: Checkpoint, options: GenerativeOptions, place: torch.device) -> Model:
    kind = transformers.AutoModelForImageTextToText
    if options.quantization == "none":
        return files.model(kind, options.dtype).to(place)
    how = transformers.BitsAndBytesConfig(
        load_in_8bit=options.quantization == "8bit",
        load_in_4bit=options.quantization == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=TORCH_DTYPES[options.dtype],
    )
    # At every layer of every answer it says which numbers it casts.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # Quantised where it is put; it cannot be moved later.
    return files.model(kind, options.dtype, quantization_config=how, device_map={"": place})


def _record(
    spec: ModelSpec, model: Model, processor: Processor, options: GenerativeOptions
) -> ModelRecord:
    tokenizer = {
        **identity_of(processor),
        "template": getattr(processor, "chat_template", None),
    }
    return ModelRecord(
        name=spec.public_name,
        family="hf",
        weights=weights_digest(
            model.state_dict(),
            tokenizer=tokenizer,
            preprocessing=json.loads(processor.image_processor.to_json_string()),
        ),
        dtype=options.dtype,
        attention=str(getattr(model.config, "_attn_implementation", None) or "default"),
        quantization=_quantization(model.config, options),
    )


def _quantization(config: Any, options: GenerativeOptions) -> str:  # noqa: ANN401
    """What was asked for, or what the checkpoint came in."""
    came = getattr(config, "quantization_config", None)
    if options.quantization == "none" and came is not None:
        method = came.get("quant_method") if isinstance(came, dict) else came.quant_method
        return str(getattr(method, "value", method))
    return _QUANTIZED[options.quantization]


def _cannot_be_asked(spec: ModelSpec, problem: Exception) -> ModelError:
    said = str(problem).lower()
    if "token" in said and "image" in said and ("match" in said or "mismatch" in said):
        return spec.error(
            f"its processor writes another number of image tokens than it has features "
            f"({one_line(problem)}); patch_size, num_additional_image_tokens or "
            "vision_feature_select_strategy in processor_config.json do not fit the weights."
        )
    return spec.error(f"it cannot be asked about a picture ({one_line(problem)}).")
