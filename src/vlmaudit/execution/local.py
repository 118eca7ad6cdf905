"""An audit on this machine, from a model and a folder of people to a finding."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.audits.identity_inference import observed as observations
from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.observe import observe_block, observe_names
from vlmaudit.audits.identity_inference.run import conclude_run, conclusion_settings
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.candidates import Candidate, draw_decoys, paper_pool, read_candidates, without
from vlmaudit.data.identities import People, Person, read_people
from vlmaudit.data.names import fold_name
from vlmaudit.execution.plan import Case, Picture, check_disjoint, deal, list_pictures
from vlmaudit.execution.progress import progress
from vlmaudit.models.base import ContrastiveModel
from vlmaudit.models.cached_texts import CachedTexts
from vlmaudit.models.loading import load_contrastive, model_folder
from vlmaudit.results.files import write_text
from vlmaudit.results.run_folder import Manifest, RunFolder

_DECODERS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is audited, and where the run is kept."""

    model: str
    people: Path
    out: Path
    controls: Path | None = None
    names: Path | None = None
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int | None = None
    fresh: bool = False


def run_identity_inference(
    target: Target, settings: IdentityInference, *, console: Console
) -> Finding:
    """Observe what is not there yet, conclude, and write the finding.

    The same call continues a run that was stopped.

    Raises:
        AuditError: People, names, model or run folder cannot be used; the message says why.
    """
    audited = _first(read_people(target.people), target.limit)
    controls = read_people(target.controls) if target.controls else None
    pictures, notices = _list_all(audited, controls)
    study, decoys = _names(audited.persons, target, settings)

    run = RunFolder(target.out)
    run.make(fresh=target.fresh)
    console.print(f"Loading {target.model} …", highlight=False)
    model = load_contrastive(
        target.model, device=target.device, dtype=target.dtype, batch_size=target.batch_size
    )
    run.agree(_manifest(target, settings, model))
    blocks = deal(pictures, model.record, run.private / "plan.parquet")
    observations.write_people(
        run.private,
        audited.persons,
        controls.persons if controls else (),
        _cases_of_people([case for cases in blocks.values() for case in cases]),
    )
    observations.write_names(run.private, study, decoys)
    write_text(run.private / observations.NOTICES, json.dumps(notices, ensure_ascii=False))
    _keep_design(target.model, run)
    run.write_environment({"device": target.device, "batch_size": target.batch_size or "auto"})

    names = [*study, *decoys]
    texts = CachedTexts(model)
    with progress("Names", len(names) * len(settings.templates), console) as advance:
        rows = observe_names(texts, names, settings.templates, advance=advance)
    observations.write_texts(run.private, rows)

    store = run.blocks()
    to_do = sorted(blocks.keys() - store.sealed())
    n_pictures = sum(len(blocks[number]) for number in to_do)
    with (
        ThreadPoolExecutor(_DECODERS) as decoders,
        progress("Pictures", n_pictures, console) as advance,
    ):
        for number in to_do:
            cases = blocks[number]
            store.seal(number, observe_block(model, cases, dim=rows.shape[2], pool=decoders))
            advance(len(cases))
    return conclude_run(run, settings)


def _first(people: People, limit: int | None) -> People:
    if limit is None:
        return people
    return People(people.root, people.persons[:limit], people.pictures, people.notices)


def _list_all(audited: People, controls: People | None) -> tuple[list[Picture], list[str]]:
    pictures, notices = list_pictures(audited, "audited")
    notices = [*audited.notices, *notices]
    if controls is not None:
        others, more = list_pictures(controls, "control")
        check_disjoint(pictures, others)
        pictures += others
        notices += [f"Controls: {notice}" for notice in (*controls.notices, *more)]
    return pictures, notices


def _names(
    persons: Sequence[Person], target: Target, settings: IdentityInference
) -> tuple[list[Candidate], list[Candidate]]:
    """The names of the study, each once, and the decoys."""
    everyone = [Candidate(person.name, person.sex, person.origin) for person in persons]
    study: dict[str, Candidate] = {}
    for candidate in everyone:
        study.setdefault(fold_name(candidate.name), candidate)
    taken = [name for person in persons for name in (person.name, *person.aliases)]
    if target.names is not None:
        decoys = without(read_candidates(target.names), taken)
    else:
        decoys = draw_decoys(
            everyone, settings.names, pool=settings.pool, seed=settings.seed, exclude=taken
        )
    # Found out now, and not after an hour with the model.
    paper_pool(everyone, decoys, size=settings.paper_pool, seed=settings.seed)
    return list(study.values()), decoys


def _cases_of_people(cases: Sequence[Case]) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for case in cases:
        found.setdefault(case.identity, []).append((case.key, case.image))
    return found


def _manifest(target: Target, settings: IdentityInference, model: ContrastiveModel) -> Manifest:
    return Manifest(
        audit="identity-inference",
        model_spec=target.model,
        model=model.record,
        people=str(target.people),
        controls=str(target.controls) if target.controls else None,
        observation={"templates": list(settings.templates), "conditions": ["original"]},
        conclusion=conclusion_settings(settings),
    )


def _keep_design(spec: str, run: RunFolder) -> None:
    """Keep the record of who was planted, where the checkpoint comes with one."""
    folder = model_folder(spec)
    planted = folder / "planted.json" if folder else None
    if planted and planted.exists():
        write_text(run.private / observations.DESIGN, planted.read_text("utf-8"))
