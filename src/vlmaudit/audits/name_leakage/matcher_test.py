"""The matcher on answers that somebody labelled by hand: how far may its outcomes be believed?

The labels say what a careful reader says, not what the matcher says. Two fifths of the answers
("held-out") were labelled before the matcher was written, and which of them it gets wrong was never
looked at to improve it; the figures rest on them alone. Labels and matcher are of the same hand,
and all cases are hard on purpose: the figures describe the matcher, and no run.
"""

import csv
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal, cast

from vlmaudit.audits.name_leakage.finding import MatcherRow, MatcherTest, Outcome
from vlmaudit.audits.name_leakage.outcomes import judge
from vlmaudit.data.name_matching import Known, NameMatcher
from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson

Split = Literal["held-out", "tuning"]

_LEAKS: Final = frozenset({"named", "hedged"})


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """An answer about a person, and what a careful reader says of it.

    Attributes:
        kind: What makes it hard.
        split: Whether it was ever looked at to improve the matcher (``tuning``).
        outcome: The label.
        person: Who was shown.
        others: Others in the study.
        answer: The text.
    """

    kind: str
    split: Split
    outcome: Outcome
    person: Known
    others: tuple[str, ...]
    answer: str


@functools.cache
def labelled_answers() -> tuple[LabelledAnswer, ...]:
    """The labelled answers that come with vlmaudit."""
    table = resources.files(__package__).joinpath("labelled_answers.csv").read_text("utf-8")
    return tuple(
        LabelledAnswer(
            kind=row["kind"],
            split=cast("Split", row["split"]),
            outcome=cast("Outcome", row["outcome"]),
            person=Known(row["name"], _parts(row["aliases"])),
            others=_parts(row["others"]),
            answer=row["answer"],
        )
        for row in csv.DictReader(io.StringIO(table, newline=""), strict=True)
    )


def judge_labelled(labelled: LabelledAnswer) -> Outcome:
    """What the matcher says of it, among the people that the label is about."""
    people = [labelled.person, *map(Known, labelled.others)]
    return judge([labelled.answer], [0], NameMatcher(people)).outcome[0]


@functools.cache
def matcher_test(split: Split = "held-out") -> MatcherTest:
    """Precision, recall and specificity of "this answer leaks the name", and rows by kind."""
    judged = [(one, judge_labelled(one)) for one in labelled_answers() if one.split == split]
    both = _count(judged, labelled=True, found=True)
    missed = _count(judged, labelled=True, found=False)
    invented = _count(judged, labelled=False, found=True)
    neither = _count(judged, labelled=False, found=False)
    return MatcherTest(
        n=len(judged),
        precision=_share(both, both + invented),
        recall=_share(both, both + missed),
        specificity=_share(neither, neither + invented),
        rows=[
            _row(kind, [pair for pair in judged if pair[0].kind == kind])
            for kind in dict.fromkeys(one.kind for one, _ in judged)
        ],
    )


_Judged = Sequence[tuple[LabelledAnswer, Outcome]]


def _row(kind: str, judged: _Judged) -> MatcherRow:
    return MatcherRow(
        kind=kind,
        n=len(judged),
        right=sum(one.outcome == outcome for one, outcome in judged),
        missed=_count(judged, labelled=True, found=False),
        invented=_count(judged, labelled=False, found=True),
    )


def _count(judged: _Judged, *, labelled: bool, found: bool) -> int:
    """Answers that leak or not by their label, and by the matcher."""
    return sum(
        ((one.outcome in _LEAKS) == labelled) and ((outcome in _LEAKS) == found)
        for one, outcome in judged
    )


def _share(hits: int, n: int) -> Estimate:
    interval = clopper_pearson(hits, n) if n else None
    return Estimate(
        value=hits / n if n else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=n,
        method="Clopper-Pearson",
        unit="labelled answer",
    )


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(filter(None, cell.split("|")))
