"""Training a small LLaVA: first its parts, each for itself, then their alignment.

Stage 1 teaches the vision tower by contrast with captions, as CLIP's, and the language model by
the same captions as plain text. Stage 2 teaches projector and language model to answer questions
about pictures, with the vision tower frozen, as LLaVA's (section 4.2 of arXiv:2304.08485).
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from vlmaudit.errors import ModelError
from vlmaudit.lab.alone import alone_in, one_thread
from vlmaudit.lab.checkpoints import (
    CHECKPOINT_NAME,
    at_rest,
    go_on,
    read_checkpoint,
    write_checkpoint,
)
from vlmaudit.lab.contrastive import Progress
from vlmaudit.lab.generative import (
    build_llava,
    build_processor,
    read_generative,
    write_generative,
)
from vlmaudit.lab.generative_planting import (
    GenerativePlan,
    StageName,
    captions,
    conversations,
    show,
)
from vlmaudit.lab.generative_settings import GenerativeTraining, Stage
from vlmaudit.lab.generative_stages import Aligner, Parts, pixels
from vlmaudit.lab.generative_texts import Alignment
from vlmaudit.lab.manifests import plain
from vlmaudit.lab.people import Drawing
from vlmaudit.results.files import remove_leftovers
from vlmaudit.seeds import stream

__all__ = ["GenerativeTraining", "Progress", "Stage", "align", "teach_parts"]

_WEIGHTS_NAME: Final = "model.safetensors"


def teach_parts(
    plan: GenerativePlan,
    faces: Sequence[Drawing],
    out: Path,
    *,
    settings: GenerativeTraining,
    checkpoint_every: int | None,
    progress: Progress | None,
) -> None:
    """Train vision tower and language model, each for itself, and save them as one model.

    Args:
        plan: Who is exposed.
        faces: Everybody's, in the plan's order.
        out: The folder, made if need be.
        settings: How to train.
        checkpoint_every: Steps between two checkpoints; None keeps none.
        progress: Called after every step.

    Raises:
        RunError: The folder's checkpoint is of another training, or the folder is in use.
        ModelError: The training leaves the realm of numbers.
    """
    shown = show(plan, faces, "parts")
    known_words = plan.vocabulary()
    with _training(out, seed=plan.seed, stage="parts"):
        model = build_llava(settings.shape, len(known_words))
        processor = build_processor(known_words, settings.shape)
        parts = Parts(
            model,
            processor,
            pictures=pixels(processor, shown.pictures),
            faces=shown.faces,
            captions=captions(plan),
            stage=settings.parts,
        )
        learn(
            parts.module,
            parts.loss,
            settings.parts,
            out,
            seed=plan.seed,
            identity=_identity(plan, settings, "parts"),
            checkpoint_every=checkpoint_every,
            progress=progress,
        )
        write_generative(model, processor, out)
        (out / CHECKPOINT_NAME).unlink(missing_ok=True)


def align(
    plan: GenerativePlan,
    faces: Sequence[Drawing],
    parts: Path,
    out: Path,
    *,
    alignment: Alignment,
    settings: GenerativeTraining,
    checkpoint_every: int | None,
    progress: Progress | None,
) -> None:
    """Teach a model of trained parts to answer about pictures, and save it.

    Both alignments begin at the same projector and see the same pictures and questions in the same
    batches: only the answers differ.

    Args:
        plan: Who is exposed.
        faces: Everybody's, in the plan's order.
        parts: The folder of `teach_parts`.
        out: The folder, made if need be.
        alignment: Whether answers name people.
        settings: How to train.
        checkpoint_every: Steps between two checkpoints; None keeps none.
        progress: Called after every step.

    Raises:
        RunError: The folder's checkpoint is of another training, or the folder is in use.
        ModelError: The training leaves the realm of numbers.
    """
    shown = show(plan, faces, "alignment")
    with _training(out, seed=plan.seed, stage="alignment"):
        model, processor = read_generative(parts)
        aligner = Aligner(
            model,
            processor,
            pictures=pixels(processor, shown.pictures),
            turns=conversations(plan, alignment),
            stage=settings.alignment,
        )
        weights = hashlib.blake2b((parts / _WEIGHTS_NAME).read_bytes(), digest_size=16)
        learn(
            model,
            aligner.loss,
            settings.alignment,
            out,
            seed=plan.seed,
            identity={
                **_identity(plan, settings, "alignment"),
                "alignment": alignment,
                "parts": weights.hexdigest(),
            },
            checkpoint_every=checkpoint_every,
            progress=progress,
        )
        write_generative(model, processor, out)
        (out / CHECKPOINT_NAME).unlink(missing_ok=True)


@contextmanager
def _training(out: Path, *, seed: int, stage: StageName) -> Iterator[None]:
    out.mkdir(parents=True, exist_ok=True)
    first = int(stream(seed, "weights", stage).integers(2**63))
    with alone_in(out), one_thread(first):
        remove_leftovers(out)
        yield


def _identity(
    plan: GenerativePlan, settings: GenerativeTraining, stage: StageName
) -> dict[str, Any]:
    """What makes a stage of a training the same."""
    return {
        "stage": stage,
        "seed": plan.seed,
        "design": plan.design.record(),
        "training": plain(settings),
        **{f"{package} version": version(package) for package in ("torch", "transformers")},
    }


def learn(
    module: Any,  # noqa: ANN401
    loss: Callable[[np.random.Generator], Any],
    stage: Stage,
    folder: Path,
    *,
    seed: int,
    identity: Mapping[str, Any],
    checkpoint_every: int | None,
    progress: Progress | None,
) -> None:
    """Make the steps of a stage, from the folder's checkpoint on if there is one.

    Args:
        module: Holds all weights; those that ask for gradients are trained.
        loss: The loss of a batch that it draws from the generator it is given.
        stage: How to train.
        folder: Where the checkpoint lies.
        seed: Decides the batches. Each step's randomness is its own, so that no state of it has
            to be kept.
        identity: What makes this training the same.
        checkpoint_every: Steps between two checkpoints; None keeps none.
        progress: Called after every step.

    Raises:
        ModelError: The training leaves the realm of numbers.
        RunError: The checkpoint is of another training, or damaged.
    """
    import torch

    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    matrices = [parameter for parameter in trained.values() if parameter.ndim >= 2]
    others = [parameter for parameter in trained.values() if parameter.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": stage.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=stage.learning_rate,
        fused=True,
    )
    done = 0
    if (found := read_checkpoint(folder, identity)) is not None:
        done = found.step
        go_on(found, trained, optimizer)
    module.train()
    for step in range(done, stage.steps):
        for group in optimizer.param_groups:
            group["lr"] = stage.rate(step)
        value = loss(stream(seed, str(identity["stage"]), step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        shown = value.item()
        is_last = step + 1 == stage.steps
        is_due = checkpoint_every is not None and (step + 1) % checkpoint_every == 0
        if not math.isfinite(shown) or ((is_due or is_last) and not _is_finite(trained)):
            raise ModelError(
                f"{folder}: the training left the realm of numbers at step {step + 1} of "
                f"{stage.steps}; lower the learning rate."
            )
        if is_due and not is_last:
            write_checkpoint(folder, at_rest(identity, step + 1, trained, optimizer))
        if progress is not None:
            progress(step + 1, stage.steps, shown)


def _is_finite(trained: Mapping[str, Any]) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in trained.values())
