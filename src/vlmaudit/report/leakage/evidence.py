"""The tables of what bears the finding: likelihoods, the matcher, labels, estimates and origin."""

from collections.abc import Iterable, Sequence
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding, PersonRow
from vlmaudit.report.leakage.numbers import lift_words, mean_share, points, points_interval, units
from vlmaudit.report.leakage.tables import lift_cell, share_cell
from vlmaudit.report.leakage.wording import (
    IMPLICIT,
    LIFT,
    RATE,
    REFUSED,
    SPEARMAN,
    WRONG,
    conditions,
)
from vlmaudit.report.parts import Cell, Column, Row, Table
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    counted,
    decimal,
    interval,
    p_floor,
    p_number,
    percent,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate

_SETTINGS: Final = {
    "protocol": "Protocol",
    "max_new_tokens": "Tokens after which an answer is cut off",
    "names": "Candidate names whose likelihood is compared",
    "pool": "Whom a name and a face are compared with",
    "drawn": "Drawn faces shown as a null",
    "alpha": "Share of false discoveries allowed (α)",
    "permutations": "Swaps of people (B)",
    "list_from": "Different names that make an answer a list",
    "max_failures": "Share of failures above which nothing is concluded",
    "prompts": "Prompts",
    "scored_prompts": "Prompts whose answer the names are scored as",
    "seed": "Seed",
}
_ESTIMATES: Final = {
    RATE: "Leak rate over all prompts",
    LIFT: "Lift over all prompts, in points",
    IMPLICIT: "Named though nobody asked (P0)",
    WRONG: "Answers with somebody else's name",
    REFUSED: "Refused answers",
    SPEARMAN: "Leak rate against captions that name the person (Spearman's rank correlation)",
}
_MORE_FIRST: Final = 25
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
    yield f"The own name stands out (two tests each): {mean_share(found.known)}."
    yield f"The own name ranks first: {mean_share(found.first)}."
    best = decimal(found.mean_exposure)
    yield (
        f"Mean exposure {best} bits over {counted(found.people, 'person', 'people')}: log2 of the"
        " number of names over the own name's rank; 1 bit halves the candidates."
    )
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
        tuple(map(_hidden_row, people[:_MORE_FIRST])),
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


def _value(key: str, estimate: Estimate) -> tuple[str, str]:
    """An estimate and its interval, in its own unit."""
    value, low, high = estimate.value, estimate.low, estimate.high
    parts = key.split("_")
    if value is None:
        return NO_VALUE, NO_VALUE
    if "correlation" in parts or "exposure" in parts:
        return decimal(value), (
            NO_VALUE if low is None or high is None else f"{decimal(low)} to {decimal(high)}"
        )
    if "lift" in parts or "difference" in parts:
        return points(value), points_interval(estimate)
    return bound(estimate), interval(estimate)


def estimate_table(finding: Finding) -> Table:
    """Every overall estimate."""
    rows = []
    for key, estimate in finding.estimates.items():
        value, limits = _value(key, estimate)
        label = _ESTIMATES.get(key, sentence_case(visible(key).replace("_", " ")))
        rows.append(
            Row(
                (
                    Cell(label),
                    Cell(value),
                    Cell(limits),
                    Cell(visible(estimate.method), (units(estimate),)),
                )
            )
        )
    return Table(
        "All estimates",
        (
            Column("Quantity"),
            Column("Value", is_number=True),
            Column("95 % interval", is_number=True),
            Column("Method"),
        ),
        tuple(rows),
    )


def test_table(finding: Finding) -> Table:
    """Every test."""
    rows = []
    for test in finding.tests:
        floor = () if test.p_min is None else (f"cannot go below {p_floor(test.p_min)}",)
        size = (f"null of {count(test.null_n)}, by {visible(test.unit)}",) if test.null_n else ()
        rows.append(
            Row(
                (
                    Cell(sentence_case(visible(test.name))),
                    Cell(decimal(test.statistic, 3)),
                    Cell(p_number(test.p), floor),
                    Cell(NO_VALUE if test.p_adjusted is None else p_number(test.p_adjusted)),
                    Cell(sentence_case(visible(test.null)), size),
                )
            )
        )
    return Table(
        "All tests",
        (
            Column("Test"),
            Column("Statistic", is_number=True),
            Column("p", is_number=True),
            Column("Adjusted p", is_number=True),
            Column("If nothing is there"),
        ),
        tuple(rows),
    )


def settings_table(finding: Finding) -> Table:
    """What the audit was told."""
    return _pairs(
        "Settings",
        (
            (_SETTINGS.get(key, sentence_case(visible(key).replace("_", " "))), _written(value))
            for key, value in finding.settings.items()
        ),
    )


def _written(value: str | int | float | bool | None) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))


def provenance_table(finding: Finding) -> Table:
    """Which weights answered, and by which rules the answers were read."""
    return _pairs("Where it comes from", _provenance(finding))


def _provenance(finding: Finding) -> Iterable[tuple[str, str]]:
    model = finding.model
    if model is None:
        yield "Model", "none asked: concluded from a table of answers"
    else:
        yield "Model", visible(model.name)
        yield "Family", visible(model.family)
        yield "Weights", visible(model.weights)
        yield "Arithmetic", visible(model.dtype)
        yield "Attention", visible(model.attention)
        yield "Quantisation", visible(model.quantization)
    for kind, number in finding.tokens.items():
        yield f"Tokens, {visible(kind)}", count(number)
    yield "Audit", finding.audit
    yield "Protocol", finding.protocol
    yield "Format of finding.json", str(finding.schema_version)


def _pairs(caption: str, pairs: Iterable[tuple[str, str]]) -> Table:
    return Table(
        caption,
        (Column("What"), Column("Value")),
        tuple(Row((Cell(key), Cell(value, is_name=True))) for key, value in pairs),
    )


def methods(estimates: Sequence[Estimate]) -> str:
    """How the intervals were computed."""
    known = list(dict.fromkeys(visible(one.method) for one in estimates))
    return f"Intervals: 95 %, {'; '.join(known)}." if known else ""
