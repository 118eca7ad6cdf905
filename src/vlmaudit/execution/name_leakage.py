"""Name leakage on this machine, from a model and a folder of people to a finding."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from rich.console import Console

from vlmaudit.audits import asked
from vlmaudit.audits.asking import open_case
from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.audits.name_leakage.observed import pools_of
from vlmaudit.audits.name_leakage.run import AUDIT, conclude_run, conclusion_settings
from vlmaudit.audits.name_leakage.settings import DRAWN, GREY, NO_IMAGE, NameLeakage
from vlmaudit.data.candidates import Candidate, draw_decoys, read_candidates, without
from vlmaudit.data.identities import Person
from vlmaudit.data.images import picture_digest
from vlmaudit.data.names import fold_name
from vlmaudit.data.paths import spelt
from vlmaudit.errors import RunError
from vlmaudit.execution.checking import read_known_answers
from vlmaudit.execution.leakage_asker import AsksInWords
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
from vlmaudit.lab.people import draw_people, take_pictures
from vlmaudit.models.base import ChecksSharing
from vlmaudit.models.loading import load_generative
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.results.cases import write_cases
from vlmaudit.results.files import make_private, write_whole
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.run_folder import Manifest, RunFolder
from vlmaudit.seeds import stream

_SHOWN: Final = "nulls"
_GREY_SIDE: Final = 336
_SEXES: Final = ("female", "male")


@dataclass(frozen=True, slots=True)
class _Study:
    """Whom and what a run asks about."""

    people: tuple[Person, ...]
    pictures: list[Picture]
    names: list[Candidate]
    decoys: list[Candidate]
    notices: list[str]


def run_name_leakage(
    target: Target,
    settings: NameLeakage,
    options: GenerativeOptions,
    *,
    against: Path | None = None,
    console: Console,
) -> Finding | None:
    """Ask what is not there yet, conclude, and write the finding.

    The same call continues a run that was stopped, and joins one that another process is at.

    Args:
        target: Whom to ask about whom.
        settings: What to ask, and how to conclude.
        options: How the model is loaded and asked.
        against: The run of another model, to be compared person by person.
        console: Where progress goes.

    Returns:
        The finding; None where this was a shard, and other shards are not through.

    Raises:
        AuditError: People, names, model or run folder cannot be used; the message says why.
    """
    conditions = conditions_of(settings.conditions, target, settings.seed)
    study = _read_study(target, settings, console)
    run = RunFolder(target.out)
    run.make(fresh=target.fresh)
    say(console, f"Loading {target.model} …")
    with run.driven(), closing(load_generative(target.model, options)) as model:
        if isinstance(model, ChecksSharing) and model.sharing_notice:
            say(console, model.sharing_notice)
        shown = conditions.under_all(study.pictures) if conditions else study.pictures
        pictures = [*shown, *_nulls(run.private / _SHOWN, settings)]
        asker = AsksInWords(
            model,
            pools_of([*study.names, *study.decoys], settings.pool),
            study.people,
            settings,
            known=read_known_answers(target.model),
            show=conditions.show if conditions else open_case,
        )

        def enter() -> Blocks:
            look_at_pictures(run, study.pictures, conditions, console)
            return _enter(run, study, pictures, asker, target.model)

        is_through = ask_what_is_left(
            run,
            target,
            asker,
            manifest=_manifest(target, asker, settings),
            enter_cases=enter,
            notices=[
                *study.notices,
                *asker.notices,
                *(conditions.notices if conditions else ()),
            ],
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
        say(console, "Concluding …")
        return conclude_run(run, settings, against=against)


def _enter(
    run: RunFolder, study: _Study, pictures: Sequence[Picture], asker: AsksInWords, spec: str
) -> Blocks:
    """Write down whom and what the run asks about, dealt into blocks."""
    blocks = deal(pictures, asker.record, run.private / "plan.parquet", ask=asker.questions)
    write_cases(run.private, blocks)
    asked.write_people(run.private, study.people, ())
    asked.write_names(run.private, study.names, study.decoys)
    keep_design(spec, run)
    return blocks


def _read_study(target: Target, settings: NameLeakage, console: Console) -> _Study:
    people = audited_people(target)
    pictures, notices = list_all(people, None, console)
    names, decoys = _names(people.persons, target, settings)
    return _Study(people.persons, pictures, names, decoys, notices)


def _names(
    persons: Sequence[Person], target: Target, settings: NameLeakage
) -> tuple[list[Candidate], list[Candidate]]:
    """The names of the study, each once, and the decoys."""
    everyone = [Candidate(person.name, person.sex, person.origin) for person in persons]
    study: dict[tuple[str, str, str], Candidate] = {}
    for candidate in everyone:
        # People of different strata may share a name, and each stratum needs it.
        key = (fold_name(candidate.name), candidate.sex, candidate.origin)
        study.setdefault(key, candidate)
    taken = [name for person in persons for name in (person.name, *person.aliases)]
    if target.names is not None:
        return list(study.values()), without(read_candidates(target.names), taken)
    if not settings.names:
        return list(study.values()), []
    decoys = draw_decoys(
        everyone, settings.names, pool=settings.pool, seed=settings.seed, exclude=taken
    )
    return list(study.values()), decoys


def _nulls(folder: Path, settings: NameLeakage) -> list[Picture]:
    """What shows nobody of the study: nothing at all, grey, and faces drawn for it."""
    make_private(folder.parent)
    make_private(folder)
    grey = folder / "grey.png"
    _write(Image.new("RGB", (_GREY_SIDE, _GREY_SIDE), (128, 128, 128)), grey)
    shown = [
        Picture("", "", "control", Path(), fingerprint(NO_IMAGE), NO_IMAGE),
        Picture("", grey.name, "control", grey, picture_digest(grey), GREY),
    ]
    # Other people than those whom a lab draws from the same seed.
    seed = int(stream(settings.seed, "drawn faces").integers(2**31))
    sexes = [_SEXES[place % 2] for place in range(settings.drawn)]
    for place, face in enumerate(draw_people(sexes, seed=seed)):
        path = folder / f"drawn-{place + 1:03d}.png"
        (picture,) = take_pictures(face, 1, rng=stream(seed, "picture", place))
        _write(Image.fromarray(picture), path)
        shown.append(Picture("", path.name, "control", path, picture_digest(path), DRAWN))
    return shown


def _write(picture: Image.Image, path: Path) -> None:
    """Whole or not at all: another process may be reading it."""
    write_whole(path, lambda part: picture.save(part, format="PNG"), private=True)


def _manifest(target: Target, asker: AsksInWords, settings: NameLeakage) -> Manifest:
    return Manifest(
        audit=AUDIT,
        model_spec=asker.record.name if asker.record.family == "chat" else spelt(target.model),
        model=asker.record,
        people=spelt(target.people),
        controls=None,
        observation=asker.observation,
        conclusion=conclusion_settings(settings),
    )
