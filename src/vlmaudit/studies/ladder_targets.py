"""One target of a ladder: trained, measured, attacked, and what came out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.run import FINDING, read_finding
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.errors import RunError
from vlmaudit.execution.identity_inference import run_identity_inference
from vlmaudit.execution.progress import progress
from vlmaudit.execution.target import Target
from vlmaudit.lab.contrastive import train_contrastive
from vlmaudit.lab.hit_rates import Utility
from vlmaudit.lab.ladder import LadderPlan
from vlmaudit.lab.ladder_mixture import as_mixture, held_out_pairs
from vlmaudit.lab.ladder_study import (
    LadderMaterial,
    LadderTarget,
    is_planted,
    write_planted,
    write_seen,
    write_target,
)
from vlmaudit.lab.metrics import image_to_text, open_clip_templates, zero_shot
from vlmaudit.lab.training import Training
from vlmaudit.models.loading import load_contrastive
from vlmaudit.results.files import write_text
from vlmaudit.studies.ladder_records import TargetRow
from vlmaudit.studies.ladder_units import Unit

_UTILITY: Final = "utility.json"
_UNSEEN_RUN: Final = "run"
_SEEN_RUN: Final = "run-seen"
_BLIND: Final = "blind baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What every target of a ladder is taught and asked alike.

    Attributes:
        material: The pictures.
        training: How targets are trained.
        labelled: Pictures in a folder a class, for zero-shot accuracy.
    """

    material: LadderMaterial
    training: Training
    labelled: Path | None = None


def climb(target: LadderTarget, plan: LadderPlan, lesson: Lesson, console: Console) -> None:
    """Train, measure and attack a target; whatever is there already is used."""
    if not is_planted(target, plan):
        _train(target, plan, lesson, console)
    if not _is_measured(target, lesson):
        _measure(target, plan, lesson)
    n_seen = write_seen(target, plan, lesson.material) if target.twin == "planted" else 0
    if n_seen:
        _attack(target, target.seen, _SEEN_RUN, n_seen + len(plan.decoys), console)
    n_names = len(plan.of("audited")) + len(plan.decoys)
    _attack(target, target.people, _UNSEEN_RUN, n_names, console)


def is_through(target: LadderTarget) -> bool:
    """Whether a target was trained, measured and attacked, of which the last is the attack."""
    return (target.folder / _UNSEEN_RUN / FINDING).exists()


def _train(target: LadderTarget, plan: LadderPlan, lesson: Lesson, console: Console) -> None:
    pairs = write_target(target, plan, lesson.material)
    with progress("Training", lesson.training.steps, console) as advance:
        train_contrastive(
            as_mixture(pairs, lesson.material.pictures),
            target.model,
            seed=target.seed,
            settings=lesson.training,
            checkpoint_every=200,
            progress=lambda *_: advance(1),
        )
    write_planted(target, plan)


def _is_measured(target: LadderTarget, lesson: Lesson) -> bool:
    if not (target.folder / _UTILITY).exists():
        return False
    return lesson.labelled is None or _utility(target).zero_shot is not None


def _measure(target: LadderTarget, plan: LadderPlan, lesson: Lesson) -> None:
    model = load_contrastive(_named(target))
    held_out = held_out_pairs(plan, lesson.material.pictures)
    found = Utility(
        retrieval=(
            image_to_text(model, as_mixture(held_out, lesson.material.pictures))
            if len({pair.caption for pair in held_out}) > 1
            else None
        ),
        zero_shot=(
            zero_shot(model, lesson.labelled, templates=open_clip_templates())
            if lesson.labelled is not None
            else None
        ),
    )
    write_text(target.folder / _UTILITY, found.model_dump_json(indent=2) + "\n")


def _named(target: LadderTarget) -> str:
    return f"open_clip:{target.model.resolve()}"


def _attack(target: LadderTarget, people: Path, run: str, n_names: int, console: Console) -> None:
    settings = IdentityInference(seed=target.seed)
    run_identity_inference(
        Target(
            model=_named(target),
            people=people,
            controls=target.controls,
            names=target.names,
            out=target.folder / run,
        ),
        replace(settings, paper_pool=min(settings.paper_pool, n_names)),
        console=console,
    )


def units_of(target: LadderTarget) -> list[Unit]:
    """What the attack with unseen pictures found of everybody."""
    return _units(target, _finding(target, _UNSEEN_RUN))


def seen_units_of(target: LadderTarget) -> list[Unit]:
    """What the attack with pictures of the training found; empty where there was none."""
    if not (target.folder / _SEEN_RUN / FINDING).exists():
        return []
    return _units(target, _finding(target, _SEEN_RUN))


def row_of(target: LadderTarget, out: Path) -> TargetRow:
    """One line on a target.

    Raises:
        RunError: Its measures cannot be read.
    """
    finding = _finding(target, _UNSEEN_RUN)
    gates = {gate.name: gate for gate in finding.gates}
    return TargetRow(
        seed=target.seed,
        target=target.number,
        twin=target.twin,
        folder=target.folder.relative_to(out).as_posix(),
        verdict=finding.verdict,
        design=gates[_BLIND].label if _BLIND in gates else "",
        failed_gates=[gate.name for gate in finding.gates if gate.passed is False],
        tested=sum(row.p is not None for row in finding.people),
        tpr=finding.estimates.get("tpr"),
        fpr=finding.estimates.get("fpr"),
        auc=finding.estimates.get("auc"),
        curve=[point for point in finding.curve if point.quantity in ("TPR", "FPR")],
        utility=_utility(target),
    )


def _utility(target: LadderTarget) -> Utility:
    path = target.folder / _UTILITY
    try:
        return Utility.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: damaged; delete it and give the command again.") from problem


def recorded(training: Training) -> Mapping[str, str | int | float | bool | None]:
    """The settings of a training that have one value each."""
    return {
        name: value
        for name, value in training.recorded().items()
        if isinstance(value, str | int | float | bool | None)
    }


def _finding(target: LadderTarget, run: str) -> Finding:
    return read_finding(target.folder / run / FINDING)


def _units(target: LadderTarget, finding: Finding) -> list[Unit]:
    return [
        Unit(
            seed=target.seed,
            target=target.number,
            twin=target.twin,
            identity=row.identity,
            z=row.z,
            p=row.p,
            detected=bool(row.detected),
            by_votes=bool(row.by_paper),
        )
        for row in finding.people
        if row.z is not None and row.p is not None
    ]
