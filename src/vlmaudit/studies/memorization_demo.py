"""The demo of memorization: plant records, tune two small models, and audit both.

One was tuned on pictures with records whose values the answers speak: that must be found. The other
was tuned on the same pictures with nothing on them: that must not.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.data.albums import Album
from vlmaudit.data.private_records import Field
from vlmaudit.execution.memorization import AlbumTarget, run_memorization
from vlmaudit.execution.progress import Advance, progress, say
from vlmaudit.lab.album_design import AlbumDesign, parse_variants
from vlmaudit.lab.finetuning_settings import TINY, FineTuning
from vlmaudit.lab.planting_album import plan_album, write_album
from vlmaudit.studies.memorization_tuning import TINY as TINY_MODEL
from vlmaudit.studies.memorization_tuning import TuningPlan, tune
from vlmaudit.studies.side_by_side import Job, run_side_by_side

ALBUM: Final = "album"
MODELS: Final = "models"
PLANTED_RUN: Final = "planted"
CLEAN_RUN: Final = "clean"
PLANTED: Final = "r50-spoken"
CLEAN: Final = "r0"

# Few letters, and large: 64 pixels are all that the small model sees.
_FIELDS: Final = (
    Field(name="id", kind="digits", length=4),
    Field(name="pin", kind="digits", length=3),
)
_LETTERS: Final = 0.2
_SIDE: Final = 64


_TRAINING: Final = replace(TINY, epochs=12)
_SETTINGS: Final = Memorization(
    pictures=1,
    batches=1,
    batch_sizes=(1, 4, 16),
    curve_batches=3,
    fields=("id",),
    decoys=200,
    max_new_tokens=6,
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the demo is.

    Attributes:
        records: In each arm.
        examples: In each training set.
        held_out: Pictures that nothing is trained on.
        training: How models are tuned.
        settings: How they are asked.
    """

    records: int = 100
    examples: int = 1600
    held_out: int = 150
    training: FineTuning = _TRAINING
    settings: Memorization = _SETTINGS


@dataclass(frozen=True, slots=True)
class Findings:
    """What the audits concluded.

    Attributes:
        planted: On the model whose training spoke private values.
        clean: On the model whose training held none.
    """

    planted: Finding
    clean: Finding


def run_memorization_demo(
    out: Path, *, seed: int, console: Console, scale: Scale | None = None
) -> Findings:
    """Plant, tune and audit; what is there already is used.

    Args:
        out: The album, the models and the runs are kept in it.
        seed: Decides all of it.
        console: Told how far it is.
        scale: How large it is.

    Raises:
        AuditError: A folder holds something else.
    """
    scale = scale or Scale()
    album = _plant(out / ALBUM, seed, scale, console)
    plan = TuningPlan(
        album=album.folder,
        variants=(PLANTED, CLEAN),
        model=TINY_MODEL,
        settings=replace(scale.training, seed=seed),
        out=out / MODELS,
    )
    tune(plan, console=console)
    settings = replace(scale.settings, seed=seed)
    targets = _targets(out)
    steps = len(targets)
    with progress("Asking both models, side by side", steps, console) as advance:
        jobs = [Job(name, _ask, (target, settings)) for name, target in targets.items()]
        run_side_by_side(jobs, processes=2, advance=advance)
    quiet = Console(quiet=True)
    planted, clean = (
        run_memorization(target, settings, console=quiet) for target in targets.values()
    )
    return Findings(planted, clean)


def _plant(out: Path, seed: int, scale: Scale, console: Console) -> Album:
    design = AlbumDesign(
        questions="easy-vqa",
        variants=parse_variants(f"{CLEAN},{PLANTED}"),
        seen=scale.records,
        unseen=scale.records,
        control=scale.records,
        doses=(1, 2, 4),
        fields=_FIELDS,
        place="fixed",
        input_side=_SIDE,
        letter_height=_LETTERS,
        held_out=scale.held_out,
        examples=scale.examples,
        seed=seed,
    )
    plan = plan_album(
        design,
        say=lambda line: say(console, line),
        watch=lambda title, total: progress(title, total, console),
    )
    return write_album(plan, out, watch=lambda title, total: progress(title, total, console))


def _targets(out: Path) -> dict[str, AlbumTarget]:
    models = {name: f"hf:{(out / MODELS / name).resolve()}" for name in (PLANTED, CLEAN)}
    return {
        PLANTED: AlbumTarget(
            album=out / ALBUM,
            variant=PLANTED,
            models={"tuned": models[PLANTED], "control": models[CLEAN]},
            out=out / PLANTED_RUN,
        ),
        CLEAN: AlbumTarget(
            album=out / ALBUM,
            variant=CLEAN,
            models={"tuned": models[CLEAN]},
            out=out / CLEAN_RUN,
        ),
    }


def _ask(target: AlbumTarget, settings: Memorization, *, advance: Advance) -> None:
    run_memorization(target, settings, console=Console(quiet=True))
    advance(1)
