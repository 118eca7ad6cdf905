"""Checkpoints of the transformers library: found, read without running what they hold, refused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import transformers

from vlmaudit.models.devices import TORCH_DTYPES
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.memory import is_out_of_memory
from vlmaudit.models.text_batches import PROBE_TEXTS
from vlmaudit.models.weights import (
    CHECKPOINT_ENDINGS,
    checkpoint_shapes,
    one_line,
    why_no_hub,
)

# transformers loads whichever class a configuration names.
Model: TypeAlias = Any
Processor: TypeAlias = Any
AutoClass: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint's files are, and whether its own Python code may run.

    Attributes:
        spec: The model as it was asked for.
        source: A folder, or a repository of the hub.
        revision: The repository's revision.
        runs_code: Whether code that comes with it is trusted.
        needs_code: What is said of a model that transformers knows only by such code.
    """

    spec: ModelSpec
    source: str
    revision: str
    runs_code: bool = False
    needs_code: str = (
        "it brings its own code, which is never run here; transformers must know the model."
    )

    def config(self) -> transformers.PretrainedConfig:
        """The configuration, in the library's words.

        Raises:
            ModelError: It cannot be found or used, or needs code that is not trusted.
        """
        spec = self.spec
        try:
            return transformers.AutoConfig.from_pretrained(
                self.source, revision=self.revision, trust_remote_code=self.runs_code
            )
        except Exception as problem:
            if "trust_remote_code" in str(problem):
                raise spec.error(self.needs_code) from problem
            if spec.path is not None:
                raise spec.error(f"config.json cannot be used ({one_line(problem)}).") from problem
            raise spec.error(
                f"it is not on this machine, and {why_no_hub(problem)}. Fetch it where you can and "
                "give the folder: hf:./folder."
            ) from problem

    def model(self, kind: AutoClass, dtype: str, **how: object) -> Model:
        """The weights, complete, for answering only.

        Args:
            kind: Such as `transformers.AutoModel`.
            dtype: Arithmetic inside the model.
            how: What else `from_pretrained` is told.

        Raises:
            ModelError: They cannot be read, or do not make up the model.
        """
        try:
            # Pickled weights are read with weights_only=True: transformers does so unasked.
            model, found = kind.from_pretrained(
                self.source,
                revision=self.revision,
                dtype=TORCH_DTYPES[dtype],
                trust_remote_code=self.runs_code,
                weights_only=True,
                output_loading_info=True,
                **how,
            )
        # The library raises nearly anything on damaged or foreign files.
        except Exception as problem:
            if is_out_of_memory(problem):
                raise
            raise self.spec.error(f"its weights cannot be read ({one_line(problem)}).") from problem
        absent = sorted(found["missing_keys"])
        absent += sorted(str(key) for key in found["mismatched_keys"])
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise self.spec.error(
                f"the checkpoint lacks weights of the model, or has them in another shape: "
                f"{absent[0]}{more}."
            )
        return model.eval().requires_grad_(False)

    def processor(self, parts: Sequence[str] = ("tokenizer", "image_processor")) -> Processor:
        """What turns words and pictures into numbers.

        Raises:
            ModelError: It cannot be read, or a part of it is not there.
        """
        try:
            processor = transformers.AutoProcessor.from_pretrained(
                self.source, revision=self.revision, trust_remote_code=self.runs_code
            )
        except Exception as problem:
            raise self.spec.error(
                f"its tokenizer or image processor cannot be read ({one_line(problem)})."
            ) from problem
        for part in parts:
            if getattr(processor, part, None) is None:
                raise self.spec.error(f"it comes without {part.replace('_', ' ')}.")
        return processor


def find(spec: ModelSpec) -> Checkpoint:
    """Where a model's files are; those of a folder are looked at, the hub is not asked yet.

    Raises:
        ModelError: The folder is not there, or holds no checkpoint, or a damaged one.
    """
    return Checkpoint(spec, _source(spec), spec.variant or "main")


def identity_of(processor: Processor) -> dict[str, Any]:
    """What makes two tokenizers the same: the vocabulary, and what they make of some texts."""
    tokenizer = processor.tokenizer
    return {
        "vocabulary": tokenizer.get_vocab(),
        "tokens": [
            tokenizer(text, truncation=True, max_length=64)["input_ids"] for text in PROBE_TEXTS
        ],
        "padding": [tokenizer.pad_token_id, tokenizer.padding_side],
    }


@contextmanager
def without_chatter(*, show_bars: bool) -> Iterator[None]:
    """No advice from transformers while a model is loaded; progress bars only for downloads."""
    logging = transformers.utils.logging
    level, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not show_bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()


def _source(spec: ModelSpec) -> str:
    if spec.path is None:
        return spec.name
    if not spec.path.is_dir():
        raise spec.error("there is no such folder.")
    if not (spec.path / "config.json").is_file():
        hint = ""
        if (spec.path / "open_clip_config.json").is_file():
            hint = f' It looks like an OpenCLIP model: write "open_clip:{spec.path}".'
        if (spec.path / "adapter_config.json").is_file():
            hint = " It holds adapters alone: merge them (peft's merge_and_unload) and save that."
        raise spec.error(f"the folder has no config.json.{hint}")
    if not any(file.suffix in CHECKPOINT_ENDINGS for file in spec.path.iterdir()):
        raise spec.error("the folder holds no checkpoint, such as model.safetensors.")
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (spec.path / name).is_file():
            checkpoint_shapes(spec, spec.path / name)  # says what is wrong with a file in our words
            break
    return str(spec.path)
