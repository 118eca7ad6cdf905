"""Both protocols on the same observations, and why they differ on somebody."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from vlmaudit.audits.identity_inference.checked import Checked
from vlmaudit.audits.identity_inference.finding import (
    Comparison,
    Difference,
    DifferenceKind,
    PersonRow,
    Reading,
)
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.results.vocabulary import Protocol, Verdict

OTHER: Final[dict[Protocol, Protocol]] = {"audit": "paper", "paper": "audit"}


@dataclass(frozen=True, slots=True)
class Read:
    """What one protocol made of everybody.

    Attributes:
        people: The rows, with this protocol's decisions, scores and notes.
        checked: What its checks say.
    """

    protocol: Protocol
    people: Sequence[PersonRow]
    checked: Checked
    verdict: Verdict
    sentence: str


def compare(paper: Read, audit: Read, settings: IdentityInference) -> Comparison:
    """The two readings side by side."""
    pairs = list(zip(paper.people, audit.people, strict=True))
    decisions = [(one.detected, other.detected) for one, other in pairs]
    decided = [pair for pair in decisions if None not in pair]
    return Comparison(
        readings=[_reading(paper), _reading(audit)],
        both=decided.count((True, True)),
        only_paper=decided.count((True, False)),
        only_audit=decided.count((False, True)),
        neither=decided.count((False, False)),
        undecided=len(decisions) - len(decided),
        differences=_differences(pairs, settings),
    )


def _reading(read: Read) -> Reading:
    decisions = [row.detected for row in read.people]
    return Reading(
        protocol=read.protocol,
        verdict=read.verdict,
        sentence=read.sentence,
        flagged=decisions.count(True),
        decided=len(decisions) - decisions.count(None),
        undecided=decisions.count(None),
        tpr=read.checked.estimates.get("tpr"),
        fpr=read.checked.estimates.get("fpr"),
    )


def _differences(
    pairs: Sequence[tuple[PersonRow, PersonRow]], settings: IdentityInference
) -> list[Difference]:
    """The people who differ, by who flags them and why; the most frequent reasons first."""
    found = sorted(
        (_flagged_by(paper, audit) or "", *_reason(paper, audit, settings), audit.identity)
        for paper, audit in pairs
        if paper.detected is not audit.detected
    )
    differences = []
    for (flagged_by, kind, note), group in groupby(found, key=lambda row: row[:3]):
        people = [identity for *_, identity in group]
        differences.append(
            Difference(
                flagged_by=flagged_by or None,
                kind=kind,
                note=note,
                n=len(people),
                people=people,
            )
        )
    order = {"paper": 0, "audit": 1, None: 2}
    return sorted(differences, key=lambda one: (order[one.flagged_by], -one.n))


def _flagged_by(paper: PersonRow, audit: PersonRow) -> Protocol | None:
    if paper.detected:
        return "paper"
    return "audit" if audit.detected else None


def _reason(
    paper: PersonRow, audit: PersonRow, settings: IdentityInference
) -> tuple[DifferenceKind, str]:
    """Why the two say different things of a person, and what is on record about it."""
    if audit.detected is None:
        return ("no_test" if audit.p is None else "not_matched"), audit.note
    if audit.detected:
        return _why_votes_miss(audit, settings), ""
    return _why_the_test_does_not_follow(audit, settings), paper.note


def _why_votes_miss(row: PersonRow, settings: IdentityInference) -> DifferenceKind:
    if (row.paper_score or 0) + (row.paper_ties or 0) >= settings.tau:
        return "ties"
    if row.score is not None and row.score >= settings.tau:
        return "pool"
    return "never_first"


def _why_the_test_does_not_follow(row: PersonRow, settings: IdentityInference) -> DifferenceKind:
    names_fit = row.p_names is not None and row.p_names > settings.alpha
    faces_fit = row.p_faces is not None and row.p_faces > settings.alpha
    if not names_fit and not faces_fit:
        return "correction"
    if row.score is not None and row.score < settings.tau:
        return "pool"
    if names_fit and faces_fit:
        return "both_fit"
    return "names_fit" if names_fit else "faces_fit"
