"""What a claim about false alarms takes, and whether this study has it."""

from typing import Final

from vlmaudit.audits.identity_inference.finding import ClaimRow, Claims, Finding
from vlmaudit.report.parts import Cell, ClaimsView, Column, Row, Table
from vlmaudit.report.wording import is_planted
from vlmaudit.results.numbers import count, counted, level, percent

_HOLDS: Final = {True: "holds here", False: "does not hold here"}


def claims_view(finding: Finding) -> ClaimsView | None:
    """What this study has for a claim; None where the finding does not say."""
    if finding.claims is None:
        return None
    return ClaimsView(_sentence(finding, finding.claims), _table(finding.claims))


def _sentence(finding: Finding, claims: Claims) -> str:
    who = "people never planted" if is_planted(finding) else "known non-members"
    if claims.upper is None:
        return f"This study has no {who} with a decision: it can claim nothing about false alarms."
    return (
        f"This study has {count(claims.known)} {who}, and {count(claims.flagged)} of them"
        f" {'was' if claims.flagged == 1 else 'were'} flagged: the rate of false alarms is at most"
        f" {percent(claims.upper)} (one-sided 95 % limit)."
    )


def _table(claims: Claims) -> Table:
    rates = sorted({row.max_fpr for row in claims.rows}, reverse=True)
    rows = []
    for flagged in sorted({row.flagged for row in claims.rows}):
        mine = {row.max_fpr: row for row in claims.rows if row.flagged == flagged}
        is_here = any(row.holds is not None for row in mine.values())
        label = counted(flagged, "person flagged wrongly", "people flagged wrongly")
        small = (f"this study, with {count(claims.known)}",) if is_here else ()
        rows.append(
            Row((Cell(label.replace("0 people", "nobody", 1), small), *map(_cell, mine.values())))
        )
    return Table(
        "Known non-members that a claim takes",
        (
            Column("With"),
            *(Column(f"At most {level(rate)}", "false alarms", is_number=True) for rate in rates),
        ),
        tuple(rows),
    )


def _cell(row: ClaimRow) -> Cell:
    if row.holds is None:
        return Cell(count(row.needed))
    return Cell(count(row.needed), (_HOLDS[row.holds],))
