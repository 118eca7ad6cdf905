"""Captions alone, without pictures, from files of any size and in any number."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from vlmaudit.data import caption_records, caption_tables, caption_tars
from vlmaudit.data.caption_columns import ReadNotes, line_array, slices
from vlmaudit.data.caption_files import (
    COMPRESSION_OF_ENDING,
    KIND_OF_ENDING,
    CaptionError,
    endings_of,
    is_address,
    kind_of,
    line_blocks,
    size_of,
    store_of,
    text_pieces_of,
)
from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError, did_you_mean

__all__ = [
    "CaptionError",
    "CaptionUnit",
    "ReadNotes",
    "find_sources",
    "read_captions",
    "units_of",
]

_ENDINGS: Final = (
    f"{', '.join(KIND_OF_ENDING)}, and all but the first packed, too "
    f"({', '.join(COMPRESSION_OF_ENDING)})"
)
_STATISTICS: Final = "_stats.json"  # img2dataset leaves one beside every shard


@dataclass(frozen=True, slots=True)
class CaptionUnit:
    """A piece of work that is read from its beginning to its end.

    Attributes:
        path: A local path, or an address for fsspec.
        first: The first row group; of Parquet alone.
        last: Behind the last row group; None for the end of the file.
        n_bytes: As stored; of parts, about their share of the file.
    """

    path: str
    first: int = 0
    last: int | None = None
    n_bytes: int = 0

    @property
    def key(self) -> str:
        """What tells units apart.

        >>> CaptionUnit("a.parquet").key, CaptionUnit("a.parquet", 3, 6).key
        ('a.parquet', 'a.parquet[3:6]')
        """
        return self.path if self.last is None else f"{self.path}[{self.first}:{self.last}]"


def find_sources(patterns: Sequence[str]) -> list[str]:
    """The files that paths, folders, globs and addresses stand for, sorted, each once.

    Of a folder, and of what a glob matches, files of other kinds are left out.

    Args:
        patterns: Such as ``cc3m``, ``laion/**/*.parquet`` or ``s3://bucket/part-*.jsonl.gz``.

    Raises:
        InputError: One of them stands for no file of a known kind, or for files that differ in
            their ending alone, such as a tar and its table, whose captions would count twice.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        for path in _matches(pattern):
            found.setdefault(path if is_address(path) else str(Path(path).absolute()), path)
    return sorted(found.values())


def _matches(pattern: str) -> list[str]:
    single, paths = _far(pattern) if is_address(pattern) else _near(pattern)
    known = [path for path in paths if kind_of(path)]
    if single and paths and not known:
        ending = "".join(endings_of(pattern))
        hint = did_you_mean(ending, KIND_OF_ENDING)
        raise InputError(f'{spelt(pattern)}: ending "{ending}"; wanted {_ENDINGS}.{hint}')
    if single:
        return known
    known = [path for path in known if not path.endswith(_STATISTICS)]
    if not known:
        raise InputError(
            f"{spelt(pattern)}: {f'none of {len(paths)} files' if paths else 'no file there'} "
            f"holds captions; wanted {_ENDINGS}."
        )
    twins: dict[str, str] = {}
    for path in sorted(known):
        bare = path.lower().removesuffix(endings_of(path)[1]).removesuffix(endings_of(path)[0])
        if bare in twins:
            raise InputError(
                f"{spelt(twins[bare])} and {spelt(path)} differ in their ending alone: captions "
                "would count twice; say which by a pattern with an ending."
            )
        twins[bare] = path
    return known


def _near(pattern: str) -> tuple[bool, list[str]]:
    """Whether a pattern names one file, and the files on this machine that it stands for."""
    path = Path(pattern)
    if path.is_dir():
        return False, _below(path)
    if path.exists():  # before globs, since names may have brackets
        return True, [pattern]
    if glob.has_magic(pattern):
        found = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path globs below one folder
        return False, [name for name in found if Path(name).is_file()]
    raise InputError(f"{spelt(pattern)}: no such file or folder; check the path.")


def _below(folder: Path) -> list[str]:
    def fail(problem: OSError) -> None:
        raise InputError(f"{problem.filename}: cannot be read ({problem.strerror}).")

    found: list[str] = []
    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [str(Path(place, name)) for name in names if not name.startswith(".")]
    return found


def _far(pattern: str) -> tuple[bool, list[str]]:
    """As `_near`, for an address."""
    # Of an address on the web, what follows a question mark is no part of a glob.
    signs = "*[" if pattern.startswith(("http://", "https://")) else "*?["
    try:
        store, place = store_of(pattern)
        single = False
        if any(sign in place for sign in signs):
            places = [name for name in store.glob(place) if store.isfile(name)]
        elif store.isdir(place):
            places = store.find(place)
        else:
            single, places = True, [place] * store.exists(place)
    except Exception as problem:  # every store fails in ways of its own
        reason = (str(problem) or type(problem).__name__).splitlines()[0].rstrip(". ")
        raise InputError(f"{pattern}: cannot be looked up ({reason}).") from problem
    if not places and single:
        raise InputError(f"{pattern}: no such file or folder; check the address.")
    inner, chain, outer = pattern.partition("::")
    if not chain:
        return single, [store.unstrip_protocol(name) for name in places]
    scheme = inner.partition("://")[0]
    return single, [f"{scheme}://{name}::{outer}" for name in places]


def units_of(path: str, *, rows: int = 2_000_000) -> list[CaptionUnit]:
    """A file as pieces of work: Parquet by row groups, about so many rows each; others whole.

    Raises:
        CaptionError: It cannot be read.
    """
    whole = CaptionUnit(path, n_bytes=size_of(path))
    if kind_of(path) != "parquet":
        return [whole]
    groups = caption_tables.row_groups(path)
    units: list[CaptionUnit] = []
    first = n_rows = n_bytes = 0
    for number, (group_rows, group_bytes) in enumerate(groups, start=1):
        n_rows += group_rows
        n_bytes += group_bytes
        if n_rows >= rows or number == len(groups):
            units.append(CaptionUnit(path, first, number, n_bytes))
            first, n_rows, n_bytes = number, 0, 0
    return units if len(units) > 1 else [whole]


def read_captions(
    unit: CaptionUnit, *, column: str = "", notes: ReadNotes, rows: int = 131_072
) -> Iterator[pa.Array]:
    """The captions of a unit, in its order and in flat memory.

    Args:
        unit: What to read.
        column: Of the captions; empty for the first that is there of caption, captions, text,
            txt, conversations and messages, in small letters or capitals.
        notes: What gave no caption is added here.
        rows: Captions in a batch, at most; fewer where they are long.

    Yields:
        Strings or large strings without nulls. They may hold bytes that are no UTF-8.

    Raises:
        CaptionError: The unit cannot be read, perhaps from somewhere on: what came before was
            yielded.
    """
    path = unit.path
    kind = kind_of(path)
    match kind:
        case "parquet":
            yield from caption_tables.read_parquet(
                path, unit.first, unit.last, column, notes=notes, rows=rows
            )
        case "csv" | "tsv":
            delimiter = "," if kind == "csv" else "\t"
            yield from caption_tables.read_table(path, delimiter, column, notes=notes, rows=rows)
        case "lines":
            yield from caption_records.read_lines(path, column, notes=notes, rows=rows)
        case "json":
            yield from caption_records.read_json(path, column, notes=notes, rows=rows)
        case "tar":
            yield from caption_tars.read_tar(path, column, notes=notes, rows=rows)
        case "text":
            for block in line_blocks(text_pieces_of(path)):
                yield from slices(line_array(block), rows)
        case _:
            raise CaptionError(f"of no known kind; wanted {_ENDINGS}.")
