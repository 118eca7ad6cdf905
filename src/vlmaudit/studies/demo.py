"""The demo: draw people, plant some of them, train small models side by side, audit them all."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.audits.identity_inference.finding import Finding as IdentityFinding
from vlmaudit.audits.identity_inference.run import conclude_run
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.name_leakage.finding import Finding as LeakageFinding
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.data.prompts import choose_prompts
from vlmaudit.execution.identity_inference import run_identity_inference
from vlmaudit.execution.name_leakage import run_name_leakage
from vlmaudit.execution.progress import Advance, progress
from vlmaudit.execution.target import Target
from vlmaudit.lab.checkpoints import steps_done
from vlmaudit.lab.contrastive import Training
from vlmaudit.lab.generative_planting import GenerativeDesign
from vlmaudit.lab.generative_settings import GenerativeTraining
from vlmaudit.lab.generative_study import GenerativeStudy, draw_generative_study
from vlmaudit.lab.generative_texts import ALIGNMENTS, Alignment
from vlmaudit.lab.planting import Design
from vlmaudit.lab.study import Study, draw_study, folder_name, train_target
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.results.run_folder import RunFolder
from vlmaudit.studies.side_by_side import Job, run_side_by_side
from vlmaudit.studies.train_generative import PROCESSES, steps_left, training_jobs

RUN: Final = "run"
NAMED_RUN: Final = "leakage-named"
ANONYMISED_RUN: Final = "leakage-anonymised"
_RUNS: Final[tuple[tuple[Alignment, str], ...]] = (
    ("named", NAMED_RUN),
    ("anonymised", ANONYMISED_RUN),
)
_PROMPTS: Final = "R0,R1"
_MAX_NEW_TOKENS: Final = 12
"""The generative targets answer in a few words of a vocabulary of words."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the demo's studies are, and how long their models are trained."""

    design: Design | None = None
    training: Training | None = None
    generative_design: GenerativeDesign | None = None
    generative_training: GenerativeTraining | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What the demo's audits concluded.

    Attributes:
        identity: On the contrastive target.
        named: On the generative target that was aligned on answers with names.
        anonymised: On the one of the same parts, aligned on answers without.
    """

    identity: IdentityFinding
    named: LeakageFinding
    anonymised: LeakageFinding


def run_demo(out: Path, *, seed: int, console: Console, scale: Scale | None = None) -> Findings:
    """Build the labs, train the three targets, and audit each.

    The labs go to ``out/lab`` and ``out/lab-generative``, the runs to ``out/run``,
    ``out/leakage-named`` and ``out/leakage-anonymised``; what is there already is used.

    Raises:
        AuditError: A folder holds something else.
    """
    scale = scale or Scale()
    design, training = scale.design or Design(), scale.training or Training()
    spoken = scale.generative_design or GenerativeDesign()
    taught = scale.generative_training or GenerativeTraining()
    audited = sum(design.arms().values()) + design.controls + spoken.exposed + spoken.unexposed
    with progress("Drawing people", audited, console) as advance:
        study = draw_study(design, out / "lab", seed=seed, progress=lambda *_: advance(1))
        asked = draw_generative_study(
            spoken, out / "lab-generative", seed=seed, progress=lambda *_: advance(1)
        )
    settings = NameLeakage(
        prompts=choose_prompts(_PROMPTS), max_new_tokens=_MAX_NEW_TOKENS, seed=seed
    )
    runs = {alignment: _Run(asked, alignment, settings, out / run) for alignment, run in _RUNS}
    jobs = [
        Job("contrastive", _train_contrastive, (study, training)),
        *training_jobs(asked, ALIGNMENTS, taught),
        # Asked while the contrastive target is still being trained.
        *(Job(f"ask {one}", _ask, (run,), after=(one,)) for one, run in runs.items()),
    ]
    steps = max(0, training.steps - steps_done(study.model))
    steps += steps_left(asked, ALIGNMENTS, taught)
    with progress("Training and asking, side by side", steps, console) as advance:
        run_side_by_side(jobs, processes=PROCESSES, advance=advance)
    _truncate_one_picture(study)
    identity = _audit_faces(study, out / RUN, seed=seed, console=console)
    named = _conclude(runs["named"], None, console)
    anonymised = _conclude(runs["anonymised"], out / NAMED_RUN, console)
    return Findings(identity, named, anonymised)


def _train_contrastive(study: Study, training: Training, *, advance: Advance) -> None:
    train_target(study, settings=training, progress=lambda *_: advance(1))


def _audit_faces(study: Study, out: Path, *, seed: int, console: Console) -> IdentityFinding:
    target = Target(
        model=f"open_clip:{study.model.resolve()}",
        people=study.people,
        controls=study.controls,
        names=study.names,
        out=out,
    )
    settings = IdentityInference(seed=seed)
    finding = run_identity_inference(target, settings, console=console)
    assert finding is not None  # this is no shard
    conclude_run(RunFolder(target.out), replace(settings, protocol="paper"))
    return finding


@dataclass(frozen=True, slots=True)
class _Run:
    """The audit of one generative target."""

    study: GenerativeStudy
    alignment: Alignment
    settings: NameLeakage
    out: Path


def _ask(run: _Run, *, advance: Advance) -> None:
    del advance
    _conclude(run, None, Console(quiet=True))


def _conclude(run: _Run, against: Path | None, console: Console) -> LeakageFinding:
    """Ask what was not asked yet, and conclude."""
    target = Target(
        model=f"hf:{run.study.models[run.alignment].resolve()}",
        people=run.study.people,
        names=run.study.names,
        out=run.out,
    )
    options = GenerativeOptions(max_new_tokens=run.settings.max_new_tokens)
    finding = run_name_leakage(target, run.settings, options, against=against, console=console)
    assert finding is not None  # this is no shard
    return finding


def _truncate_one_picture(study: Study) -> None:
    """Damage one picture, so that the demo shows what becomes of those."""
    person = next(one for one in study.plan.audited if one.arm == "never")
    picture = min((study.people / folder_name(person.name)).iterdir())
    try:
        open_picture(picture)
    except PictureError:
        return
    picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
