"""The demo: draw people, plant some of them, train a small model, and audit it."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.run import conclude_run
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.execution.identity_inference import run_identity_inference
from vlmaudit.execution.progress import progress
from vlmaudit.execution.target import Target
from vlmaudit.lab.checkpoints import steps_done
from vlmaudit.lab.contrastive import Training
from vlmaudit.lab.planting import Design
from vlmaudit.lab.study import Study, draw_study, folder_name, train_target
from vlmaudit.results.run_folder import RunFolder


def run_demo(
    out: Path,
    *,
    seed: int,
    console: Console,
    design: Design | None = None,
    training: Training | None = None,
) -> Finding:
    """Build the lab, audit its target in both protocols, and return the audit's finding.

    The lab goes to ``out/lab`` and the run to ``out/run``; what is there already is used.

    Raises:
        AuditError: A folder holds something else.
    """
    design, training = design or Design(), training or Training()
    everybody = sum(design.arms().values()) + design.controls
    with progress("Drawing people", everybody, console) as advance:
        study = draw_study(design, out / "lab", seed=seed, progress=lambda *_: advance(1))
    steps_left = max(0, training.steps - steps_done(study.model))
    with progress("Training", steps_left, console) as advance:
        train_target(study, settings=training, progress=lambda *_: advance(1))
    _truncate_one_picture(study)
    target = Target(
        model=f"open_clip:{study.model.resolve()}",
        people=study.people,
        controls=study.controls,
        names=study.names,
        out=out / "run",
    )
    settings = IdentityInference(seed=seed)
    finding = run_identity_inference(target, settings, console=console)
    assert finding is not None  # this is no shard
    run = RunFolder(target.out)
    conclude_run(run, replace(settings, protocol="paper"))
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
