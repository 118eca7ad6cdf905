"""The pieces a report is made of, before any page is laid out."""

from dataclasses import dataclass
from typing import Literal

from vlmaudit.audits.identity_inference.finding import CurvePoint, PersonRow
from vlmaudit.results.records import Estimate
from vlmaudit.results.vocabulary import Verdict

Mark = Literal["yes", "no", "unknown"]
Quantity = Literal["TPR", "FNR", "FPR", "TNR", "accuracy"]


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer in plain words, with what bounds its error."""

    verdict: Verdict
    word: str
    title: str
    sentence: str
    bounds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the first screen: large, named, and with its n and interval."""

    label: str
    value: str
    detail: str
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class GateView:
    """One condition, and whether it held."""

    name: str
    mark: Mark
    state: str
    label: str
    sentence: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """A share of one group, in numbers for the chart and in words for the table."""

    label: str
    kind: str
    is_member: bool | None
    counts_as: str
    detected: Estimate
    by_votes: Estimate


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One rate by the number of attack pictures."""

    quantity: Quantity
    label: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class PersonView:
    """What came out for one person, as it is written."""

    identity: str
    name: str
    group: str
    membership: str
    mark: Mark
    decision: str
    sentence: str
    evidence: str
    row: PersonRow


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; `hint` says in small print what the numbers are."""

    heading: str
    hint: str = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry; `small` stands under it, `mark` adds a shape, a name is kept apart."""

    text: str
    small: tuple[str, ...] = ()
    mark: Mark | None = None
    is_name: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; `mark` tints it, beside the shape in its decision."""

    cells: tuple[Cell, ...]
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table that page and terminal can lay out without knowing what is in it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class PeopleTables:
    """The people: those of interest, and those folded away, and a word on what is left out."""

    shown: Table
    folded: Table | None
    folded_summary: str
    left_out: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """One chart: for the page at two widths, and as a file of its own."""

    wide: str
    narrow: str
    file: str
