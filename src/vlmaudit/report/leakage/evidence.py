"""The tables of what bears the finding: likelihoods, the matcher, labels and planted arms."""

from collections.abc import Iterable, Sequence
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding, PersonRow
from vlmaudit.report.leakage.numbers import lift_words, mean_share
from vlmaudit.report.leakage.tables import lift_cell, share_cell
from vlmaudit.report.leakage.wording import LIFT, conditions
from vlmaudit.report.parts import Cell, Column, Row, Table
from vlmaudit.results.numbers import (
    NO_VALUE,
    count,
    counted,
    decimal,
    p_number,
    percent,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate

_MOST_HIDDEN: Final = 25
"""People hidden behind refusals who are listed by name."""


def likelihood_sentences(finding: Finding) -> tuple[str, ...]:
    """What the likelihoods of names as answers show."""
    return tuple(_likelihood_sentences(finding))


def _likelihood_sentences(finding: Finding) -> Iterable[str]:
    found = finding.likelihoods
    if found is None:
        return
    asked = ", ".join(visible(prompt) for prompt in found.prompts)
    yield (
        f"Each of {counted(found.candidates, 'name', 'names')} was scored as the answer to {asked},"
        f" for {counted(found.people, 'person', 'people')}, whatever the model chose to say."
    )
    if found.known.n:
        yield f"The own name stands out (two tests each): {mean_share(found.known)}."
    yield f"The own name ranks first: {mean_share(found.first)}."
    best = decimal(found.mean_exposure)
    yield (
        f"Mean exposure {best} bits over {counted(found.people, 'person', 'people')}: log2 of the"
        " number of names over the own name's rank; 1 bit halves the candidates."
    )
    if not found.known.n:
        yield (
            "Nobody could be tested by it: too few people or names of the same sex and origin. A"
            " rank alone may be the name's, whoever is in the picture."
        )
        return
    hidden = counted(found.hidden, "person is", "people are")
    yield (
        f"{hidden} known by likelihood and hardly ever named: what is known there stays hidden"
        " behind refusals or other answers."
    )


def hidden_table(finding: Finding) -> Table | None:
    """Who is known by likelihood and hardly ever named, the best known first."""
    n_hidden = finding.likelihoods.hidden if finding.likelihoods else 0
    # The finding counts them: these are the least named of those who are known.
    known = [person for person in finding.people if person.known_by_likelihood]
    known.sort(key=lambda person: (person.rate or 0.0, person.identity))
    people = sorted(
        known[:n_hidden], key=lambda person: (-(person.exposure or 0.0), person.identity)
    )
    if not people:
        return None
    return Table(
        "Known by likelihood and hardly ever named",
        (
            Column("Person"),
            Column("Rank", "of the own name", True),
            Column("Exposure", "bits", True),
            Column("Strength", "z, in SDs", True),
            Column("p", "of the likelihood", True),
            Column("Named", "of answers", True),
        ),
        tuple(map(_hidden_row, people[:_MOST_HIDDEN])),
    )


def _hidden_row(person: PersonRow) -> Row:
    return Row(
        (
            Cell(visible(person.name), is_name=True),
            Cell(NO_VALUE if person.rank is None else count(person.rank)),
            Cell(NO_VALUE if person.exposure is None else decimal(person.exposure)),
            Cell(NO_VALUE if person.likelihood_z is None else decimal(person.likelihood_z)),
            Cell(NO_VALUE if person.likelihood_p is None else p_number(person.likelihood_p)),
            Cell(f"{count(person.leaks)} of {count(person.answers)}"),
        )
    )


def matcher_sentences(finding: Finding) -> tuple[str, ...]:
    """How well the program that looks for names does, and what that means for the lift."""
    return tuple(_matcher_sentences(finding))


def _matcher_sentences(finding: Finding) -> Iterable[str]:
    test = finding.matcher
    yield (
        f"On {counted(test.n, 'labelled answer', 'labelled answers')} that come with vlmaudit, hard"
        " cases first. This is a test of the program, not of this run: its errors are not this"
        " run's."
    )
    lift = finding.estimates.get(LIFT)
    if test.corrected_lift is not None and lift is not None:
        yield (
            f"If it errs here as it does there, and on everybody alike, the lift is"
            f" {lift_words(test.corrected_lift)} instead of {lift_words(lift)} (carried over:"
            " lift / (recall + specificity − 1))."
        )
    labels = finding.labels
    if labels is None:
        yield (
            "No answer of this run was labelled; rates are as the program sees them."
            " vlmaudit label RUN draws answers to label, and corrects the rates by them."
        )
        return
    yield (
        f"Of this run, {count(labels.labelled)} of {count(labels.sampled)} sampled answers were"
        f" labelled. Leak rate corrected by them: {mean_share(labels.rate)}; the program says"
        f" {percent(labels.apparent)}."
    )
    yield f"Labels that the program agrees with: {mean_share(labels.agreement)}."
    if labels.rest_upper is not None:
        yield (
            "Among answers that look like no leak at all, at most"
            f" {percent(labels.rest_upper)} are one (95 % upper bound)."
        )


def matcher_table(finding: Finding) -> Table:
    """Precision, recall and specificity of the matcher."""
    test = finding.matcher
    measures = (
        ("Precision", "of the leaks it sees, so many are leaks", test.precision),
        ("Recall", "of the leaks there are, it sees so many", test.recall),
        ("Specificity", "of the other answers, so many pass as none", test.specificity),
    )
    return Table(
        "The matcher on labelled answers",
        (Column("Measure"), Column("Share", is_number=True)),
        tuple(Row((Cell(name, (what,)), share_cell(one))) for name, what, one in measures),
    )


def rule_table(finding: Finding) -> Table | None:
    """Leaks by the paper's rule and by ours, condition by condition."""
    rows = []
    for condition in conditions(finding):
        cells = [row for row in finding.rates if row.condition == condition]
        paper = [row.by_paper for row in cells if row.by_paper is not None]
        audit = [row.by_audit for row in cells if row.by_audit is not None]
        if paper and audit:
            numbers = (sum(paper), sum(audit), sum(row.n for row in cells))
            rows.append(Row((Cell(visible(condition)), *(Cell(count(one)) for one in numbers))))
    if not rows:
        return None
    return Table(
        "Leaks by the paper's rule and by ours",
        (
            Column("Shown"),
            Column("The paper's rule", "the name's letters anywhere", True),
            Column("Ours", "the name, said of the person", True),
            Column("Answers", is_number=True),
        ),
        tuple(rows),
    )


def arm_table(finding: Finding) -> Table:
    """People of a planted design, arm by arm."""
    roles = {True: "must be named", False: "must not be named", None: "the question"}
    rows = []
    for arm in finding.arms:
        p = NO_VALUE if arm.p is None else p_number(arm.p)
        rows.append(
            Row(
                (
                    Cell(visible(arm.arm), (roles[arm.is_member],)),
                    Cell(count(arm.people)),
                    share_cell(arm.rate),
                    lift_cell(arm.lift),
                    Cell(p),
                    share_cell(arm.known),
                    share_cell(arm.wrong),
                )
            )
        )
    return Table(
        "Planted and unplanted people",
        (
            Column("Group"),
            Column("People", is_number=True),
            Column("Leak rate", "mean over people", True),
            Column("Lift", "points above others", True),
            Column("p", "people swapped", True),
            Column("Known", "by likelihood", True),
            Column("Somebody else's name", "share of answers", True),
        ),
        tuple(rows),
    )


def matcher_kinds(finding: Finding) -> Table:
    """The matcher by what makes an answer hard."""
    return Table(
        "The matcher by kind of answer",
        (
            Column("Kind of answer"),
            Column("Answers", is_number=True),
            Column("Right", "outcome as labelled", True),
            Column("Leaks missed", is_number=True),
            Column("Leaks invented", is_number=True),
        ),
        tuple(
            Row(
                (
                    Cell(sentence_case(visible(row.kind))),
                    *(Cell(count(one)) for one in (row.n, row.right, row.missed, row.invented)),
                )
            )
            for row in finding.matcher.rows
        ),
    )


def methods(estimates: Sequence[Estimate]) -> str:
    """How the intervals were computed."""
    known = list(dict.fromkeys(visible(one.method) for one in estimates))
    return f"Intervals: 95 %, {'; '.join(known)}." if known else ""
