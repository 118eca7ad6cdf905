"""Names counted in caption sets of any size, piece by piece, and never twice."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from rich.console import Console

from vlmaudit.audits.name_counts.finding import (
    CountsFinding,
    conclude_counts,
    counts_table,
    examples_table,
    pairs_table,
    write_finding,
    write_table,
)
from vlmaudit.audits.name_counts.unit_counts import (
    Sampling,
    UnitCounts,
    count_names,
    read_unit,
    write_unit,
)
from vlmaudit.data.caption_search import NameSearch, PaperSearch, Protocol, name_search
from vlmaudit.data.caption_sources import (
    CaptionError,
    CaptionUnit,
    ReadNotes,
    find_sources,
    read_captions,
    units_of,
)
from vlmaudit.data.name_lists import NameList
from vlmaudit.errors import RunError
from vlmaudit.execution.plan import Shard
from vlmaudit.execution.progress import progress, say
from vlmaudit.execution.work_apart import work_apart
from vlmaudit.results.files import make_private, remove_leftovers, write_whole
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.seeds import stream

MANIFEST: Final = "manifest.json"
SAMPLE: Final = 20_000
"""Captions, about, that are looked at for anybody's name."""
_BYTES_A_CAPTION: Final = 40
"""Stored, compressed, about: for nothing but how far apart the sampled captions are."""
_MEGABYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Counting:
    """What to count.

    Attributes:
        captions: Files, folders, globs or fsspec addresses.
        protocol: The rule by which names are looked for.
        column: Which column or field holds the caption; empty: the first that is called so.
        examples: Captions to keep for each name.
        seed: Decides which captions are looked at for anybody's name.
    """

    captions: tuple[str, ...]
    protocol: Protocol = "audit"
    column: str = ""
    examples: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What every process needs."""

    search: NameSearch | PaperSearch
    counting: Counting
    sampling: Sampling
    folder: Path


def count_in_captions(
    counting: Counting,
    names: NameList,
    out: Path,
    *,
    processes: int | None,
    shard: Shard,
    timeout: float | None,
    console: Console,
    pairs: Path | None = None,
    examples: Path | None = None,
) -> tuple[CountsFinding, pl.DataFrame]:
    """Count the names of a list; what was counted before is not counted again.

    Args:
        counting: What to count.
        names: Whose names.
        out: The table; its finding stands beside it, and its pieces in a folder beside it.
        processes: How many at a time; None: one a core.
        shard: Which pieces are this job's.
        timeout: Seconds that a piece may take.
        console: Told how far it is.
        pairs: Gets who is named together.
        examples: Gets captions that name each.

    Returns:
        The finding, and the table.

    Raises:
        AuditError: Names or captions cannot be used; the message says why.
    """
    name_search(names.people, counting.protocol)  # what is wrong with names is said at once
    failed: dict[str, str] = {}
    everything: list[CaptionUnit] = []
    for path in find_sources(counting.captions):
        try:
            everything += units_of(path)
        except CaptionError as problem:
            failed[path] = str(problem)
    digest = fingerprint([[person.name, *person.aliases] for person in names.people])
    folder = _folder(out, counting, digest)
    if shard.of == 1:  # other jobs may be writing there
        remove_leftovers(folder)
    sampling = _sampling(everything, counting.seed)
    mine = [unit for place, unit in enumerate(everything) if shard.has(place)]
    files = [
        folder / f"{fingerprint([unit.key, unit.n_bytes, counting.column])}.json" for unit in mine
    ]
    kept = [read_unit(file) if file.exists() else None for file in files]
    todo = [place for place, counts in enumerate(kept) if counts is None]
    megabytes = [max(1, unit.n_bytes // _MEGABYTE) for unit in mine]
    with progress("Counting, megabytes", sum(megabytes), console) as advance:
        advance(sum(megabytes[place] for place, counts in enumerate(kept) if counts is not None))
        for worked in work_apart(
            _count,
            [(mine[place], files[place]) for place in todo],
            prepare=_prepare,
            arguments=(names.people, counting, sampling, folder),
            processes=max(1, min(processes or os.cpu_count() or 1, len(todo))),
            timeout=timeout,
        ):
            place = todo[worked.place]
            advance(megabytes[place])
            kept[place] = None if worked.failure else read_unit(files[place])
            if kept[place] is None:
                failed[mine[place].key] = worked.failure or "its counts cannot be read"
                say(console, f"{mine[place].key}: {failed[mine[place].key]}")
    total = UnitCounts([])
    for counts in kept:
        if counts is not None:
            total.add(counts, examples=counting.examples)
    finding = conclude_counts(
        total,
        names.people,
        protocol=counting.protocol,
        names_digest=digest,
        failed=failed,
        notices=names.notices,
    )
    table = counts_table(names.people, total)
    write_table(table, out)
    write_finding(finding, out)
    if pairs is not None:
        write_table(pairs_table(names.people, total), pairs)
    if examples is not None:
        write_table(examples_table(names.people, total), examples)
    return finding, table


def _folder(out: Path, counting: Counting, names: str) -> Path:
    """Where pieces stand, which are all of one list of names and one rule."""
    folder = out.with_name(f"{out.name}.units")
    asked: dict[str, Any] = {
        "schema": 1,
        "protocol": counting.protocol,
        "names": names,
        "examples": counting.examples,
        "seed": counting.seed,
    }
    make_private(folder)
    path = folder / MANIFEST
    try:
        before = json.loads(path.read_bytes()) if path.exists() else asked
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: damaged; remove {folder}, or give another --out.") from problem
    if before != asked:
        other = ", ".join(sorted(key for key in asked if before.get(key) != asked[key]))
        raise RunError(
            f"{folder}: holds counts with other {other}; remove it, or give another --out."
        )
    text = json.dumps(asked, indent=2) + "\n"
    write_whole(path, lambda part: part.write_text(text, "utf-8"), private=True)
    return folder


def _sampling(units: Sequence[CaptionUnit], seed: int) -> Sampling:
    """About `SAMPLE` captions of all pieces, whoever counts which."""
    about = sum(unit.n_bytes for unit in units) // _BYTES_A_CAPTION
    every = max(1, about // SAMPLE)
    return Sampling(every, int(stream(seed, "sampled captions").integers(every)))


def _prepare(people: Any, counting: Counting, sampling: Sampling, folder: Path) -> Prepared:  # noqa: ANN401
    return Prepared(name_search(people, counting.protocol), counting, sampling, folder)


def _count(prepared: Prepared, piece: tuple[CaptionUnit, Path]) -> str:
    unit, file = piece
    notes = ReadNotes()
    try:
        counts = count_names(
            unit.key,
            read_captions(unit, column=prepared.counting.column, notes=notes),
            prepared.search,
            sampling=prepared.sampling,
            examples=prepared.counting.examples,
        )
    except (CaptionError, MemoryError, OSError) as problem:
        return str(problem) or type(problem).__name__
    counts.nulls, counts.damaged = notes.nulls, notes.damaged
    write_unit(counts, file)
    return ""
