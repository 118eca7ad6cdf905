"""The store of outcomes: sealed blocks, and one block in flight a process.

    private/blocks/000017.parquet      what became of the block's cases, in case order
    private/blocks/000017.1.parquet    what failed in it for the time being, asked again
    private/open/000018.jsonl          a block that somebody is at, a batch a line

A sealed file is never changed. Resuming is asking which files are not there; who computed one
changes nothing.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from vlmaudit.results.files import make_private, remove_leftovers
from vlmaudit.results.journal import Journal, open_journal
from vlmaudit.results.locks import try_lock
from vlmaudit.results.outcomes import COMMON, TRANSIENT, Schema, merge_attempts
from vlmaudit.results.sealed import POLARS_ERRORS, read_metadata, read_table, write_table

BLOCK_SIZE: Final = 64
"""Pictures a block, where a run is not so large that there would be too many files."""
MOST_BLOCKS: Final = 4096

_SEALED: Final = re.compile(r"(\d+)(?:\.(\d+))?\.parquet")
ENVIRONMENTS: Final = "vlmaudit.environments"
"""Where a sealed file's metadata names the environments that answered."""


def block_size(n_pictures: int) -> int:
    """Pictures a block: 64, or more where a run is so large that its files would be too many.

    >>> block_size(14_044), block_size(5_000_000)
    (64, 1221)
    """
    return max(BLOCK_SIZE, -(-n_pictures // MOST_BLOCKS))


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """What is asked in one go: a whole block, or again what failed in it.

    Attributes:
        block: Number of the block.
        attempt: 0 for the whole block, then the retries.
        cases: Keys of the cases that are asked, in case order.
    """

    block: int
    attempt: int
    cases: tuple[str, ...]

    @property
    def stem(self) -> str:
        """What the part's files are called, without ending."""
        return f"{self.block:06d}.{self.attempt}" if self.attempt else f"{self.block:06d}"


class BlockStore:
    """The outcomes of a run, in a private folder that any number of processes may write to."""

    def __init__(self, private: Path) -> None:
        """Name the folder; nothing is made or read yet."""
        self._blocks = private / "blocks"
        self._open = private / "open"

    def parts(self, blocks: Mapping[int, Sequence[str]], *, retry: bool = True) -> tuple[Part, ...]:
        """What is left to ask of some blocks.

        Args:
            blocks: The keys of every block's cases, in case order.
            retry: Whether to ask again what failed for the time being.
        """
        attempts = self._attempts()
        parts = [Part(block, 0, tuple(blocks[block])) for block in blocks.keys() - attempts.keys()]
        if retry:
            failing = self.transient() if attempts else set()
            parts += [
                Part(block, attempts[block] + 1, again)
                for block in blocks.keys() & attempts.keys()
                if (again := tuple(case for case in blocks[block] if case in failing))
            ]
        return tuple(sorted(parts))

    def sealed(self) -> set[int]:
        """Numbers of the blocks that are there."""
        return set(self._attempts())

    @contextmanager
    def claim(self, part: Part, columns: Schema) -> "Iterator[Claim | None]":
        """Hold a part for this process, with what was answered of it before a stop.

        Args:
            part: What to hold.
            columns: The audit's own columns, behind those that every audit has.

        Yields:
            The claim; None where another process holds the part or has sealed it.
        """
        make_private(self._blocks)
        journal = open_journal(make_private(self._open) / f"{part.stem}.jsonl")
        if journal is None:
            yield None
            return
        if self.is_sealed(part):
            journal.remove()
            yield None
            return
        schema = pl.Schema({**COMMON, **columns})
        claim = Claim(part, journal, schema, self._blocks / f"{part.stem}.parquet")
        try:
            yield claim
        finally:
            claim.let_go()

    def is_sealed(self, part: Part) -> bool:
        """Whether a part is there."""
        return (self._blocks / f"{part.stem}.parquet").exists()

    def read(self) -> Iterator[pl.DataFrame]:
        """The outcomes block by block, by number; memory holds one block at a time.

        Raises:
            RunError: A block is damaged.
        """
        for block, last in sorted(self._attempts().items()):
            yield self._read_block(block, last)

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """Some columns of all outcomes, for listing and grouping millions.

        Args:
            columns: Which; ``case`` and ``status`` come along.

        Raises:
            RunError: A block with retries is damaged.
        """
        attempts = self._attempts()
        wanted = list(dict.fromkeys(["case", "status", *columns]))
        plain = [self._path(block, 0) for block, last in attempts.items() if not last]
        frames = [
            self._read_block(block, last).lazy().select(wanted)
            for block, last in attempts.items()
            if last
        ]
        if plain:
            frames.append(pl.scan_parquet(plain).select(wanted))
        if not frames:
            return pl.LazyFrame(schema=dict.fromkeys(wanted, pl.String))
        return pl.concat(frames)

    def files(self) -> list[Path]:
        """Every sealed file, retries included, by name."""
        return sorted(self._blocks.glob("[0-9]*.parquet"))

    def transient(self) -> set[str]:
        """Keys of the cases that failed for the time being, and could be asked again."""
        failed = self.scan([]).filter(pl.col("status") == TRANSIENT).select("case")
        return set(self.collect(failed)["case"])

    def _attempts(self) -> dict[int, int]:
        """The last attempt of every block that is there."""
        found: dict[int, int] = {}
        for path in self._blocks.iterdir() if self._blocks.is_dir() else ():
            if name := _SEALED.fullmatch(path.name):
                block, attempt = int(name[1]), int(name[2] or 0)
                found[block] = max(found.get(block, 0), attempt)
        # A block whose first file was taken away is asked anew, whatever stands beside it.
        return {
            block: last
            for block, last in found.items()
            if not last or self._path(block, 0).exists()
        }

    def _read_block(self, block: int, last: int) -> pl.DataFrame:
        table = read_sealed(self._path(block, 0))
        for attempt in range(1, last + 1):
            table = merge_attempts(table, read_sealed(self._path(block, attempt)))
        return table

    def collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        """What `scan` was asked for.

        Raises:
            RunError: A block is damaged.
        """
        try:
            table = frame.collect()
        except POLARS_ERRORS:
            self._find_damage()
            raise
        # Damage may also read as another type: the digests, which scanning passes by, tell.
        if any(table.schema[name] != COMMON[name] for name in COMMON.keys() & table.schema.keys()):
            self._find_damage()
        return table

    def _find_damage(self) -> None:
        """Name the damaged file: the library does not say which of thousands it was."""
        for path in self.files():
            read_sealed(path)

    def _path(self, block: int, attempt: int) -> Path:
        return self._blocks / f"{Part(block, attempt, ()).stem}.parquet"


class Claim:
    """A part in the hands of this process, from its first answer to its seal."""

    def __init__(self, part: Part, journal: Journal, schema: pl.Schema, target: Path) -> None:
        """Take over what was answered before; `BlockStore.claim` is the way here."""
        self.part = part
        self._journal = journal
        self._schema = schema
        self._target = target
        self._is_held = True
        mine = set(part.cases)
        self._rows: dict[str, dict[str, object]] = {}
        self._environments: set[str] = set()
        for batch in journal.batches:
            for row in batch:
                environment = str(row.pop("environment", ""))
                if row["case"] in mine:
                    self._rows.setdefault(str(row["case"]), row)
                    self._environments.add(environment)

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys of the cases without an outcome, in case order."""
        return tuple(case for case in self.part.cases if case not in self._rows)

    def add(self, outcomes: pl.DataFrame, environment: str) -> None:
        """Keep a batch of outcomes; once this returns, a kill does not lose them.

        Args:
            outcomes: Rows of the store's columns, for cases that are missing so far.
            environment: Digest of the environment that answered.
        """
        rows = outcomes.select(self._schema.names()).cast(self._schema).to_dicts()
        new = {str(row["case"]): row for row in rows}
        self._environments.add(environment)
        self._rows = new | self._rows  # an answer never replaces an answer
        if self.missing:  # what completes the part goes straight into its block
            self._journal.append([{**row, "environment": environment} for row in rows])

    def seal(self) -> None:
        """Write the part's outcomes for good, in case order, and remove the journal."""
        assert not self.missing, f"block {self.part.stem} lacks {len(self.missing)} cases"
        table = pl.DataFrame([self._rows[case] for case in self.part.cases], schema=self._schema)
        kept = {ENVIRONMENTS: " ".join(sorted(self._environments))}
        write_table(self._target, table, kept)
        remove_leftovers(self._target.parent, self._target.name)
        self._journal.remove()
        self._is_held = False

    def let_go(self) -> None:
        """Leave the part to whoever comes next; what was added stays."""
        if self._is_held:
            self._is_held = False
            if self._journal.batches:
                self._journal.close()
            else:
                self._journal.remove()


def at_work(private: Path) -> tuple[str, ...]:
    """Stems of the parts that some process is at right now."""
    busy: list[str] = []
    for path in sorted((private / "open").glob("*.jsonl")):
        descriptor = try_lock(path, shared=True)
        if descriptor is None:
            busy.append(path.stem)
        else:
            os.close(descriptor)
    return tuple(busy)


def read_sealed(path: Path) -> pl.DataFrame:
    """The outcomes in one file.

    Raises:
        RunError: It is damaged.
    """
    return read_table(path, mend=_OBSERVE_ANEW)


def environments_of(path: Path) -> str:
    """Digests of the environments that answered what is in one file, apart by blanks.

    Raises:
        RunError: It is damaged.
    """
    return read_metadata(path, mend=_OBSERVE_ANEW).get(ENVIRONMENTS, "")


_OBSERVE_ANEW: Final = (
    "delete the file and run the same command again to have this block observed anew."
)
