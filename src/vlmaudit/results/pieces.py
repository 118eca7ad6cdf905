"""A run whose observations are made in pieces: what is planned, and how far it is.

RUN/private/pieces/plan.json               how many pieces each table has, by checkpoint
RUN/private/pieces/TABLE.ROLE.jsonl        pieces that are made
RUN/private/states/ROLE/states.json        items whose hidden states are kept
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vlmaudit.results.files import make_private, write_text
from vlmaudit.results.journal import read_journal
from vlmaudit.results.outcomes import PERMANENT, TRANSIENT

FOLDER: Final = "pieces"
STATES: Final = "states"
_PLAN: Final = "plan.json"


@dataclass(frozen=True, slots=True)
class Pieces:
    """How far a run in pieces is.

    Attributes:
        planned: How many there are to be.
        done: How many are made.
        failed_for_now: In how many of those something failed that is made again by a resume.
        failed: In how many something failed for good.
        reasons: Failures by reason.
        tables: How many tables there are, of all checkpoints.
        tables_done: How many of them are whole.
    """

    planned: int
    done: int
    failed_for_now: int
    failed: int
    reasons: Mapping[str, int]
    tables: int
    tables_done: int


def journal_of(private: Path, table: str, role: str) -> Path:
    """Where the pieces of a checkpoint's table are kept as they come."""
    return private / FOLDER / f"{table}.{role}.jsonl"


def plan_pieces(private: Path, role: str, tables: Mapping[str, int]) -> None:
    """Write down how many pieces each table of a checkpoint has; others stay as they were.

    Args:
        private: The run's private folder.
        role: The checkpoint.
        tables: Pieces by table; `STATES` counts items.
    """
    path = make_private(private / FOLDER) / _PLAN
    known = json.loads(path.read_bytes()) if path.exists() else {}
    known[role] = {**known.get(role, {}), **tables}
    write_text(path, json.dumps(known, indent=2) + "\n")


def read_pieces(private: Path) -> Pieces | None:
    """How far a run is; None where it is not made in pieces."""
    path = private / FOLDER / _PLAN
    if not path.exists():
        return None
    planned = done = for_now = for_good = whole = tables = 0
    reasons: Counter[str] = Counter()
    for role, counts in json.loads(path.read_bytes()).items():
        for table, wanted in counts.items():
            made = 0
            if table == STATES:
                about = private / STATES / role / "states.json"
                made = json.loads(about.read_bytes())["done"] if about.exists() else 0
            else:
                for batch in read_journal(journal_of(private, table, role)):
                    made += 1
                    kinds = {row.get("status") for row in batch}
                    for_now += TRANSIENT in kinds
                    for_good += PERMANENT in kinds and TRANSIENT not in kinds
                    reasons.update(
                        str(row["reason"])
                        for row in batch
                        if row.get("status") in (TRANSIENT, PERMANENT)
                    )
            planned, done = planned + wanted, done + min(made, wanted)
            tables, whole = tables + 1, whole + (made >= wanted)
    return Pieces(planned, done, for_now, for_good, dict(sorted(reasons.items())), tables, whole)
