"""What the model recognises people by: rates under conditions, against pictures as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vlmaudit.audits.condition_rows import FactorialRow
from vlmaudit.audits.name_leakage.finding import ContrastRow, Finding
from vlmaudit.data.prompts import CATEGORIES
from vlmaudit.report.conditions import condition_table, hiding_sentences
from vlmaudit.report.leakage.numbers import points, points_interval, units
from vlmaudit.report.leakage.tables import share_cell
from vlmaudit.report.parts import Cell, Column, Row, Table
from vlmaudit.results.numbers import NO_VALUE, count, counted, p_value, percent, visible
from vlmaudit.results.records import Estimate

ALL: Final = "all"
ORIGINAL: Final = "original"
_WORTH_A_RATIO: Final = 0.02
"""A relative change of a smaller rate says more of chance than of the condition."""


@dataclass(frozen=True, slots=True)
class ConditionsView:
    """Everything about conditions, in its order.

    Attributes:
        rates: The paper's Tables 2 to 5 in one: a condition a row, a prompt category a column.
        method: How rates are compared.
        effects: What face and context do, in words.
        factorial: The same as a table.
        shown: What was done to pictures.
        sentences: What to know before believing a rate.
        strata: Pictures in which something was not found, with their rates.
    """

    rates: Table
    method: str
    effects: tuple[str, ...]
    factorial: Table | None
    shown: Table
    sentences: tuple[str, ...]
    strata: Table | None


def conditions_view(finding: Finding) -> ConditionsView | None:
    """What a finding says of its conditions; None where it has none."""
    contrasts = [row for row in finding.contrasts if row.kind == "condition"]
    if not contrasts:
        return None
    return ConditionsView(
        rates=rates_table(contrasts),
        method=_method(contrasts),
        effects=tuple(_effect(row) for row in finding.factorial if row.group == _widest(finding)),
        factorial=_factorial_table(finding.factorial) if finding.factorial else None,
        shown=condition_table(finding.conditions),
        sentences=hiding_sentences(finding.conditions, finding.protocol),
        strata=_strata_table(finding) if finding.strata else None,
    )


def rates_table(contrasts: Sequence[ContrastRow]) -> Table:
    """Rates by condition and prompt category, with the change against the same pictures."""
    cells: dict[str, dict[str, ContrastRow]] = {}
    for row in contrasts:
        condition, _, group = row.first.rpartition(": ")
        cells.setdefault(condition, {})[group] = row
    groups = sorted({group for found in cells.values() for group in found}, key=_all_first)
    rows = []
    for condition, found in cells.items():
        rows.append(
            Row(
                (
                    Cell(visible(condition), is_name=True),
                    *(_rate_cell(found.get(group)) for group in groups),
                )
            )
        )
    return Table(
        "How often the name is said, by what is shown and what is asked",
        (
            Column("Shown as"),
            *(Column(group, CATEGORIES.get(group, "all prompts"), True) for group in groups),
        ),
        tuple(rows),
    )


def _all_first(group: str) -> tuple[bool, str]:
    return group != ALL, group


def _rate_cell(row: ContrastRow | None) -> Cell:
    if row is None or row.first_rate is None or row.second_rate is None:
        return Cell(NO_VALUE)
    difference = row.difference
    value = difference.value or 0.0
    small = [f"{points(value)} points", f"({points_interval(difference)})"]
    ratio = row.second_rate >= _WORTH_A_RATIO
    change = f", {points(value / row.second_rate)} %" if ratio else ""
    small.append(f"from {percent(row.second_rate)}{change}")
    p = row.p if row.p_adjusted is None else row.p_adjusted
    small.append("alike" if row.is_equivalent else p_value(p))
    return Cell(percent(row.first_rate), tuple(small))


def condition_totals(finding: Finding) -> list[ContrastRow]:
    """Every condition's contrast over all that was asked under it."""
    rows = [row for row in finding.contrasts if row.kind == "condition"]
    groups = {row.first.rpartition(": ")[2] for row in rows}
    wanted = ALL if ALL in groups else min(groups, default=ALL)
    return [row for row in rows if row.first.rpartition(": ")[2] == wanted]


def _method(contrasts: Sequence[ContrastRow]) -> str:
    prompts = sorted({prompt for row in contrasts for prompt in row.prompts})
    asked = ", ".join(prompts) if len(prompts) <= 6 else f"{count(len(prompts))} prompts"
    return (
        "Every condition is compared with the same people, pictures and prompts as they are"
        f" ({asked}); the paper compares one prompt with the mean of six. Means over people; points"
        " are percentage points, per cent the same in shares of the rate that it comes from. p:"
        " adjusted for all of these comparisons. Alike: a difference of 10 points or more is ruled"
        " out on both sides."
    )


def _widest(finding: Finding) -> str:
    groups = [row.group for row in finding.factorial]
    return ALL if ALL in groups else next(iter(groups), "")


def _effect(row: FactorialRow) -> str:
    return (
        f"With {visible(row.face)} faces and {visible(row.context)} backgrounds, over"
        f" {counted(row.people, 'person', 'people')}: taking the face away costs"
        f" {_cost(row.face_effect)}, {p_value(row.face_p)}; taking the background away costs"
        f" {_cost(row.context_effect)}, {p_value(row.context_p)}. Before its own background, hiding"
        f" the face costs {_cost(row.interaction)} more than before the other"
        f" ({p_value(row.interaction_p)})."
    )


def _cost(estimate: Estimate) -> str:
    limits = points_interval(estimate).replace("+", "")
    return f"{points(estimate.value or 0.0).lstrip('+')} points ({limits})"


def _factorial_table(rows: Sequence[FactorialRow]) -> Table:
    return Table(
        "Face and background, each there or taken away",
        (
            Column("Asked"),
            Column("As it is", "both there", True),
            Column("Without face", is_number=True),
            Column("Without background", is_number=True),
            Column("Without both", is_number=True),
            Column("The face", "points lost without it", True),
            Column("The background", "points lost without it", True),
        ),
        tuple(
            Row(
                (
                    Cell(
                        CATEGORIES.get(row.group, "all prompts"),
                        (visible(row.face), visible(row.context), visible(row.both)),
                    ),
                    *(
                        Cell(percent(row.rates[shown]))
                        for shown in (ORIGINAL, row.face, row.context, row.both)
                    ),
                    _effect_cell(row.face_effect, row.face_p),
                    _effect_cell(row.context_effect, row.context_p),
                )
            )
            for row in rows
        ),
    )


def _effect_cell(estimate: Estimate, p: float) -> Cell:
    below = (points_interval(estimate), units(estimate), p_value(p))
    return Cell(points(estimate.value or 0.0), below)


def _strata_table(finding: Finding) -> Table:
    return Table(
        "Pictures in which something was not found, for themselves",
        (
            Column("Shown as"),
            Column("Pictures"),
            Column("Number", is_number=True),
            Column("Name said", "mean over people", True),
        ),
        tuple(
            Row(
                (
                    Cell(visible(row.condition), is_name=True),
                    Cell("hidden" if row.is_hidden else "not hidden: shown as they were"),
                    Cell(count(row.pictures), (counted(row.people, "person", "people"),)),
                    share_cell(row.rate),
                )
            )
            for row in finding.strata
        ),
    )
