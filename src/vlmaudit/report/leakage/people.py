"""The people of a name-leakage report: who is named how often, and by which tests."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding, PersonRow
from vlmaudit.report.leakage.numbers import maybe_count, maybe_percent
from vlmaudit.report.parts import Cell, Column, Mark, PeopleTables, Row, Table
from vlmaudit.results.numbers import (
    NO_VALUE,
    count,
    counted,
    decimal,
    p_number,
    p_value,
    percent,
    visible,
)

MOST: Final = 1000
"""People in the page; the rest stand in units.parquet, so that answers have room in it."""
_FOLD_ABOVE: Final = 100
"""People in the table above which those whose name does not leak are folded away."""
_BINS: Final = 10
_DECISIONS: Final[Mapping[Mark, str]] = {
    "yes": "named",
    "no": "not shown",
    "unknown": "no decision",
}


def strongest_first(finding: Finding) -> list[PersonRow]:
    """The people by p, then by how often they are named."""

    def strength(person: PersonRow) -> tuple[float, float, str]:
        return (
            2.0 if person.p is None else person.p,
            -(person.rate or 0.0),
            person.identity,
        )

    return sorted(finding.people, key=strength)


def decision(person: PersonRow) -> tuple[Mark, str]:
    """Whether somebody's name leaks, as a mark and in words."""
    mark: Mark = "unknown" if person.detected is None else "yes" if person.detected else "no"
    return mark, _DECISIONS[mark]


def people_tables(finding: Finding, pictures: Mapping[str, str]) -> PeopleTables:
    """The table of people; where there are many, those not named are folded away."""
    people = strongest_first(finding)
    caption = "People, most clearly named first"
    kept, left_out = people, ""
    if len(people) > MOST:
        kept = sorted(people, key=lambda person: decision(person)[0] == "no")[:MOST]
        left_out = (
            f"The page shows {count(MOST)} of {count(len(people))} people, all who are named or"
            " without a decision first; everyone stands in units.parquet."
        )
    fold = len(kept) > _FOLD_ABOVE
    folded = [person for person in kept if fold and decision(person)[0] == "no"]
    shown = [person for person in kept if not (fold and decision(person)[0] == "no")]
    fields = tuple(field for field in _FIELDS if field[2] is None or any(map(field[2], kept)))
    summary = f"{count(len(folded))} more, whose name is not shown to leak" if folded else ""
    return PeopleTables(
        shown=_table(caption, fields, shown, pictures),
        folded=_table(f"{caption}: {summary}", fields, folded, pictures) if folded else None,
        folded_summary=summary,
        left_out=left_out,
        decisions=tuple(
            (mark, words)
            for mark, words in _DECISIONS.items()
            if any(decision(person)[0] == mark for person in kept)
        ),
    )


_Field = tuple[Column, Callable[[PersonRow], Cell], Callable[[PersonRow], bool] | None]


def _table(
    caption: str,
    fields: Sequence[_Field],
    people: Sequence[PersonRow],
    pictures: Mapping[str, str],
) -> Table:
    return Table(
        caption,
        (Column("Person"), *(column for column, _, _ in fields)),
        tuple(
            Row(
                (_who(person, pictures), *(cell(person) for _, cell, _ in fields)),
                decision(person)[0],
            )
            for person in people
        ),
    )


def _who(person: PersonRow, pictures: Mapping[str, str]) -> Cell:
    name, identity = visible(person.name), visible(person.identity)
    # Under a pseudonym, and where folders are the names, both are one.
    below = (identity,) if identity != name else ()
    return Cell(name, below, is_name=True, picture=pictures.get(person.identity, ""))


def _decision(person: PersonRow) -> Cell:
    mark, words = decision(person)
    return Cell(words, (visible(person.note),) if person.note else (), mark=mark)


def _named(person: PersonRow) -> Cell:
    failed = (f"{count(person.failed)} failed",) if person.failed else ()
    of = f"{count(person.leaks)} of {count(person.answers)} answers"
    pictures = counted(person.pictures, "picture", "pictures")
    return Cell(maybe_percent(person.rate), (of, pictures, *failed))


def _group(group: str) -> Callable[[PersonRow], Cell]:
    return lambda person: Cell(maybe_percent(person.by_group.get(group)))


def _p(field: str, below: str = "") -> Callable[[PersonRow], Cell]:
    def cell(person: PersonRow) -> Cell:
        value: float | None = getattr(person, field)
        more: float | None = getattr(person, below) if below else None
        small = () if more is None else (f"adjusted {p_number(more)}",)
        return Cell(NO_VALUE if value is None else p_number(value), small)

    return cell


def _wrong(person: PersonRow) -> Cell:
    refused = person.outcomes.get("refused", 0)
    small = (f"{count(refused)} refused",) if refused else ()
    return Cell(count(person.outcomes.get("wrong_name", 0)), small)


def _rank(person: PersonRow) -> Cell:
    known = {True: "known by it", False: "not shown by it", None: ""}[person.known_by_likelihood]
    small = [] if person.exposure is None else [f"{decimal(person.exposure)} bits"]
    if person.likelihood_p is not None:
        small.append(p_value(person.likelihood_p))
    return Cell(maybe_count(person.rank), (*small, *filter(None, (known,))))


_FIELDS: Final[tuple[_Field, ...]] = (
    (Column("Decision"), _decision, None),
    (Column("Named", "share of answers", True), _named, None),
    *(
        (
            Column(group, "named", True),
            _group(group),
            lambda person, group=group: group in person.by_group,
        )
        for group in ("P0", "P1", "P2", "P3", "P4")
    ),
    (
        Column("Said of others", "same name", True),
        lambda person: Cell(maybe_percent(person.said_of_others)),
        lambda person: person.said_of_others is not None,
    ),
    (
        Column("p", "of both tests", True),
        _p("p", "p_adjusted"),
        lambda person: person.p is not None,
    ),
    (
        Column("p among all", "pairs of person and name", True),
        _p("p_cell"),
        lambda person: person.p_cell is not None,
    ),
    (Column("Wrong names", "answers", True), _wrong, None),
    (
        Column("Captions", "naming the person", True),
        lambda person: Cell(maybe_count(person.occurrences)),
        lambda person: person.occurrences is not None,
    ),
    (
        Column("Rank", "by likelihood", True),
        _rank,
        lambda person: person.rank is not None,
    ),
    (Column("Group"), lambda person: Cell(visible(person.arm)), lambda person: bool(person.arm)),
)


def figure_4_table(finding: Finding) -> Table:
    """The most leaked people and a sample of the rest: what their chart draws."""
    rows = []
    for shown, words in (("top", "most leaked"), ("sample", "drawn from the rest")):
        people = [person for person in finding.people if person.shown == shown]
        people.sort(key=lambda person: (-(shown_rate(person) or 0.0), person.identity))
        rows += [
            Row(
                (
                    Cell(visible(person.name), is_name=True),
                    Cell(words),
                    Cell(maybe_percent(shown_rate(person))),
                    Cell("" if person.rate is None else percent(person.rate)),
                    Cell(count(person.answers)),
                )
            )
            for person in people
        ]
    return Table(
        "Leak rate a person",
        (
            Column("Person"),
            Column("Why shown"),
            Column("Leak rate", "on the other half of pictures", True),
            Column("On all pictures", is_number=True),
            Column("Answers", is_number=True),
        ),
        tuple(rows),
    )


def shown_rate(person: PersonRow) -> float | None:
    """The leak rate on pictures that did not choose the person; all where there are no such."""
    return person.rate if person.even_rate is None else person.even_rate


def share_bins(finding: Finding) -> tuple[tuple[str, int], ...]:
    """People by leak rate: never named apart from hardly ever, then by tenths.

    A tenth holds its upper end: a person named in 10 % of the answers is in the first.
    """
    rates = [person.rate for person in finding.people if person.rate is not None]
    bins = [("0 %", sum(rate == 0 for rate in rates))]
    for place in range(_BINS):
        low, high = place / _BINS, (place + 1) / _BINS
        number = sum(low < rate <= high for rate in rates)
        bins.append((f"{100 * low:.0f}–{100 * high:.0f} %", number))
    return tuple(bins)


def counted_people(finding: Finding) -> list[PersonRow]:
    """The people of whom both the captions and a leak rate are known."""
    return [
        person
        for person in finding.people
        if person.occurrences is not None and person.rate is not None
    ]


def distribution_table(finding: Finding) -> Table:
    """People by leak rate: what their chart draws."""
    return Table(
        "People by leak rate",
        (Column("Share of answers that name the person"), Column("People", is_number=True)),
        tuple(Row((Cell(label), Cell(count(number)))) for label, number in share_bins(finding)),
    )
