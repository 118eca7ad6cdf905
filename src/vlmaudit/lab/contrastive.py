"""Training a CLIP that open_clip loads like any other checkpoint."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from vlmaudit.errors import InputError, ModelError
from vlmaudit.lab.alone import alone_in
from vlmaudit.lab.architectures import find_architecture
from vlmaudit.lab.checkpoints import CHECKPOINT_NAME, read_checkpoint, write_checkpoint
from vlmaudit.lab.mixture import Mixture
from vlmaudit.lab.model_folder import write_model
from vlmaudit.lab.training import Trainer, Training
from vlmaudit.results.files import remove_leftovers
from vlmaudit.seeds import stream

__all__ = ["Progress", "Training", "train_contrastive"]

Progress = Callable[[int, int, float], object]
"""Called with the step, the number of steps and the loss."""

# Pictures that a mixture is known by again, of however many.
_PICTURES_DIGESTED: Final = 1024


def train_contrastive(
    mixture: Mixture,
    out: Path,
    *,
    seed: int,
    settings: Training | None = None,
    device: str = "cpu",
    checkpoint_every: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Train a CLIP on a mixture, and save it as a folder that ``open_clip:./folder`` loads.

    The same mixture, seed, settings and kind of processor give the same weights, also where the
    training was stopped, at whichever step and however, and called again: it goes on at its last
    checkpoint. The global random state and the number of threads are left as they were.

    Args:
        mixture: Pictures with captions, and whose face they show.
        out: The folder, made if need be, that gets the configuration, the weights and, for
            ``vlmaudit models check``, known answers.
        seed: Decides the first weights, the batches and how pictures are moved and mirrored.
        settings: How to train.
        device: ``cpu``, ``cuda`` or ``cuda:1``, or ``auto``.
        checkpoint_every: Steps between two checkpoints; None keeps none.
        progress: Called after every step.

    Raises:
        InputError: The mixture and the architecture do not go together, or there is no such one.
        ModelError: There is no such device, or the training leaves the realm of numbers.
        RunError: The folder's checkpoint is of another training, or the folder is in use.
    """
    settings = settings or Training()
    architecture = find_architecture(settings.architecture)
    if mixture.side != architecture.side:
        raise InputError(
            f"the mixture's pictures have {mixture.side} pixels a side, and the architecture "
            f'"{architecture.name}" takes {architecture.side}.'
        )
    place = _device(device)
    identity = {
        "seed": seed,
        **settings.recorded(),
        "mixture": _digest(mixture),
        "device": place.type,
        **{f"{package} version": version(package) for package in ("torch", "open_clip_torch")},
    }
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out), _threads(settings.threads), _own_randomness(place, seed):
        remove_leftovers(out)
        trainer = Trainer(mixture, architecture, settings, seed=seed, device=place)
        if (found := read_checkpoint(out, identity)) is not None:
            trainer.go_on(found)
        while trainer.step < settings.steps:
            loss = trainer.advance()
            if loss is None:
                raise _diverged(out, trainer.step + 1, settings)
            is_due = checkpoint_every is not None and trainer.step % checkpoint_every == 0
            if (is_due or trainer.step == settings.steps) and not trainer.is_finite():
                raise _diverged(out, trainer.step, settings)
            if is_due and trainer.step < settings.steps:
                write_checkpoint(out, trainer.at_rest(identity))
            if progress is not None:
                progress(trainer.step, settings.steps, loss)
        write_model(trainer.finished(), architecture, out)
        (out / CHECKPOINT_NAME).unlink(missing_ok=True)


def _digest(mixture: Mixture) -> str:
    """What a mixture is known by again: all of its pairs, and pictures from all over it."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([mixture.side, list(mixture.captions)]).encode())
    for numbers in (mixture.faces, mixture.places):
        digest.update(numbers.astype(np.int64).tobytes())
    used = np.unique(mixture.places)
    step = -(-len(used) // _PICTURES_DIGESTED)
    for place in used[::step]:
        digest.update(mixture.pictures[place].tobytes())
    return digest.hexdigest()


def _device(device: str) -> Any:  # noqa: ANN401
    from vlmaudit.models.devices import pick_device
    from vlmaudit.models.loading import ModelSpec

    place = pick_device(ModelSpec("in training", "open_clip"), device)
    if place.type not in {"cpu", "cuda"}:
        raise ModelError(f'device "{device}": target models are trained on cpu or cuda.')
    return place


def _diverged(out: Path, step: int, settings: Training) -> ModelError:
    cure = "lower the learning rate or set max_gradient_norm"
    other = " or train in fp32" if settings.precision != "fp32" else ""
    return ModelError(
        f"{out}: the training left the realm of numbers at step {step} of {settings.steps}; "
        f"{cure}{other}."
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for torch, and as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _own_randomness(device: Any, seed: int) -> Iterator[None]:  # noqa: ANN401
    """open_clip draws first weights from the global generators alone; they are put back after."""
    import torch

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(stream(seed, "weights").integers(2**63)))
        yield
