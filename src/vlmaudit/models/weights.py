"""Weights: read without running what a file may hold, and told apart by a digest."""

import hashlib
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from vlmaudit.models.loading import ModelSpec
from vlmaudit.results.fingerprint import fingerprint

CHECKPOINT_ENDINGS: Final = (".safetensors", ".pt", ".pth", ".bin")

Shapes = Mapping[str, tuple[int, ...]]


def weights_digest(
    state: Mapping[str, torch.Tensor],
    *,
    tokenizer: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
) -> str:
    """The digest of what decides an embedding: 32 hexadecimal digits.

    Args:
        state: The model's tensors as they were loaded; names, dtypes, shapes and bytes count.
        tokenizer: What makes two tokenizers the same, JSON-like.
        preprocessing: How a picture becomes pixels, JSON-like.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1f".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    parts = {"tokenizer": dict(tokenizer), "preprocessing": dict(preprocessing)}
    digest.update(fingerprint(parts).encode())
    return digest.hexdigest()


def checkpoint_shapes(spec: ModelSpec, file: Path) -> Shapes:
    """Names and shapes of the tensors in a checkpoint file, without reading their numbers.

    Raises:
        ModelError: The file is missing, damaged, of another kind, or would have to run code.
    """
    if not file.is_file():
        raise spec.error(f"there is no file {file}.")
    if file.suffix not in CHECKPOINT_ENDINGS:
        known = ", ".join(CHECKPOINT_ENDINGS)
        raise spec.error(f"{file.name} is no checkpoint; known endings: {known}.")
    if file.suffix == ".safetensors":
        return _safetensors_shapes(spec, file)
    return _pickled_shapes(spec, file)


def why_no_hub(problem: BaseException) -> str:
    """Why a model hub gave nothing, as half a sentence: the first of a chain of errors."""
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        return "the hub may not be asked (HF_HUB_OFFLINE is set)"
    while (before := problem.__cause__ or problem.__context__) is not None:
        problem = before
    return f"the hub does not give it ({one_line(problem)})"


def one_line(problem: BaseException, width: int = 160) -> str:
    """What a library's error says, in one line."""
    text = textwrap.shorten(str(problem), width, placeholder=" …")
    return text.rstrip(".") or type(problem).__name__


def _safetensors_shapes(spec: ModelSpec, file: Path) -> Shapes:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            names = tensors.keys()
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as problem:
        raise spec.error(f"{file.name} is damaged ({one_line(problem)}).") from problem


def _pickled_shapes(spec: ModelSpec, file: Path) -> Shapes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the pickle's age
            held = torch.load(file, map_location="meta", weights_only=True)
    # Damaged bytes make the reader raise nearly anything; each of these is the file's fault.
    except Exception as problem:
        if "Unsupported" in str(problem) or "TorchScript" in str(problem):
            raise spec.error(
                f"{file.name} holds more than weights, and reading it would run code from it; "
                "convert it to .safetensors where you trust it."
            ) from problem
        raise spec.error(f"{file.name} is damaged, or no checkpoint.") from problem
    state = held.get("state_dict", held) if isinstance(held, dict) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise spec.error(f"{file.name} holds no state dict.")
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
