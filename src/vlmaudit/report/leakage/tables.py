"""The tables of rates: prompt categories, rephrasings, outcomes, nulls and contrasts."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding, GroupRow, Outcome, RateRow
from vlmaudit.report.leakage.numbers import adjusted, maybe_percent, points, points_interval, units
from vlmaudit.report.leakage.outcomes import OUTCOMES
from vlmaudit.report.leakage.wording import conditions, group_words, prompt_words
from vlmaudit.report.parts import Cell, Column, Row, Table
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    decimal,
    interval,
    p_value,
    percent,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate

_NULLS: Final = {
    "no-image": ("No picture", "the person's own name, said without a picture"),
    "grey": ("A grey picture", "the person's own name, said of a grey picture"),
    "drawn": ("Drawn faces", "any name of the study, said of a drawn face"),
}
_KINDS: Final = {"prompt": "Prompts", "model": "Models"}


def share_cell(estimate: Estimate | None) -> Cell:
    """A share with its interval and n."""
    if estimate is None or estimate.value is None:
        return Cell(NO_VALUE)
    return Cell(bound(estimate), (interval(estimate), units(estimate)))


def lift_cell(estimate: Estimate | None) -> Cell:
    """A difference of shares with its interval and n."""
    if estimate is None or estimate.value is None:
        return Cell(NO_VALUE)
    return Cell(points(estimate.value), (points_interval(estimate), units(estimate)))


def group_null(finding: Finding, group: GroupRow) -> float | None:
    """How often others are so named: the mean of the rephrasings' nulls, None where one lacks."""
    nulls = [
        row.null
        for row in finding.rates
        if row.condition == group.condition and row.prompt.partition("/")[0] == group.group
    ]
    known = [null for null in nulls if null is not None]
    return sum(known) / len(known) if known and len(known) == len(nulls) else None


def group_table(finding: Finding) -> Table:
    """The paper's Table 1: a prompt category a row, with its spread under its true name."""
    rows = []
    for condition in conditions(finding):
        for group in (one for one in finding.groups if one.condition == condition):
            p, below = adjusted(group.p, group.p_adjusted)
            rows.append(
                Row(
                    (
                        Cell(group_words(group.group), (visible(condition),)),
                        share_cell(group.rate),
                        Cell(maybe_percent(group_null(finding, group))),
                        lift_cell(group.lift),
                        Cell(p, below),
                        Cell(
                            percent(group.mean),
                            (
                                f"SD {_in_percent(group.sd, 100)}",
                                f"variance {_in_percent(group.variance, 10_000)}",
                            ),
                        ),
                    )
                )
            )
    return Table(
        "Leak rates by prompt category (the paper's Table 1)",
        (
            Column("Prompt category"),
            Column("Leak rate", "mean over people", True),
            Column("Of others", "same names, other pictures", True),
            Column("Lift", "points above others", True),
            Column("p", "people swapped", True),
            Column("Mean of rephrasings", "the paper's ± is the variance", True),
        ),
        tuple(rows),
    )


def _in_percent(value: float | None, times: int) -> str:
    """A spread of rates as the paper writes it: three decimals, of rates in percent."""
    return NO_VALUE if value is None else decimal(times * value, 3)


def behaviour_table(finding: Finding) -> Table:
    """Refusals, wrong names and what is left when refusals are set aside."""
    rows = [
        Row(
            (
                Cell(group_words(group.group), (visible(condition),)),
                share_cell(group.refused),
                share_cell(group.wrong),
                share_cell(group.given_answered),
            )
        )
        for condition in conditions(finding)
        for group in finding.groups
        if group.condition == condition
    ]
    return Table(
        "Refusals and wrong names by prompt category",
        (
            Column("Prompt category"),
            Column("Refused", "share of answers", True),
            Column("Somebody else's name", "share of answers", True),
            Column("Leak rate of the rest", "refusals left out", True),
        ),
        tuple(rows),
    )


def rephrasing_tables(finding: Finding) -> tuple[tuple[str, Table], ...]:
    """The paper's appendix Table 2, a condition at a time: rephrasings by categories."""
    return tuple(
        (visible(condition), _rephrasings(condition, finding.rates))
        for condition in conditions(finding)
        if any(row.condition == condition for row in finding.rates)
    )


def _rephrasings(condition: str, rates: Sequence[RateRow]) -> Table:
    found = {row.prompt: row for row in rates if row.condition == condition}
    groups = sorted({prompt.partition("/")[0] for prompt in found})
    places = sorted({prompt.partition("/")[2] for prompt in found})
    lines = []
    for place in places:
        cells = [_rate_cell(found.get(f"{group}/{place}" if place else group)) for group in groups]
        lines.append(Row((Cell(visible(place) or "only"), *cells)))
    return Table(
        f"Leak rates of every rephrasing, {visible(condition)} (the paper's appendix Table 2)",
        (
            Column("Rephrasing"),
            *(
                Column(visible(group), group_words(group).partition(": ")[2], True)
                for group in groups
            ),
        ),
        tuple(lines),
    )


def _rate_cell(row: RateRow | None) -> Cell:
    if row is None:
        return Cell(NO_VALUE)
    small = [
        f"{count(row.leaks)} of {count(row.n)} answers",
        f"{percent(row.low)} to {percent(row.high)}, n = {count(row.people)}",
    ]
    if row.null is not None:
        small.append(f"of others {percent(row.null)}")
    if row.lift is not None:
        p = "" if row.p is None else f", {p_value(row.p)}"
        small.append(f"lift {points(row.lift)}{p}")
    return Cell(percent(row.rate), tuple(small))


def prompts_table(finding: Finding) -> Table:
    """What was asked, word for word."""
    prompts = sorted({row.prompt for row in finding.rates})
    return Table(
        "Prompts",
        (Column("Prompt"), Column("Words")),
        tuple(Row((Cell(visible(one)), Cell(prompt_words(one) or NO_VALUE))) for one in prompts),
    )


def outcome_counts(finding: Finding, condition: str, group: str) -> Counter[Outcome]:
    """Answers by outcome under a condition, over a category's rephrasings."""
    counts: Counter[Outcome] = Counter()
    for row in finding.rates:
        if row.condition == condition and row.prompt.partition("/")[0] == group:
            counts.update(row.outcomes)
    return counts


def groups_of(finding: Finding, condition: str) -> tuple[str, ...]:
    """The prompt categories that were asked under a condition."""
    return tuple(
        sorted(
            {row.prompt.partition("/")[0] for row in finding.rates if row.condition == condition}
        )
    )


def outcome_table(finding: Finding) -> Table:
    """Answers by outcome, prompt category and condition: what the chart of outcomes draws."""
    rows = []
    for condition in conditions(finding):
        for group in groups_of(finding, condition):
            counts = outcome_counts(finding, condition, group)
            total = counts.total()
            cells = [
                Cell(count(counts[key]), (percent(counts[key] / total),) if total else ())
                for key in OUTCOMES
            ]
            rows.append(
                Row((Cell(group_words(group), (visible(condition),)), Cell(count(total)), *cells))
            )
    return Table(
        "Answers by outcome",
        (
            Column("Prompt category"),
            Column("Questions", is_number=True),
            *(Column(sentence_case(look.words), is_number=True) for look in OUTCOMES.values()),
        ),
        tuple(rows),
    )


def null_table(finding: Finding) -> Table:
    """What is said where there is nobody to recognise."""
    rows = []
    for null in finding.nulls:
        label, what = _NULLS[null.kind]
        rows.append(
            Row(
                (
                    Cell(label, (what,)),
                    Cell(count(null.answers)),
                    share_cell(null.rate),
                    lift_cell(null.difference),
                )
            )
        )
    return Table(
        "Names said where nobody is to be seen",
        (
            Column("Shown"),
            Column("Answers", is_number=True),
            Column("Names said", "share of answers", True),
            Column("Pictures minus this", "points", True),
        ),
        tuple(rows),
    )


def contrast_table(finding: Finding) -> Table:
    """Two ways to ask, or two models, compared person by person."""
    rows = []
    for one in finding.contrasts:
        if one.kind == "condition":  # these have a section of their own
            continue
        p, below = adjusted(one.p, one.p_adjusted)
        first, second = (_side(one.kind, side) for side in (one.first, one.second))
        rows.append(
            Row(
                (
                    Cell(_KINDS[one.kind]),
                    Cell(first, is_name=True),
                    Cell(second, is_name=True),
                    lift_cell(one.difference),
                    Cell(p, below),
                    Cell("yes" if one.is_equivalent else "not shown"),
                )
            )
        )
    return Table(
        "Differences, person by person",
        (
            Column("Compared"),
            Column("First"),
            Column("Second"),
            Column("First minus second", "points", True),
            Column("p", "signs flipped over people", True),
            Column("Alike", "less than 10 points apart"),
        ),
        tuple(rows),
    )


def _side(kind: str, side: str) -> str:
    return group_words(side) if kind == "prompt" else visible(side)
