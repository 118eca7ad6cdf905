"""The ladder: the IDIA paper's controlled experiment (section 4.3), repaired, as one command."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from vlmaudit.data.captions import count_captioned
from vlmaudit.data.csv_tables import read_csv
from vlmaudit.data.identities import read_people
from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.plan import Shard
from vlmaudit.execution.progress import progress, say
from vlmaudit.lab.ladder import LadderDesign, plan_ladder
from vlmaudit.lab.ladder_study import ladder_targets, prepare_material
from vlmaudit.lab.training import Training
from vlmaudit.results.files import write_text
from vlmaudit.results.numbers import counted
from vlmaudit.studies.ladder_conclusion import Observed, conclude_ladder
from vlmaudit.studies.ladder_page import write_page
from vlmaudit.studies.ladder_records import LadderFinding
from vlmaudit.studies.ladder_targets import (
    Lesson,
    climb,
    is_through,
    recorded,
    row_of,
    seen_units_of,
    units_of,
)

LADDER: Final = "ladder.json"
_SETTINGS: Final = "settings.json"


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
        labelled: Pictures in a folder a class, for the targets' zero-shot accuracy.
        seeds: One whole square, with its twins, a seed.
        shard: Which share of the targets this process trains and audits.
    """

    people: Path
    captions: Path
    out: Path
    sources: Path | None = None
    labelled: Path | None = None
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
    if not ladder.seeds:
        raise InputError("a ladder needs a seed; three show whether it repeats.")
    sources = _sources(ladder.sources)
    _agree(ladder)
    with progress("Pictures", _n_pictures(ladder), console) as advance:
        material = prepare_material(
            ladder.people,
            ladder.captions,
            ladder.out,
            design=ladder.design,
            side=ladder.training.image_side,
            seed=ladder.seeds[0],
            sources=sources,
            progress=advance,
        )
    plans = {seed: plan_ladder(ladder.design, material.people, seed=seed) for seed in ladder.seeds}
    # Not before: options that make no ladder must not bind the folder to them.
    write_text(ladder.out / _SETTINGS, json.dumps(_settings(ladder), indent=1) + "\n")
    targets = ladder_targets(ladder.out, ladder.design, ladder.seeds)
    lesson = Lesson(material=material, training=ladder.training, labelled=ladder.labelled)
    for number, target in enumerate(targets):
        if ladder.shard.has(number):
            say(console, f"Target {number + 1} of {len(targets)}: {target.folder.name}")
            climb(target, plans[target.seed], lesson, console)
    if missing := sum(not is_through(target) for target in targets):
        say(console, f"{counted(missing, 'target', 'targets')} of other shards are not through.")
        return None
    finding = conclude_ladder(
        Observed(
            units=[unit for target in targets for unit in units_of(target)],
            seen=[unit for target in targets for unit in seen_units_of(target)],
            models=[row_of(target, ladder.out) for target in targets],
            removed=material.split.n_removed,
            left_out=Counter(material.left_out.values()),
            settings=recorded(ladder.training),
        ),
        plans,
    )
    write_text(ladder.out / LADDER, finding.model_dump_json(indent=2, by_alias=True) + "\n")
    write_page(finding, ladder.out)
    return finding


def _agree(ladder: Ladder) -> None:
    """The folder holds a ladder of this design and training, or none yet."""
    path = ladder.out / _SETTINGS
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text())
    except ValueError as problem:
        raise RunError(f"{path}: damaged; the ladder needs a new folder.") from problem
    for part, own in _settings(ladder).items():
        if part not in before or before[part] != own:
            raise RunError(
                f"{ladder.out}: holds a ladder of another {part}{_difference(before, part, own)}; "
                "give the same options again, or another --out."
            )


def _settings(ladder: Ladder) -> dict[str, Any]:
    """What a ladder must not change on its way, as JSON gives it back."""
    kept = {
        "design": asdict(ladder.design),
        "training": ladder.training.recorded(),
        "first seed": ladder.seeds[0],
    }
    return json.loads(json.dumps(kept))


def _difference(before: object, part: str, own: object) -> str:
    there = before.get(part) if isinstance(before, dict) else None
    if not isinstance(own, dict) or not isinstance(there, dict):
        return ""
    changed = next((name for name in own if own[name] != there.get(name)), None)
    if changed is None:
        return ""
    return f" ({changed} was {there.get(changed)}, and is {own[changed]} now)"


def _n_pictures(ladder: Ladder) -> int:
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
