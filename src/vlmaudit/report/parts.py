"""The pieces a report is made of, before any page is laid out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vlmaudit.audits.identity_inference.finding import CurvePoint, PersonRow, SizeRate
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
class BinView:
    """People who were named or planted so often; `short` is the label where there is no room."""

    label: str
    short: str
    is_member: bool
    people: int
    detected: Estimate
    by_votes: Estimate | None
    by_size: tuple[SizeRate, ...]


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """Members or non-members, flagged or not."""

    who: str
    decision: str
    is_right: bool
    people: str
    rate: Estimate


@dataclass(frozen=True, slots=True)
class MatrixView:
    """Who was flagged rightly and wrongly, by one rule: members first, flagged ones first."""

    label: str
    cells: tuple[MatrixCell, ...]


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
    difference: str = ""
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; `hint` says in small print what the numbers are."""

    heading: str
    hint: str = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry; `small` stands under it, `mark` adds a shape, a name is kept apart.

    Attributes:
        names: Names in a list, each kept apart, instead of a text.
        picture: A small picture as a data: address, and nothing else.
    """

    text: str
    small: tuple[str, ...] = ()
    mark: Mark | None = None
    is_name: bool = False
    names: tuple[str, ...] = ()
    picture: str = ""


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
class OccurrenceView:
    """Rates by how often somebody was named or planted.

    Attributes:
        title: What is asked.
        axis: What the bins count.
        rule: By what the finding's own protocol decides.
        votes: The voting rule beside it, with its number of pictures.
        sizes: Attack sizes of the heat map.
    """

    title: str
    axis: str
    rule: str
    votes: str
    bins: tuple[BinView, ...]
    sizes: tuple[int, ...]
    table: Table
    method: str
    heat_table: Table


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """Both protocols on the same answers."""

    sentence: str
    readings: Table
    agreement: Table
    differences: Table | None


@dataclass(frozen=True, slots=True)
class ClaimsView:
    """What a claim about false alarms takes."""

    sentence: str
    table: Table


@dataclass(frozen=True, slots=True)
class PeopleTables:
    """The people: those of interest, and those folded away, and a word on what is left out.

    Attributes:
        decisions: The decisions that occur, as marks and words, to choose among.
    """

    shown: Table
    folded: Table | None
    folded_summary: str
    left_out: str
    decisions: tuple[tuple[Mark, str], ...]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Small pictures of people, as data: addresses by identity, and what is missing."""

    shown: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One chart: for the page at two widths, and as a file of its own; `name` is the file's."""

    name: str
    wide: str
    narrow: str
    file: str
