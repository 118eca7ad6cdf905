"""The two generative targets of a study, trained side by side."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from vlmaudit.execution.progress import progress
from vlmaudit.lab.checkpoints import steps_done
from vlmaudit.lab.generative_planting import GenerativeDesign
from vlmaudit.lab.generative_settings import GenerativeTraining
from vlmaudit.lab.generative_study import (
    GenerativeStudy,
    draw_generative_study,
    train_generative,
    train_parts,
)
from vlmaudit.lab.generative_texts import ALIGNMENTS, Alignment
from vlmaudit.lab.study import PLANTED_NAME


def train_generative_targets(
    out: Path,
    *,
    seed: int,
    console: Console,
    alignments: Sequence[Alignment] = ALIGNMENTS,
    design: GenerativeDesign | None = None,
    training: GenerativeTraining | None = None,
) -> GenerativeStudy:
    """Draw people, train the parts once, and align a model of them in each of the ways asked for.

    Every model but one is aligned in a process of its own. What is there already is used, and what
    was stopped goes on.

    Args:
        out: The study's folder.
        seed: Decides all of it.
        console: Told how far it is.
        alignments: Which models are wanted.
        design: How many people are in which arm.
        training: How to train.

    Raises:
        AuditError: A folder holds something else, or cannot be trained in; the message says why.
    """
    design, training = design or GenerativeDesign(), training or GenerativeTraining()
    with progress("Drawing people", sum(design.arms().values()), console) as advance:
        study = draw_generative_study(design, out, seed=seed, progress=lambda *_: advance(1))
    left = 0 if _is_finished(study.parts) else training.parts.steps - steps_done(study.parts)
    with progress("Training the parts", left, console) as advance:
        train_parts(study, settings=training, progress=lambda *_: advance(1))
    missing = []
    for alignment in alignments:
        if _is_finished(study.models[alignment]):
            train_generative(study, alignment, settings=training)
        else:
            missing.append(alignment)
    if missing:
        _align_side_by_side(study, missing, training, console)
    return study


def _is_finished(folder: Path) -> bool:
    return (folder / PLANTED_NAME).exists()


def _align_side_by_side(
    study: GenerativeStudy,
    alignments: Sequence[Alignment],
    training: GenerativeTraining,
    console: Console,
) -> None:
    """One here, whose progress is shown, and the others, which take as long, beside it."""
    here, *beside = alignments
    left = training.alignment.steps - steps_done(study.models[here])
    title = f"Aligning {' and '.join(alignments)}"
    # Not forked: a process with torch's threads must not be.
    with (
        ProcessPoolExecutor(max(1, len(beside)), mp_context=get_context("spawn")) as others,
        progress(title, left, console) as advance,
    ):
        waiting = [others.submit(_align, study, one, training) for one in beside]
        train_generative(study, here, settings=training, progress=lambda *_: advance(1))
        for one in waiting:
            one.result()


def _align(study: GenerativeStudy, alignment: Alignment, training: GenerativeTraining) -> None:
    train_generative(study, alignment, settings=training)
