"""What comes out of identity inference when pictures are shown under conditions."""

from collections.abc import Sequence
from typing import Final

from vlmaudit.audits.identity_inference.finding import ShownRow
from vlmaudit.report.parts import Cell, Column, Row, Table
from vlmaudit.results.numbers import (
    MINUS,
    NO_VALUE,
    count,
    counted,
    decimal,
    interval,
    p_value,
    percent,
    visible,
)
from vlmaudit.results.records import Estimate

SHOWN_METHOD: Final = (
    "Every condition is compared with the same pictures of the same people as they are; control "
    "people are shown under it, too. Effect: how much better face and name fit than other faces "
    "and other names, in standard deviations, the mean over people. p: signs of people's "
    "differences flipped, adjusted over conditions for the effect."
)


def shown_table(rows: Sequence[ShownRow]) -> Table:
    """A row a condition: who is detected under it, and how much fits, against as they are."""
    return Table(
        "What comes out, by what is shown",
        (
            Column("Shown as"),
            Column("People", is_number=True),
            Column("Detected", "share of people", True),
            Column("As they are", "the same pictures", True),
            Column("Change", "points", True),
            Column("Effect", "standard deviations", True),
            Column("As they are", "the same pictures", True),
            Column("Change", "standard deviations", True),
        ),
        tuple(
            Row(
                (
                    Cell(visible(row.condition), is_name=True),
                    Cell(count(row.people), (counted(row.pictures, "picture", "pictures"),)),
                    _share(row.detected),
                    _share(row.detected_plain),
                    _points(row.detected_change, row.detected_p),
                    _deviations(row.z),
                    _deviations(row.z_plain),
                    _deviations(row.z_change, row.z_p_adjusted),
                )
            )
            for row in rows
        ),
    )


def _share(estimate: Estimate) -> Cell:
    if estimate.value is None:
        return Cell(NO_VALUE)
    return Cell(percent(estimate.value), (interval(estimate), f"n = {count(estimate.n)}"))


def _points(estimate: Estimate | None, p: float | None) -> Cell:
    if estimate is None or estimate.value is None:
        return Cell(NO_VALUE)
    return _signed(estimate, p, 100.0, 1)


def _deviations(estimate: Estimate | None, p: float | None = None) -> Cell:
    if estimate is None or estimate.value is None:
        return Cell(NO_VALUE)
    return _signed(estimate, p, 1.0, 2)


def _signed(estimate: Estimate, p: float | None, scale: float, digits: int) -> Cell:
    def signed(number: float | None) -> str:
        if number is None:
            return NO_VALUE
        sign = MINUS if number < 0 else "+"
        return f"{sign}{decimal(abs(number) * scale, digits)}"

    small = [f"{signed(estimate.low)} to {signed(estimate.high)}"]
    if p is not None:
        small.append(p_value(p))
    return Cell(signed(estimate.value), tuple(small))
