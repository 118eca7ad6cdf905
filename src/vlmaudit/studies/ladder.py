"""The ladder: the IDIA paper's controlled experiment (section 4.3), repaired, as one command."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.audits.identity_inference.run import FINDING, read_finding
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.csv_tables import read_csv
from vlmaudit.errors import InputError
from vlmaudit.execution.local import Target, run_identity_inference
from vlmaudit.execution.plan import Shard
from vlmaudit.execution.progress import progress, say
from vlmaudit.lab.contrastive import train_contrastive
from vlmaudit.lab.ladder import LadderDesign, LadderPlan, plan_ladder
from vlmaudit.lab.ladder_mixture import as_mixture
from vlmaudit.lab.ladder_study import (
    PLANTED,
    LadderMaterial,
    LadderTarget,
    ladder_targets,
    prepare_material,
    write_planted,
    write_target,
)
from vlmaudit.lab.training import Training
from vlmaudit.results.files import write_text
from vlmaudit.results.numbers import counted
from vlmaudit.studies.ladder_finding import LadderFinding, Unit, conclude_ladder

LADDER: Final = "ladder.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """What a ladder is made of.

    Attributes:
        people: A folder of folders; names in it are not used.
        captions: A captioned picture set, for the rest of what targets see.
        out: Where everything is kept; the same command goes on with what is there.
        sources: A table ``identity,source``: who is compared with whom.
        design: Doses, arms and controls.
        training: How targets are trained.
        seeds: One whole square, with its twins, a seed.
        shard: Which share of the targets this process trains and audits.
    """

    people: Path
    captions: Path
    out: Path
    sources: Path | None = None
    design: LadderDesign = field(default_factory=LadderDesign)
    training: Training = field(default_factory=Training)
    seeds: tuple[int, ...] = (0, 1, 2)
    shard: Shard = field(default_factory=Shard)


def run_ladder(ladder: Ladder, *, console: Console) -> LadderFinding | None:
    """Plant, train, audit and conclude; what is there already is used.

    Returns:
        The finding; None where this was a shard, and other shards are not through.

    Raises:
        AuditError: Pictures, captions or folders cannot be used; the message says why.
    """
    with progress("Pictures", _n_pictures(ladder), console) as advance:
        material = prepare_material(
            ladder.people,
            ladder.captions,
            ladder.out,
            design=ladder.design,
            side=ladder.training.image_side,
            seed=ladder.seeds[0],
            sources=_sources(ladder.sources),
            progress=advance,
        )
    plans = {seed: plan_ladder(ladder.design, material.people, seed=seed) for seed in ladder.seeds}
    targets = ladder_targets(ladder.out, ladder.design, ladder.seeds)
    for number, target in enumerate(targets):
        if ladder.shard.has(number):
            say(console, f"Target {number + 1} of {len(targets)}: {target.folder.name}")
            _train(target, plans[target.seed], material, ladder.training, console)
            _audit(target, plans[target.seed], console)
    missing = sum(not (target.folder / "run" / FINDING).exists() for target in targets)
    if missing:
        say(console, f"{counted(missing, 'target', 'targets')} of other shards are not through.")
        return None
    finding = conclude_ladder(
        [unit for target in targets for unit in _units(target)],
        plans,
        removed=material.split.n_removed,
        left_out=Counter(material.left_out.values()),
    )
    write_text(ladder.out / LADDER, finding.model_dump_json(indent=2, by_alias=True) + "\n")
    return finding


def _train(
    target: LadderTarget,
    plan: LadderPlan,
    material: LadderMaterial,
    training: Training,
    console: Console,
) -> None:
    if (target.model / PLANTED).exists():
        return
    pairs = write_target(target, plan, material)
    with progress("Training", training.steps, console) as advance:
        train_contrastive(
            as_mixture(pairs, material.pictures),
            target.model,
            seed=target.seed,
            settings=training,
            checkpoint_every=200,
            progress=lambda *_: advance(1),
        )
    write_planted(target, plan)


def _audit(target: LadderTarget, plan: LadderPlan, console: Console) -> None:
    n_names = len(plan.of("audited")) + len(plan.decoys)
    settings = IdentityInference(seed=target.seed)
    run_identity_inference(
        Target(
            model=f"open_clip:{target.model.resolve()}",
            people=target.people,
            controls=target.controls,
            names=target.names,
            out=target.folder / "run",
        ),
        replace(settings, paper_pool=min(settings.paper_pool, n_names)),
        console=console,
    )


def _units(target: LadderTarget) -> list[Unit]:
    finding = read_finding(target.folder / "run" / FINDING)
    return [
        Unit(
            seed=target.seed,
            target=target.number,
            twin=target.twin,
            identity=row.identity,
            z=row.z,
            p=row.p,
            detected=bool(row.detected),
        )
        for row in finding.people
        if row.z is not None and row.p is not None
    ]


def _n_pictures(ladder: Ladder) -> int:
    from vlmaudit.data.captions import count_captioned
    from vlmaudit.data.identities import read_people

    people = read_people(ladder.people)
    return sum(map(len, people.pictures.values())) + (count_captioned(ladder.captions) or 0)


def _sources(path: Path | None) -> Mapping[str, str]:
    if path is None:
        return {}
    columns = ("identity", "source")
    found = {
        cells["identity"]: cells["source"]
        for _, cells in read_csv(path, wanted=columns, required=columns)
    }
    if not found:
        raise InputError(f"{path}: no rows in it.")
    return found
