"""The course of a run, whatever the audit: agree, find out what is left, ask it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from vlmaudit.audits import asked
from vlmaudit.audits.condition_rows import FILE as FACTS
from vlmaudit.audits.condition_rows import read_facts, write_facts
from vlmaudit.audits.design import read_design
from vlmaudit.audits.name_counts.labels import with_counts
from vlmaudit.data.identities import People, read_people
from vlmaudit.errors import InputError
from vlmaudit.execution.announce import announce
from vlmaudit.execution.asker import Asker
from vlmaudit.execution.checking import agree_with_self_test
from vlmaudit.execution.driver import drive, left
from vlmaudit.execution.plan import Picture, check_disjoint, list_pictures
from vlmaudit.execution.progress import progress, say
from vlmaudit.execution.target import Target
from vlmaudit.models.loading import model_folder
from vlmaudit.results.blocks import Part
from vlmaudit.results.cases import Case
from vlmaudit.results.environment import Environments, agree, enter, here, read_environments
from vlmaudit.results.numbers import count, counted
from vlmaudit.results.reuse import Reusable
from vlmaudit.results.run_folder import Manifest, RunFolder
from vlmaudit.results.sealed import write_json

if TYPE_CHECKING:
    from vlmaudit.execution.conditions import Conditions

MIXED: Final = "The answers come from more than one set of library versions (--allow-mixed)."
_BUSY: Final = "Waiting for another process that prepares this run …"


def ask_what_is_left(
    run: RunFolder,
    target: Target,
    asker: Asker,
    *,
    manifest: Manifest,
    enter_cases: Callable[[], Mapping[int, Sequence[Case]]],
    notices: Sequence[str],
    console: Console,
) -> bool:
    """Ask what a run has no answers to yet; whoever else is at it is waited for.

    Args:
        run: Where answers go, which this process holds (`RunFolder.driven`).
        target: Whom to ask, and which share of it.
        asker: The model, ready to be asked.
        manifest: What is asked; a run that is there must agree in it.
        enter_cases: Writes down whom and what the run asks about, and deals it into blocks.
        notices: What was noticed on the way, for the reader.
        console: Where progress goes.

    Returns:
        Whether everything was asked; False where other shards are not through.

    Raises:
        AuditError: Model or run folder cannot be used; the message says why.
    """
    with run.prepared(lambda: say(console, _BUSY)):
        run.agree(manifest)
        blocks = enter_cases()
        todo = _prepare(run, target, notices=notices, asker=asker, blocks=blocks, console=console)
    n_cases = sum(len(part.cases) for part in todo.parts)
    with progress(asker.unit, n_cases, console) as advance:
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
        return False
    return True


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
    parts = left(run.blocks(), blocks, retry=target.retry, mine=target.shard.has)
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
    write_json(run.private / asked.NOTICES, everything)
    announce(asker.work(run, n_cases, test), run.root, _where(asker, target), console)
    asker.prepare(run, console)
    return _ToDo(parts, now.digest, reuse)


def _where(asker: Asker, target: Target) -> str:
    return asker.record.name if asker.record.family in _SERVERS else target.device


_SERVERS: Final = ("endpoint", "chat")


def audited_people(target: Target) -> People:
    """The people of a study, with what a table of counts says of them.

    Raises:
        InputError: They, or the table, cannot be used.
    """
    people = first_people(read_people(target.people), target.limit)
    return people if target.counts is None else with_counts(people, target.counts)


def first_people(people: People, limit: int | None) -> People:
    """The first so many people of a study, or all of them.

    Raises:
        InputError: That would be nobody.
    """
    if limit is None:
        return people
    if limit < 1:
        raise InputError(f"--limit {limit}: wanted 1 or more people.")
    return People(people.root, people.persons[:limit], people.pictures, people.notices)


def list_all(
    audited: People, controls: People | None, console: Console
) -> tuple[list[Picture], list[str]]:
    """All pictures of a study, with notices on what was left out.

    Raises:
        InputError: A picture, or a person, is in it twice.
    """
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


def conditions_of(texts: Sequence[str], target: Target, seed: int) -> "Conditions | None":
    """Who shows pictures under these conditions; None where they are shown as they are.

    Raises:
        InputError: A finder cannot be used.
    """
    if len(texts) == 1:
        return None
    # Only here: what changes pictures is an extra of its own, and slow to load.
    from vlmaudit.execution.conditions import open_conditions

    device = "cpu" if target.device == "auto" else target.device
    return open_conditions(texts, target.looks, seed=seed, device=device)


def look_at_pictures(
    run: RunFolder,
    pictures: Sequence[Picture],
    conditions: "Conditions | None",
    console: Console,
) -> None:
    """Write down what was found in the pictures of a run that are to be changed."""
    if conditions is None:
        (run.private / FACTS).unlink(missing_ok=True)
        return
    write_facts(run.private, conditions.look(pictures, read_facts(run.private), console))


def keep_design(spec: str, run: RunFolder) -> None:
    """Keep the record of who was planted, where the checkpoint comes with one, or that none is."""
    folder = model_folder(spec)
    planted = folder / "planted.json" if folder else None
    known = _read_planted(planted) if planted and planted.exists() else None
    write_json(run.private / asked.DESIGN, known)


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
