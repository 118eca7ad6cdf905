"""Identity inference on this machine, from a model and a folder of people to a finding."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from vlmaudit.audits import asked
from vlmaudit.audits.asking import Show, open_case
from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.observed import TEXTS
from vlmaudit.audits.identity_inference.run import conclude_run, conclusion_settings
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.candidates import Candidate, draw_decoys, paper_pool, read_candidates, without
from vlmaudit.data.identities import Person, read_people
from vlmaudit.data.names import fold_name
from vlmaudit.data.paths import spelt
from vlmaudit.errors import RunError
from vlmaudit.execution.asker import Asker
from vlmaudit.execution.checking import read_known_answers
from vlmaudit.execution.identity_askers import AsksEmbeddings, AsksLabels
from vlmaudit.execution.plan import Blocks, Picture, deal
from vlmaudit.execution.progress import say
from vlmaudit.execution.running import (
    ask_what_is_left,
    audited_people,
    conditions_of,
    keep_design,
    list_all,
    look_at_pictures,
)
from vlmaudit.execution.target import Target
from vlmaudit.models.loading import kind_of, load_contrastive, load_label_only
from vlmaudit.models.memory import PICTURES_A_BATCH
from vlmaudit.models.sent_pictures import SENT_AS
from vlmaudit.results.cases import write_cases
from vlmaudit.results.run_folder import Manifest, RunFolder

_DECODERS: Final = 4
_ON_A_CPU: Final = 16
"""Pictures a batch unless told otherwise: larger ones gain nothing there, and a kill costs one."""


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
    conditions = conditions_of(settings.conditions, target, settings.seed)
    study = _read_study(target, settings, console)
    show = conditions.show if conditions else open_case
    run = RunFolder(target.out)
    run.make(fresh=target.fresh)
    with run.driven(), _opened(target, study, settings, show, console) as asker:

        def enter() -> Blocks:
            look_at_pictures(run, study.pictures, conditions, console)
            shown = conditions.under_all(study.pictures) if conditions else study.pictures
            return _enter(run, study, shown, asker, target.model)

        is_through = ask_what_is_left(
            run,
            target,
            asker,
            manifest=_manifest(target, asker, settings),
            enter_cases=enter,
            notices=[*study.notices, *(conditions.notices if conditions else ())],
            console=console,
        )
    if not is_through:
        return None
    with run.prepared():
        if run.read_manifest().conclusion != conclusion_settings(settings):
            raise RunError(
                f"{run.root}: another process went on with this run under other settings. What was "
                f"answered is kept; conclude with yours: vlmaudit conclude {target.out}"
            )
        return conclude_run(run, settings)


@contextmanager
def _opened(
    target: Target, study: _Study, settings: IdentityInference, show: Show, console: Console
) -> Iterator[Asker]:
    """The model, ready to be asked in the way it can be."""
    names = [*study.names, *study.decoys]
    if kind_of(target.model) == "label_only":
        with closing(load_label_only(target.model, patience=target.patience)) as endpoint:
            persons = [*study.audited, *study.controls]
            yield AsksLabels(endpoint, persons, names, settings, sent_as=SENT_AS, show=show)
        return
    say(console, f"Loading {target.model} …")
    model = load_contrastive(
        target.model, device=target.device, dtype=target.dtype, batch_size=target.batch_size
    )
    with ThreadPoolExecutor(_DECODERS) as pool:
        known = read_known_answers(target.model)
        yield AsksEmbeddings(
            model, names, settings, known=known, batch=_batch(target), pool=pool, show=show
        )


def _batch(target: Target) -> int:
    """Pictures between two writes to the journal."""
    if target.batch_size is not None:
        return target.batch_size
    torch = sys.modules.get("torch")  # an adapter that needs it has loaded it
    has_gpu = torch is not None and (torch.cuda.is_available() or torch.backends.mps.is_available())
    return PICTURES_A_BATCH if has_gpu and target.device != "cpu" else _ON_A_CPU


def _enter(
    run: RunFolder, study: _Study, pictures: Sequence[Picture], asker: Asker, spec: str
) -> Blocks:
    """Write down whom and what the run asks about, dealt into blocks."""
    blocks = deal(pictures, asker.record, run.private / "plan.parquet", ask=asker.questions)
    write_cases(run.private, blocks)
    asked.write_people(run.private, study.audited, study.controls)
    asked.write_names(run.private, study.names, study.decoys, outdated=run.private / TEXTS)
    keep_design(spec, run)
    return blocks


def _read_study(target: Target, settings: IdentityInference, console: Console) -> _Study:
    audited = audited_people(target)
    controls = read_people(target.controls) if target.controls else None
    pictures, notices = list_all(audited, controls, console)
    names, decoys = _names(audited.persons, target, settings)
    return _Study(
        audited=audited.persons,
        controls=controls.persons if controls else (),
        pictures=pictures,
        names=names,
        decoys=decoys,
        notices=notices,
    )


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
