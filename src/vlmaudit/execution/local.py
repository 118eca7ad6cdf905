"""An audit on this machine, from a model and a folder of people to a finding."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from vlmaudit.audits.identity_inference import observed as observations
from vlmaudit.audits.identity_inference.design import read_design
from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.run import conclude_run, conclusion_settings
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.candidates import Candidate, draw_decoys, paper_pool, read_candidates, without
from vlmaudit.data.identities import People, Person, read_people
from vlmaudit.data.names import fold_name
from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.announce import announce
from vlmaudit.execution.askers import Asker, AsksEmbeddings, AsksLabels
from vlmaudit.execution.checking import agree_with_self_test, read_known_answers
from vlmaudit.execution.driver import drive, left
from vlmaudit.execution.plan import Picture, Shard, check_disjoint, deal, list_pictures
from vlmaudit.execution.progress import progress, say
from vlmaudit.models.loading import kind_of, load_contrastive, load_label_only, model_folder
from vlmaudit.models.memory import PICTURES_A_BATCH
from vlmaudit.models.patience import Patience
from vlmaudit.models.zero_shot_endpoint import SENT_AS
from vlmaudit.results.blocks import Part
from vlmaudit.results.cases import Case, write_cases
from vlmaudit.results.environment import Environments, agree, enter, here, read_environments
from vlmaudit.results.numbers import count, counted
from vlmaudit.results.reuse import Reusable
from vlmaudit.results.run_folder import Manifest, RunFolder
from vlmaudit.results.sealed import write_json

_DECODERS: Final = 4
_ON_A_CPU: Final = 16
"""Pictures a batch unless told otherwise: larger ones gain nothing there, and a kill costs one."""

MIXED: Final = "The answers come from more than one set of library versions (--allow-mixed)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is audited, where the run is kept, and how it goes on.

    Attributes:
        patience: How an endpoint is asked; nothing to a model on this machine.
        shard: Which share of the blocks this process asks.
        reuse: Another run, whose answers to the same cases are taken over.
        retry: Whether what failed for the time being is asked again.
        allow_mixed: Whether a run may go on under other library versions.
    """

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
    patience: Patience = field(default_factory=Patience)
    shard: Shard = field(default_factory=Shard)
    reuse: Path | None = None
    retry: bool = True
    allow_mixed: bool = False


@dataclass(frozen=True, slots=True)
class _Study:
    """Whom and what a run asks about."""

    audited: tuple[Person, ...]
    controls: tuple[Person, ...]
    pictures: list[Picture]
    names: list[Candidate]
    decoys: list[Candidate]
    notices: list[str]


def run_identity_inference(
    target: Target, settings: IdentityInference, *, console: Console
) -> Finding | None:
    """Observe what is not there yet, conclude, and write the finding.

    The same call continues a run that was stopped, and joins one that another process is at.

    Returns:
        The finding; None where this was a shard, and other shards are not through.

    Raises:
        AuditError: People, names, model or run folder cannot be used; the message says why.
    """
    study = _read_study(target, settings, console)
    run = RunFolder(target.out)
    run.make(fresh=target.fresh)
    with run.driven(), _opened(target, study, settings, console) as asker:
        with run.prepared(lambda: say(console, _BUSY)):
            run.agree(_manifest(target, asker, settings))
            blocks = _enter(run, study, asker, target.model)
            todo = _prepare(
                run, target, notices=study.notices, asker=asker, blocks=blocks, console=console
            )
        unit = "Requests" if asker.observation["answers"] == observations.LABELS else "Pictures"
        n_cases = sum(len(part.cases) for part in todo.parts)
        with progress(unit, n_cases, console) as advance:
            drive(
                run.blocks(),
                todo.parts,
                blocks,
                asker.observe,
                columns=asker.columns,
                environment=todo.environment,
                console=console,
                advance=advance,
                reuse=todo.reuse,
            )
    if target.shard.of > 1 and (missing := len(blocks.keys() - run.blocks().sealed())):
        say(
            console,
            f"Shard {target.shard.place}/{target.shard.of} is through; "
            f"{counted(missing, 'block', 'blocks')} of other shards are not. Once they are: "
            f"vlmaudit conclude {target.out}",
        )
        return None
    with run.prepared():
        if run.read_manifest().conclusion != conclusion_settings(settings):
            raise RunError(
                f"{run.root}: another process went on with this run under other settings. What was "
                f"answered is kept; conclude with yours: vlmaudit conclude {target.out}"
            )
        return conclude_run(run, settings)


_BUSY: Final = "Waiting for another process that prepares this run …"


@dataclass(frozen=True, slots=True)
class _ToDo:
    """What this process asks, and under which name its environment goes."""

    parts: tuple[Part, ...]
    environment: str
    reuse: Reusable | None


def _prepare(
    run: RunFolder,
    target: Target,
    *,
    notices: Sequence[str],
    asker: Asker,
    blocks: Mapping[int, Sequence[Case]],
    console: Console,
) -> _ToDo:
    """Find out what is left, refuse what cannot come to a good end, and say what it will take."""
    mine = {block: cases for block, cases in blocks.items() if target.shard.has(block)}
    parts = left(run.blocks(), mine, retry=target.retry)
    now = here(device=target.device, batch_size=target.batch_size)
    environments = read_environments(run.root)
    reuse, test = None, None
    n_cases = sum(len(part.cases) for part in parts)
    if parts or not asker.is_prepared(run):
        reuse = Reusable(RunFolder(target.reuse)) if target.reuse else None
        others = reuse.environments if reuse else Environments()
        if not target.allow_mixed:
            agree(environments, now)
            agree(others, now)
        test = agree_with_self_test(run.root, asker, console)
        environments = enter(run.root, now, *others.environments.values())
    if reuse is not None and parts:
        n_taken = reuse.count([case for part in parts for case in part.cases])
        say(console, f"{count(n_taken)} of {count(n_cases)} answers are taken from {target.reuse}.")
        n_cases -= n_taken
    everything = [*notices, *([MIXED] if environments.is_mixed else [])]
    write_json(run.private / observations.NOTICES, everything)
    announce(asker.work(run, n_cases, test), run.root, _where(asker, target), console)
    asker.prepare(run, console)
    return _ToDo(parts, now.digest, reuse)


def _where(asker: Asker, target: Target) -> str:
    return asker.record.name if asker.record.family == "endpoint" else target.device


@contextmanager
def _opened(
    target: Target, study: _Study, settings: IdentityInference, console: Console
) -> Iterator[Asker]:
    """The model, ready to be asked in the way it can be."""
    names = [*study.names, *study.decoys]
    if kind_of(target.model) == "label_only":
        with closing(load_label_only(target.model, patience=target.patience)) as endpoint:
            persons = [*study.audited, *study.controls]
            yield AsksLabels(endpoint, persons, names, settings, sent_as=SENT_AS)
        return
    say(console, f"Loading {target.model} …")
    model = load_contrastive(
        target.model, device=target.device, dtype=target.dtype, batch_size=target.batch_size
    )
    with ThreadPoolExecutor(_DECODERS) as pool:
        known = read_known_answers(target.model)
        yield AsksEmbeddings(model, names, settings, known=known, batch=_batch(target), pool=pool)


def _batch(target: Target) -> int:
    """Pictures between two writes to the journal."""
    if target.batch_size is not None:
        return target.batch_size
    torch = sys.modules.get("torch")  # an adapter that needs it has loaded it
    has_gpu = torch is not None and (torch.cuda.is_available() or torch.backends.mps.is_available())
    return PICTURES_A_BATCH if has_gpu and target.device != "cpu" else _ON_A_CPU


def _enter(run: RunFolder, study: _Study, asker: Asker, spec: str) -> dict[int, list[Case]]:
    """Write down whom and what the run asks about, dealt into blocks."""
    blocks = deal(study.pictures, asker.record, run.private / "plan.parquet", ask=asker.questions)
    write_cases(run.private, blocks)
    observations.write_people(run.private, study.audited, study.controls)
    observations.write_names(run.private, study.names, study.decoys)
    _keep_design(spec, run)
    return blocks


def _read_study(target: Target, settings: IdentityInference, console: Console) -> _Study:
    audited = _first(read_people(target.people), target.limit)
    controls = read_people(target.controls) if target.controls else None
    pictures, notices = _list_all(audited, controls, console)
    names, decoys = _names(audited.persons, target, settings)
    return _Study(
        audited=audited.persons,
        controls=controls.persons if controls else (),
        pictures=pictures,
        names=names,
        decoys=decoys,
        notices=notices,
    )


def _first(people: People, limit: int | None) -> People:
    if limit is None:
        return people
    if limit < 1:
        raise InputError(f"--limit {limit}: wanted 1 or more people.")
    return People(people.root, people.persons[:limit], people.pictures, people.notices)


def _list_all(
    audited: People, controls: People | None, console: Console
) -> tuple[list[Picture], list[str]]:
    groups = [people for people in (audited, controls) if people is not None]
    n_files = sum(len(people.pictures[one.identity]) for people in groups for one in people.persons)
    with progress("Reading pictures", n_files, console) as advance:
        pictures, notices = list_pictures(audited, "audited", advance=advance)
        notices = [*audited.notices, *notices]
        if controls is not None:
            others, more = list_pictures(controls, "control", advance=advance)
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


def _manifest(target: Target, asker: Asker, settings: IdentityInference) -> Manifest:
    return Manifest(
        audit="identity-inference",
        model_spec=asker.record.name if asker.record.family == "endpoint" else spelt(target.model),
        model=asker.record,
        people=spelt(target.people),
        controls=spelt(target.controls) if target.controls else None,
        observation=asker.observation,
        conclusion=conclusion_settings(settings),
    )


def _keep_design(spec: str, run: RunFolder) -> None:
    """Keep the record of who was planted, where the checkpoint comes with one, or that none is."""
    folder = model_folder(spec)
    planted = folder / "planted.json" if folder else None
    known = _read_planted(planted) if planted and planted.exists() else None
    write_json(run.private / observations.DESIGN, known)


def _read_planted(path: Path) -> object:
    """Who was planted, once it is known that a conclusion can read it."""
    try:
        planted = json.loads(path.read_bytes())
        read_design(planted)
    # The record may be anybody's, and anything may be in it.
    except (
        OSError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as problem:
        raise InputError(f"{path}: no record of who was planted; remove the file.") from problem
    return planted
