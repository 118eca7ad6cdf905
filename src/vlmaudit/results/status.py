"""How far a run is: read from its folder alone, while others may be at it."""

from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final, Literal

import polars as pl
from pydantic import Field

from vlmaudit.results.blocks import at_work
from vlmaudit.results.cases import read_cases
from vlmaudit.results.journal import read_journal
from vlmaudit.results.outcomes import PERMANENT, TRANSIENT
from vlmaudit.results.pieces import FOLDER as PIECES
from vlmaudit.results.pieces import Pieces, read_pieces
from vlmaudit.results.records import Record
from vlmaudit.results.run_folder import Manifest, RunFolder

_RECENT: Final = 30
"""Sealed files whose times say how fast it goes."""


class Status(Record):
    """What became of a run's cases so far."""

    audit: str
    model: str
    state: Literal["through", "at work", "stopped"]
    cases: int = Field(description="Pictures, or requests, that the run asks for.")
    answered: int
    failed_for_now: int = Field(description="Failed in a way that is asked again by a resume.")
    failed: int = Field(description="Failed for good.")
    left: int = Field(description="Not asked yet.")
    reasons: dict[str, int] = Field(description="Failures by reason.")
    blocks: int
    blocks_sealed: int
    processes: int = Field(description="Blocks that some process is at right now.")
    seconds_left: float | None = Field(description="By the pace so far; None: not known.")
    has_finding: bool
    is_finding_current: bool = Field(description="No answer has come since the finding.")


def read_status(run: RunFolder) -> Status:
    """Look at a run's folder; nothing in it is changed.

    Raises:
        RunError: There is no run, or something in it is damaged.
    """
    manifest = run.read_manifest()
    pieces = read_pieces(run.private)
    if pieces is not None:
        return _of_pieces(run, manifest, pieces)
    cases = read_cases(run.private)
    store = run.blocks()
    outcomes = store.collect(store.scan(["reason"]))
    busy = at_work(run.private)
    in_flight = _in_flight(run.private)
    mine = cases.join(
        pl.concat([outcomes, in_flight]).unique("case", keep="first"), on="case", how="left"
    )
    by_status = dict(mine.group_by("status").len().iter_rows())
    transient, permanent = by_status.get(TRANSIENT, 0), by_status.get(PERMANENT, 0)
    left = by_status.get(None, 0)
    sealed = store.sealed() & set(cases["block"])
    n_blocks = cases["block"].n_unique()
    failures = mine.filter(pl.col("status").is_in([TRANSIENT, PERMANENT]))
    times = sorted(path.stat().st_mtime for path in store.files())
    finding = run.root / "finding.json"
    return Status(
        audit=manifest.audit,
        model=manifest.model.name,
        state="at work" if busy else "stopped" if left else "through",
        cases=len(cases),
        answered=len(cases) - transient - permanent - left,
        failed_for_now=transient,
        failed=permanent,
        left=left,
        reasons=dict(sorted(failures.group_by("reason").len().iter_rows())),
        blocks=n_blocks,
        blocks_sealed=len(sealed),
        processes=len(busy),
        seconds_left=_seconds_left(times, n_blocks - len(sealed)),
        has_finding=finding.exists(),
        is_finding_current=finding.exists()
        and not left
        and (not times or finding.stat().st_mtime >= times[-1]),
    )


def _of_pieces(run: RunFolder, manifest: Manifest, pieces: Pieces) -> Status:
    left = pieces.planned - pieces.done
    finding = run.root / "finding.json"
    made = [path.stat().st_mtime for path in (run.private / PIECES).glob("*.jsonl")]
    return Status(
        audit=manifest.audit,
        model=manifest.model.name,
        state="at work" if run.is_driven() else "stopped" if left else "through",
        cases=pieces.planned,
        answered=pieces.done - pieces.failed_for_now - pieces.failed,
        failed_for_now=pieces.failed_for_now,
        failed=pieces.failed,
        left=left,
        reasons=dict(pieces.reasons),
        blocks=pieces.tables,
        blocks_sealed=pieces.tables_done,
        processes=int(run.is_driven()),
        seconds_left=0.0 if not left else None,
        has_finding=finding.exists(),
        is_finding_current=finding.exists()
        and not left
        and finding.stat().st_mtime >= max(made, default=0.0),
    )


def _seconds_left(times: list[float], n_blocks: int) -> float | None:
    """The median time between two seals, so that nights in which nothing ran do not count."""
    recent = times[-_RECENT:]
    gaps = [later - earlier for earlier, later in pairwise(recent)]
    if not n_blocks:
        return 0.0
    return median(gaps) * n_blocks if len(gaps) > 1 else None


def _in_flight(private: Path) -> pl.DataFrame:
    """``case, status, reason`` of what is answered in blocks that are not sealed."""
    rows = [
        (str(row["case"]), str(row["status"]), str(row["reason"]))
        for path in sorted((private / "open").glob("*.jsonl"))
        for batch in read_journal(path)
        for row in batch
    ]
    return pl.DataFrame(
        rows, schema=dict.fromkeys(("case", "status", "reason"), pl.String), orient="row"
    )
