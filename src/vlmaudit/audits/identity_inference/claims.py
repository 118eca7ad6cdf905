"""What a claim on the false-positive rate takes, and what a study has for it."""

from collections.abc import Sequence
from typing import Final

from vlmaudit.audits.identity_inference.finding import ClaimRow, Claims, PersonRow
from vlmaudit.audits.identity_inference.membership import OPERATING_POINTS
from vlmaudit.stats.intervals import controls_needed, upper_limit

_UP_TO: Final = 3
"""Flagged non-members for which the table always says what a claim takes."""


def claims(people: Sequence[PersonRow]) -> Claims:
    """The table of claims: how many non-members each takes, by how many of them are flagged."""
    decided = [
        bool(row.detected)
        for row in people
        if row.membership == "non_member" and row.detected is not None
    ]
    known, flagged = len(decided), sum(decided)
    return Claims(
        known=known,
        flagged=flagged,
        upper=upper_limit(flagged, known) if known else None,
        rows=[
            _row(rate, hits, known, is_here=known > 0 and hits == flagged)
            for hits in sorted({*range(_UP_TO + 1), flagged})
            for rate in OPERATING_POINTS
        ],
    )


def _row(rate: float, hits: int, known: int, *, is_here: bool) -> ClaimRow:
    needed = controls_needed(rate, hits=hits)
    return ClaimRow(
        max_fpr=rate, flagged=hits, needed=needed, holds=known >= needed if is_here else None
    )
