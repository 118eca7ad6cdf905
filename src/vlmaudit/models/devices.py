"""Where and in which arithmetic a model runs."""

from typing import Final

import torch

from vlmaudit.models.loading import ModelSpec

TORCH_DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def pick_device(spec: ModelSpec, device: str) -> torch.device:
    """The device asked for; "auto" takes a GPU where there is one.

    Raises:
        ModelError: This machine has no such device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    chosen = _parsed(spec, device)
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if (chosen.index or 0) >= there[chosen.type]:
        raise spec.error(f'this machine has no device "{device}"; "auto" takes what is there.')
    return chosen


def _parsed(spec: ModelSpec, device: str) -> torch.device:
    try:
        return torch.device(device)
    except RuntimeError as problem:
        raise spec.error(f'no such device as "{device}".') from problem
