"""The paper's protocol and the audit's, side by side: what each says, and why they differ."""

from collections.abc import Mapping, Sequence
from typing import Final

from vlmaudit.audits.identity_inference.finding import (
    Comparison,
    Difference,
    DifferenceKind,
    Finding,
    Reading,
)
from vlmaudit.report.parts import Cell, Column, ComparisonView, Row, Table
from vlmaudit.report.wording import is_planted, quantity_label, setting, verdict_word, votes_needed
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    counted,
    hits,
    interval,
    level,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate
from vlmaudit.results.vocabulary import Protocol

PROTOCOLS: Final[Mapping[Protocol, str]] = {"paper": "Paper", "audit": "Audit"}
NAMED: Final = 12
"""People of one difference whom the page names; all stand in the table of people."""

_PAPER_ONLY: Final[Mapping[DifferenceKind, str]] = {
    "correction": "p is small, but not small enough with everybody allowed for",
    "pool": "the name wins among the paper's names, but not among comparable ones",
    "names_fit": "other names fit this face as well: the name fits many faces",
    "faces_fit": "other faces fit this name as well: the face fits many names",
    "both_fit": "other names fit this face as well, and other faces this name",
}
_AUDIT_ONLY: Final[Mapping[DifferenceKind, str]] = {
    "ties": "the name shares the first place, and a shared place counts for nobody",
    "pool": "the name wins among comparable names, but the paper's pool holds one that fits better",
    "never_first": "the name is nearer than chance would have it, but nearest too rarely",
}


def why(difference: Difference) -> str:
    """Why the two protocols say different things, in words."""
    if difference.kind in {"no_test", "not_matched"}:
        return f"the audit does not decide: {visible(difference.note)}".rstrip(".")
    reasons = _AUDIT_ONLY if difference.flagged_by == "audit" else _PAPER_ONLY
    return reasons[difference.kind]


def why_of_people(finding: Finding) -> dict[str, str]:
    """The reason of everybody of whom the protocols say different things, by identity."""
    differences = finding.comparison.differences if finding.comparison else []
    return {identity: why(one) for one in differences for identity in one.people}


def comparison_view(finding: Finding) -> ComparisonView | None:
    """Both protocols side by side; None where the finding does not hold both."""
    if finding.comparison is None:
        return None
    return ComparisonView(
        sentence=_sentence(finding.comparison),
        readings=_reading_table(finding, finding.comparison.readings),
        agreement=_agreement_table(finding.comparison),
        differences=_difference_table(finding, finding.comparison.differences),
    )


def _sentence(comparison: Comparison) -> str:
    paper, audit = (
        f"{count(one.flagged)} of {counted(one.decided, 'person', 'people')}"
        for one in sorted(comparison.readings, key=lambda one: one.protocol, reverse=True)
    )
    undecided = (
        f"; on {counted(comparison.undecided, 'person', 'people')} one of them does not decide"
        if comparison.undecided
        else ""
    )
    return (
        f"From the same answers the paper's protocol flags {paper}, the audit's {audit}: both flag"
        f" {count(comparison.both)}, only the paper's {count(comparison.only_paper)}, only the"
        f" audit's {count(comparison.only_audit)}, neither {count(comparison.neither)}{undecided}."
    )


def _reading_table(finding: Finding, readings: Sequence[Reading]) -> Table:
    planted = is_planted(finding)
    lines: list[tuple[str, list[Cell]]] = [
        ("Decides by", [Cell(_rule(one, finding)) for one in readings]),
        (
            "People flagged",
            [
                Cell(f"{count(one.flagged)} of {count(one.decided)}", _undecided(one))
                for one in readings
            ],
        ),
        (
            sentence_case(quantity_label("TPR", planted=planted)),
            [_rate(one.tpr) for one in readings],
        ),
        (
            sentence_case(quantity_label("FPR", planted=planted)),
            [_rate(one.fpr) for one in readings],
        ),
        (
            "Verdict",
            [Cell(verdict_word(one.verdict), (visible(one.sentence),)) for one in readings],
        ),
    ]
    return Table(
        "What each protocol says of the same answers",
        (
            Column("What"),
            *(
                Column(
                    f"{PROTOCOLS[one.protocol]} protocol",
                    "this finding" if one.protocol == finding.protocol else "",
                )
                for one in readings
            ),
        ),
        tuple(Row((Cell(words), *cells)) for words, cells in lines),
    )


def _rule(reading: Reading, finding: Finding) -> str:
    if reading.protocol == "paper":
        return f"votes: {votes_needed(finding)}"
    alpha = level(setting(finding, "alpha", 0.05))
    return (
        "two tests each: among comparable names, and among comparable people; at most"
        f" {alpha} of the detections are expected to be false (α)"
    )


def _undecided(reading: Reading) -> tuple[str, ...]:
    return (f"{count(reading.undecided)} without a decision",) if reading.undecided else ()


def _rate(estimate: Estimate | None) -> Cell:
    if estimate is None or estimate.value is None:
        return Cell(NO_VALUE, ("none known",))
    return Cell(bound(estimate), (f"{hits(estimate)}; {interval(estimate)}",))


def _agreement_table(comparison: Comparison) -> Table:
    lines = (
        ("flagged by both", comparison.both),
        ("flagged by the paper's protocol only", comparison.only_paper),
        ("flagged by the audit's protocol only", comparison.only_audit),
        ("flagged by neither", comparison.neither),
        ("not decided by one of them, or by both", comparison.undecided),
    )
    return Table(
        "On how many people they agree",
        (Column("People"), Column("How many", is_number=True)),
        tuple(Row((Cell(words), Cell(count(number)))) for words, number in lines),
    )


def _difference_table(finding: Finding, differences: Sequence[Difference]) -> Table | None:
    if not differences:
        return None
    name_of = {person.identity: person.name for person in finding.people}
    who = {
        "paper": "the paper's protocol",
        "audit": "the audit's protocol",
        None: "neither of them",
    }
    return Table(
        "Why they differ, and on whom",
        (
            Column("Flagged by"),
            Column("Why not by the other"),
            Column("People", is_number=True),
            Column("Who"),
        ),
        tuple(
            Row(
                (
                    Cell(who[one.flagged_by]),
                    Cell(why(one)),
                    Cell(count(one.n)),
                    _named([visible(name_of.get(person, person)) for person in one.people]),
                )
            )
            for one in differences
        ),
    )


def _named(names: Sequence[str]) -> Cell:
    left = len(names) - NAMED
    more = (f"and {count(left)} more: see the table of people",) if left > 0 else ()
    return Cell("", more, names=tuple(names[:NAMED]))
