"""What the model recognises people by: rates under conditions, against pictures as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vlmaudit.audits.condition_rows import ConditionRow, FactorialRow, words_of
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
WORTH_A_RATIO: Final = 0.02
"""A relative change of a smaller rate says more of chance than of the condition."""
_NOTHING_TO_COMPARE: Final = (
    "Nothing was shown as it is, so that no condition can be compared: ask for original as well."
)
_SUBJECTS: Final = {
    "only": "the only one",
    "face": "the one with the face",
    "largest": "the largest",
    "central": "the most central",
}


@dataclass(frozen=True, slots=True)
class ConditionsView:
    """Everything about conditions, in its order.

    Attributes:
        rates: The paper's Tables 2 to 5 in one: a condition a row, a prompt category a column;
            None where nothing was shown as it is to compare with.
        chart_method: What the chart leaves out.
        method: How rates are compared.
        effects: What face and context do, in words.
        factorial: The same as a table.
        shown: What was done to pictures.
        sentences: What to know before believing a rate.
        strata: Pictures in which something was not found, with their rates.
    """

    rates: Table | None
    chart_method: str
    method: str
    effects: tuple[str, ...]
    factorial: Table | None
    shown: Table
    sentences: tuple[str, ...]
    strata: Table | None


def conditions_view(finding: Finding) -> ConditionsView | None:
    """What a finding says of its conditions; None where it has none."""
    contrasts = _contrasts(finding)
    if not contrasts and not finding.conditions:
        return None
    return ConditionsView(
        rates=rates_table(contrasts) if contrasts else None,
        chart_method=_chart_method(finding),
        method=_method(contrasts) if contrasts else _NOTHING_TO_COMPARE,
        effects=tuple(_effect(row) for row in finding.factorial if row.group == _widest(finding)),
        factorial=_factorial_table(finding.factorial) if finding.factorial else None,
        shown=condition_table(finding.conditions),
        sentences=(
            *hiding_sentences(finding.conditions, finding.protocol),
            *_verification_sentences(finding.conditions),
        ),
        strata=_strata_table(finding) if finding.strata else None,
    )


def _contrasts(finding: Finding) -> list[ContrastRow]:
    return [row for row in finding.contrasts if row.kind == "condition"]


def _parts(row: ContrastRow) -> tuple[str, str]:
    """Under which condition, and what was asked."""
    condition, _, group = row.first.rpartition(": ")
    return condition, group


def rates_table(contrasts: Sequence[ContrastRow]) -> Table:
    """Rates by condition and prompt category, with the change against the same pictures."""
    cells: dict[str, dict[str, ContrastRow]] = {}
    for row in contrasts:
        condition, group = _parts(row)
        cells.setdefault(condition, {})[group] = row
    groups = sorted({group for found in cells.values() for group in found}, key=_all_first)
    plain = Row(
        (
            Cell(ORIGINAL, ("as it is",), is_name=True),
            *(_plain_cell([found.get(group) for found in cells.values()]) for group in groups),
        )
    )
    return Table(
        "How often the name is said, by what is shown and what is asked",
        (
            Column("Shown as"),
            *(Column(group, asked_words(group), True) for group in groups),
        ),
        (plain, *(_condition_row(condition, found, groups) for condition, found in cells.items())),
    )


def asked_words(group: str) -> str:
    """What a prompt category asks, without its number."""
    return CATEGORIES.get(group, "all prompts")


def _all_first(group: str) -> tuple[bool, str]:
    return group != ALL, group


def _condition_row(condition: str, found: dict[str, ContrastRow], groups: Sequence[str]) -> Row:
    """A condition with what it rests on; a cell that rests on fewer people says so itself."""
    people = max(row.difference.n for row in found.values())
    pictures = max(row.pictures or 0 for row in found.values())
    small = [words] if (words := visible(words_of(condition))) != visible(condition) else []
    if pictures:
        small.append(counted(pictures, "picture", "pictures"))
    small.append(counted(people, "person", "people"))
    return Row(
        (
            Cell(visible(condition), tuple(small), is_name=True),
            *(_rate_cell(found.get(group), people) for group in groups),
        )
    )


def _plain_cell(rows: Sequence[ContrastRow | None]) -> Cell:
    """The rate of pictures as they are; a range where conditions leave different ones."""
    known = [row.second_rate for row in rows if row is not None and row.second_rate is not None]
    if not known:
        return Cell(NO_VALUE)
    low, high = percent(min(known)), percent(max(known))
    if low == high:
        return Cell(low)
    return Cell(f"{low} to {high}", ("by the pictures compared",))


def _rate_cell(row: ContrastRow | None, people: int) -> Cell:
    if row is None or row.first_rate is None or row.second_rate is None:
        return Cell(NO_VALUE)
    difference = row.difference
    value = difference.value or 0.0
    small = [
        f"{points(value)} points",
        f"({points_interval(difference)})",
        f"from {percent(row.second_rate)}",
    ]
    if row.second_rate >= WORTH_A_RATIO:
        small.append(f"{points(value / row.second_rate)} % of it")
    p = p_value(row.p if row.p_adjusted is None else row.p_adjusted)
    small.append(f"{p}, alike" if row.is_equivalent else p)
    if difference.n != people:
        small.append(units(difference))
    return Cell(percent(row.first_rate), tuple(small))


def condition_totals(finding: Finding) -> list[ContrastRow]:
    """Every condition's contrast over all that was asked under it."""
    rows = _contrasts(finding)
    groups = {_parts(row)[1] for row in rows}
    wanted = ALL if ALL in groups else min(groups, default=ALL)
    return [row for row in rows if _parts(row)[1] == wanted]


def drawn_contrasts(finding: Finding) -> dict[str, list[ContrastRow]]:
    """The contrasts that are worth a drawing, by what was asked.

    A prompt category under which hardly any name comes out of pictures as they are has none to
    lose: its row would be a point on the line. It stands in the table.
    """
    found: dict[str, list[ContrastRow]] = {}
    for row in _contrasts(finding):
        found.setdefault(_parts(row)[1], []).append(row)
    worth = {
        group: found[group]
        for group in sorted(found, key=_all_first)
        if any((row.second_rate or 0.0) >= WORTH_A_RATIO for row in found[group])
    }
    totals = condition_totals(finding)
    return worth or ({_parts(totals[0])[1]: totals} if totals else {})


def contrast_condition(row: ContrastRow) -> str:
    """The condition that is compared with pictures as they are."""
    return _parts(row)[0]


def _chart_method(finding: Finding) -> str:
    asked = {_parts(row)[1] for row in _contrasts(finding)}
    left_out = sorted(asked - drawn_contrasts(finding).keys())
    why = f"the name hardly ever comes out as it is (less than {percent(WORTH_A_RATIO)})"
    return f"Not drawn, since {why}: {', '.join(left_out)}." if left_out else ""


def _method(contrasts: Sequence[ContrastRow]) -> str:
    prompts = sorted({prompt for row in contrasts for prompt in row.prompts})
    asked = ", ".join(prompts) if len(prompts) <= 6 else f"{count(len(prompts))} prompts"
    return (
        "Every condition is compared with the same people, pictures and prompts as they are"
        f" ({asked}); the paper compares one prompt with the mean of six. Means over people; points"
        " are percentage points with their 95 % interval. p: signs of people's differences flipped,"
        " adjusted for all of these comparisons. Alike: a difference of 10 points or more is ruled"
        " out on both sides."
    )


def _verification_sentences(rows: Sequence[ConditionRow]) -> Iterator[str]:
    """Whether a recogniser looked, and who was cut out where a picture shows several people."""
    of_faces = [row for row in rows if row.faces is not None]
    if of_faces and all(row.verified is None for row in of_faces):
        yield (
            "No face recogniser was given: whether a hidden face can still be told apart is not"
            " known."
        )
    for row in rows:
        if row.several:
            chosen = ", ".join(
                f"{_SUBJECTS.get(why, visible(why))} in {count(number)}"
                for why, number in row.subjects.items()
            )
            yield (
                f"Under {visible(row.condition)}, {counted(row.several, 'picture', 'pictures')} had"
                f" several people. Whom the cut keeps: {chosen}."
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
            Column("Interaction", "own background minus other", True),
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
                    _effect_cell(row.interaction, row.interaction_p),
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
