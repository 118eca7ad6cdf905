"""One model tuned on several training sets of an album, and what each is then good for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.data.albums import Album, read_album
from vlmaudit.errors import InputError, RunError, did_you_mean
from vlmaudit.execution.progress import Advance, progress
from vlmaudit.lab.checkpoints import steps_done
from vlmaudit.lab.finetuning import Tuning, finetune, is_tuned, start_over
from vlmaudit.lab.finetuning_settings import FineTuning
from vlmaudit.lab.tiny_vlm import write_tiny_vlm_for
from vlmaudit.lab.utility import measure_utility
from vlmaudit.models.loading import load_generative
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.results.files import write_csv
from vlmaudit.results.journal import Row
from vlmaudit.studies.side_by_side import Job, run_side_by_side

TINY: Final = "tiny"
"""The model that is written for the album, for who has no weights."""
BASE: Final = "base"
UTILITY_FILE: Final = "utility.csv"
_PROCESSES: Final = 2
_MAX_NEW_TOKENS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPlan:
    """What is tuned on what.

    Attributes:
        album: The album's folder.
        variants: Its training sets; empty for all.
        model: A spec, or ``tiny``.
        settings: How.
        out: A folder a variant is made in it.
        device: Where.
        at_once: Examples that go through the model at a time; None for a whole batch.
        fresh: Whether what is there is trained anew.
    """

    album: Path
    variants: Sequence[str]
    model: str
    settings: FineTuning
    out: Path
    device: str = "cpu"
    at_once: int | None = None
    fresh: bool = False


def tune(plan: TuningPlan, *, console: Console) -> list[Row]:
    """Tune a model on each variant, and put the held-out questions to all of them.

    What is there already is used, and what was stopped goes on.

    Args:
        plan: What is tuned on what.
        console: Told how far it is.

    Returns:
        A row a model and measure: ``model, measure, right, asked, failed``; it is kept as
        utility.csv.

    Raises:
        AuditError: The album, the model or a folder cannot be used; the message says why.
    """
    album = read_album(plan.album)
    tunings = _tunings(plan, album)
    left = 0
    for one in tunings:
        if plan.fresh:
            start_over(one)
        if not is_tuned(one):
            examples = album.about.variants[one.variant].examples
            left += plan.settings.steps_on(examples) - steps_done(one.out)
    jobs = [Job(one.variant, _tune, (one,)) for one in tunings]
    # A GPU is one; two cores are two.
    processes = _PROCESSES if plan.device == "cpu" else 1
    with progress("Fine-tuning", left, console) as advance:
        run_side_by_side(jobs, processes=processes, advance=advance)
    base = tunings[0].model
    models = {BASE: base, **{one.variant: f"hf:{one.out.resolve()}" for one in tunings}}
    rows: list[Row] = []
    with progress("Held-out questions", len(models) * len(album.held_out), console) as advance:
        for name, spec in models.items():
            options = GenerativeOptions(device=plan.device, max_new_tokens=_MAX_NEW_TOKENS)
            found = measure_utility(load_generative(spec, options), album, advance=advance)
            rows += [{"model": name, **row} for row in found]
    write_csv(plan.out / UTILITY_FILE, ("model", "measure", "right", "asked", "failed"), rows)
    return rows


def _tunings(plan: TuningPlan, album: Album) -> list[Tuning]:
    known = album.about.variants
    for name in plan.variants:
        if name not in known:
            raise InputError(
                f'--variant: the album has no variant "{name}"; it has {", ".join(known)}.'
                f"{did_you_mean(name, known)}"
            )
    if plan.out.exists() and not plan.out.is_dir():
        raise RunError(f"{plan.out}: is no folder; give another (--out).")
    plan.out.mkdir(parents=True, exist_ok=True)
    model = plan.model
    if model == TINY:
        folder = plan.out / BASE
        if not (folder / "config.json").exists():
            write_tiny_vlm_for(album, folder, seed=plan.settings.seed)
        model = f"hf:{folder.resolve()}"
    one = Tuning(
        model=model,
        album=album,
        variant="",
        settings=plan.settings,
        out=plan.out,
        device=plan.device,
        at_once=plan.at_once,
    )
    return [
        replace(one, variant=name, out=plan.out / name) for name in plan.variants or list(known)
    ]


def _tune(tuning: Tuning, *, advance: Advance) -> None:
    finetune(tuning, progress=lambda *_: advance(1))
