"""The generative targets of a study: parts once, then models of them side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.execution.progress import Advance, progress
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
from vlmaudit.studies.side_by_side import Job, run_side_by_side

PROCESSES: Final = 2
_PARTS: Final = "parts"


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

    What is there already is used, and what was stopped goes on.

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
    steps = steps_left(study, alignments, training)
    with progress("Training", steps, console) as advance:
        jobs = training_jobs(study, alignments, training)
        run_side_by_side(jobs, processes=PROCESSES, advance=advance)
    return study


def training_jobs(
    study: GenerativeStudy, alignments: Sequence[Alignment], training: GenerativeTraining
) -> list[Job]:
    """The parts, and after them the models, each in a process of its own."""
    models = [
        Job(alignment, _align, (study, alignment, training), after=(_PARTS,))
        for alignment in alignments
    ]
    return [Job(_PARTS, _train_parts, (study, training)), *models]


def steps_left(
    study: GenerativeStudy, alignments: Sequence[Alignment], training: GenerativeTraining
) -> int:
    """How many steps of all this are not done yet."""
    stages = [(study.parts, training.parts.steps)]
    stages += [(study.models[one], training.alignment.steps) for one in alignments]
    return sum(
        max(0, steps - steps_done(folder))
        for folder, steps in stages
        if not (folder / PLANTED_NAME).exists()
    )


def _train_parts(study: GenerativeStudy, training: GenerativeTraining, *, advance: Advance) -> None:
    train_parts(study, settings=training, progress=lambda *_: advance(1))


def _align(
    study: GenerativeStudy,
    alignment: Alignment,
    training: GenerativeTraining,
    *,
    advance: Advance,
) -> None:
    train_generative(study, alignment, settings=training, progress=lambda *_: advance(1))
