"""What a training needs to go on as if it had never stopped, in one file.

The file holds tensors, and in its header JSON: reading it runs none of its contents. It is written
whole or not at all, so that a kill or a full disk leaves the one before. Its name has no ending of
a model's weights, since a folder that is still being trained is no model.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from vlmaudit.errors import RunError
from vlmaudit.results.files import write_whole

CHECKPOINT_NAME: Final = "training.checkpoint"

_SCHEMA: Final = 1
_KEY: Final = "training"  # of the header, which maps text to text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training at rest.

    Attributes:
        identity: What makes a training the same: seed, settings, data, libraries, by name.
        step: Steps made.
        state: States of the randomness.
        tensors: Weights, the optimizer's averages and what else is numbers (torch).
    """

    identity: Mapping[str, Any]
    step: int
    state: Mapping[str, Any]
    tensors: Mapping[str, Any]


def at_rest(
    identity: Mapping[str, Any],
    step: int,
    trained: Mapping[str, Any],
    optimizer: Any,  # noqa: ANN401
    *,
    state: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """A training between two steps.

    Args:
        identity: What makes it the same.
        step: Steps made.
        trained: The parameters that are trained, by name (torch).
        optimizer: AdamW, with its averages.
        state: What else it needs to go on.
    """
    tensors = {f"model/{name}": parameter.detach() for name, parameter in trained.items()}
    for name, parameter in trained.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = value
    return Checkpoint(identity, step, state or {}, tensors)


def go_on(found: Checkpoint, trained: Mapping[str, Any], optimizer: Any) -> None:  # noqa: ANN401
    """Put the parameters and AdamW's averages back as they were."""
    import torch

    for name, parameter in trained.items():
        with torch.no_grad():
            parameter.copy_(found.tensors[f"model/{name}"])
        if f"step/{name}" in found.tensors:
            # AdamW counts its steps on the CPU, and has its averages where the weights are.
            optimizer.state[parameter] = {
                "step": found.tensors[f"step/{name}"],
                **{
                    key: found.tensors[f"{key}/{name}"].to(parameter.device)
                    for key in ("exp_avg", "exp_avg_sq")
                },
            }


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the one before.

    Raises:
        OSError: The disk is full, or the folder cannot be written; the one before is still there.
    """
    described = {
        "schema": _SCHEMA,
        "identity": checkpoint.identity,
        "step": checkpoint.step,
        "state": checkpoint.state,
    }
    header = {_KEY: json.dumps(described)}
    write_tensors(folder / CHECKPOINT_NAME, checkpoint.tensors, header)


def write_tensors(
    path: Path, tensors: Mapping[str, Any], header: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file whole or not at all.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: value.contiguous() for name, value in tensors.items()}

    def write(part: Path) -> None:
        try:
            save_file(plain, part, metadata=dict(header) if header else None)
        except SafetensorError as problem:
            # It says so in words alone: "I/O error: No space left on device (os error 28)".
            if (said := re.search(r"os error (\d+)", str(problem))) is None:
                raise
            number = int(said[1])
            raise OSError(number, os.strerror(number), str(path)) from problem

    write_whole(path, write)


def read_checkpoint(folder: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """The folder's checkpoint, or None where there is none.

    Args:
        folder: The folder of the model in training.
        identity: What the training that wants to go on is.

    Raises:
        RunError: It is of another training, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT_NAME
    found = _header(path)
    if found is None:
        return None
    if differing := _differences(found["identity"], identity):
        raise RunError(
            f"{path}: is of another training ({'; '.join(differing)}); choose another folder, or "
            "remove the file."
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as problem:
        raise _damaged(path, problem) from problem
    return Checkpoint(found["identity"], found["step"], found["state"], tensors)


def steps_done(folder: Path) -> int:
    """How many steps the folder's checkpoint has, 0 where there is none; whose it is plays no role.

    Raises:
        RunError: It is damaged.
    """
    found = _header(folder / CHECKPOINT_NAME)
    return 0 if found is None else int(found["step"])


def _header(path: Path) -> dict[str, Any] | None:
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as file:
            described = json.loads((file.metadata() or {})[_KEY])
        if described["schema"] != _SCHEMA:
            raise RunError(f"{path}: was written by another version; remove the file.")
        if not {"identity", "step", "state"} <= set(described):
            raise KeyError("the description is incomplete")
    except (SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise _damaged(path, problem) from problem
    return cast("dict[str, Any]", described)


def _damaged(path: Path, problem: Exception) -> RunError:
    reason = " ".join(str(problem).split())
    return RunError(f"{path}: is damaged ({reason}); remove the file to train from the beginning.")


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What differs, by name, and how where that is short."""
    # As JSON knows it: a tuple and a list are the same there.
    plain = json.loads(json.dumps(dict(wanted)))
    differing = []
    for name in sorted(found.keys() | plain.keys()):
        one, other = found.get(name), plain.get(name)
        if one != other:
            is_short = not isinstance(one, dict | list) and not isinstance(other, dict | list)
            differing.append(f"{name} {one} there, {other} here" if is_short else f"other {name}")
    return differing
