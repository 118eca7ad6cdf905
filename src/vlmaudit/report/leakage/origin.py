"""The tables at the end of the page: every estimate and test, settings and origin."""

from collections.abc import Iterable
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.report.leakage.numbers import points, points_interval, units
from vlmaudit.report.leakage.wording import IMPLICIT, LIFT, PARTIAL, RATE, REFUSED, SPEARMAN, WRONG
from vlmaudit.report.parts import Cell, Column, Row, Table
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    decimal,
    interval,
    p_floor,
    p_number,
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
    PARTIAL: "The same, less what sex, origin and further columns of people.csv explain",
}


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
