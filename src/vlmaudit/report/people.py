"""The people of a report: rows, decisions and evidence in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from vlmaudit.audits.identity_inference.finding import Finding, PersonRow
from vlmaudit.report.comparison import why_of_people
from vlmaudit.report.parts import Cell, Column, Mark, PeopleTables, PersonView, Row, Table
from vlmaudit.report.wording import is_planted, votes_needed
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
from vlmaudit.results.vocabulary import Protocol

FOLD_ABOVE: Final = 100
"""People in the table above which those who are of least interest are folded away."""
MAX_PEOPLE: Final = 5000
"""People in the page; the rest stand in units.parquet, so that the page stays small."""

_DECISIONS: Final[Mapping[Protocol, Mapping[Mark, str]]] = {
    "audit": {"yes": "tied", "no": "no tie shown", "unknown": "no decision"},
    "paper": {"yes": "flagged", "no": "not flagged", "unknown": "no decision"},
}
_MEMBERSHIP: Final = {"member": "member", "non_member": "non-member", "": "unknown"}


def person_views(
    finding: Finding, pictures: Mapping[str, str] = MappingProxyType({})
) -> tuple[PersonView, ...]:
    """The people, strongest evidence first: by p, then z, then templates that agree."""
    reasons = why_of_people(finding)

    def strength(person: PersonRow) -> tuple[float, float, int, str]:
        return (
            2.0 if person.p is None else person.p,
            float("inf") if person.z is None else -person.z,
            0 if person.score is None else -person.score,
            person.identity,
        )

    return tuple(
        replace(
            _person(row, finding),
            difference=reasons.get(row.identity, ""),
            picture=pictures.get(row.identity, ""),
        )
        for row in sorted(finding.people, key=strength)
    )


def _mark(detected: bool | None) -> Mark:
    if detected is None:
        return "unknown"
    return "yes" if detected else "no"


def _person(row: PersonRow, finding: Finding) -> PersonView:
    mark = _mark(row.detected)
    return PersonView(
        identity=visible(row.identity),
        name=visible(row.name),
        group=visible(row.arm),
        membership=_MEMBERSHIP.get(row.membership, visible(row.membership)),
        mark=mark,
        decision=_DECISIONS[finding.protocol][mark],
        sentence=_person_sentence(row, finding),
        evidence=_person_evidence(row),
        row=row,
    )


def _person_sentence(row: PersonRow, finding: Finding) -> str:
    if row.detected is None:
        return f"no decision{f': {visible(row.note)}' if row.note else '.'}"
    if finding.protocol == "paper":
        agree = counted(row.score or 0, "template agrees", "templates agree")
        verdict = "flagged" if row.detected else "not flagged"
        return f"{verdict}: {agree} on the true name; {votes_needed(finding)}."
    numbers = [] if row.p is None else [p_value(row.p)]
    if row.p_adjusted is not None and len(finding.people) > 1:
        numbers.append(f"adjusted for everyone looked at, {p_value(row.p_adjusted)}")
    bracket = f" ({'; '.join(numbers)})" if numbers else ""
    if row.detected:
        return f"this model ties this face to this name{bracket}."
    return f"no tie between this face and this name is shown{bracket}."


def _as_well(p: float | None, n: int | None) -> int | None:
    """How many of n fitted as well, read back from p = (1 + as well) / (1 + n)."""
    return None if p is None or n is None else round(p * (n + 1)) - 1


def _person_evidence(row: PersonRow) -> str:
    names, faces = _as_well(row.p_names, row.n_names), _as_well(row.p_faces, row.n_faces)
    if names is None or faces is None or row.p is None:
        return ""
    often = f"at most {percent(row.p)} of the time"
    return (
        f"Of {counted(row.n_names or 0, 'comparable name', 'comparable names')},"
        f" {count(names)} fitted these pictures as well; of"
        f" {counted(row.n_faces or 0, 'comparable person', 'comparable people')},"
        f" {count(faces)} fitted this name as well. In a model that ties nothing, this happens"
        f" {often}."
    )


def people_tables(finding: Finding, views: Sequence[PersonView]) -> PeopleTables:
    """The table of people, with a folded part where it is long."""
    caption = "People, strongest evidence first"
    kept = list(views)
    left_out = ""
    if len(kept) > MAX_PEOPLE:
        # A stable sort by decision keeps everyone who was detected or could not be decided.
        kept = sorted(kept, key=lambda person: person.mark == "no")[:MAX_PEOPLE]
        left_out = (
            f"The page shows {count(MAX_PEOPLE)} of {count(len(views))} people, all with a tie or"
            " without a decision first; everyone stands in units.parquet."
        )
    folded = [person for person in kept if _folds(person)] if len(kept) > FOLD_ABOVE else []
    open_rows = [person for person in kept if not (folded and _folds(person))]
    fields = _known_fields(kept, finding.protocol)
    summary = ""
    if folded:
        who = (
            "people never planted, or planted apart" if is_planted(finding) else "known non-members"
        )
        state = "no tie is shown" if finding.protocol == "audit" else "no flag was raised"
        summary = f"{count(len(folded))} more: {who}, for whom {state}"
    return PeopleTables(
        shown=_people_table(caption, fields, open_rows),
        folded=_people_table(f"{caption}: {summary}", fields, folded) if folded else None,
        folded_summary=summary,
        left_out=left_out,
        decisions=tuple(
            (mark, words)
            for mark, words in _DECISIONS[finding.protocol].items()
            if any(person.mark == mark for person in kept)
        ),
    )


def _folds(person: PersonView) -> bool:
    """Those of least interest: nothing was planted to be found, and nothing was found."""
    is_negative = person.row.membership == "non_member" or (
        person.row.arm != "" and person.row.membership != "member"
    )
    return is_negative and person.mark == "no"


def _identity(person: PersonView) -> Cell:
    # Under a pseudonym, and where folders are the names, both are one.
    below = (person.identity,) if person.identity != person.name else ()
    return Cell(person.name, below, is_name=True, picture=person.picture)


def _decision(person: PersonView) -> Cell:
    notes = (visible(person.row.note),) if person.row.note else ()
    return Cell(person.decision, notes, mark=person.mark)


def _by(protocol: Protocol) -> Callable[[PersonView], Cell]:
    def cell(person: PersonView) -> Cell:
        decided = {"paper": person.row.by_paper, "audit": person.row.by_audit}[protocol]
        reason = (person.difference,) if person.difference else ()
        return Cell(_DECISIONS[protocol][_mark(decided)], reason)

    return cell


def _group(person: PersonView) -> Cell:
    if person.group:
        known = (person.membership,) if person.row.membership else ()
        return Cell(person.group, known, is_name=True)
    return Cell(person.membership)


def _pictures(person: PersonView) -> Cell:
    failed = person.row.failed
    return Cell(count(person.row.pictures), (f"{count(failed)} failed",) if failed else ())


def _names_as_well(person: PersonView) -> Cell:
    return _of(_as_well(person.row.p_names, person.row.n_names), person.row.n_names)


def _faces_as_well(person: PersonView) -> Cell:
    return _of(_as_well(person.row.p_faces, person.row.n_faces), person.row.n_faces)


def _of(number: int | None, n: int | None) -> Cell:
    return Cell(NO_VALUE if number is None or n is None else f"{count(number)} of {count(n)}")


def _number(field: str) -> Callable[[PersonView], Cell]:
    def cell(person: PersonView) -> Cell:
        value: int | float | None = getattr(person.row, field)
        if value is None:
            return Cell(NO_VALUE)
        return Cell(count(value) if isinstance(value, int) else decimal(value))

    return cell


def _probability(field: str) -> Callable[[PersonView], Cell]:
    def cell(person: PersonView) -> Cell:
        value: float | None = getattr(person.row, field)
        return Cell(NO_VALUE if value is None else p_number(value))

    return cell


_Fields = tuple[tuple[str, Column, Callable[[PersonView], Cell]], ...]
_FIELDS: Final[_Fields] = (
    ("identity", Column("Person"), _identity),
    ("detected", Column("Decision"), _decision),
    ("by_paper", Column("By the paper"), _by("paper")),
    ("by_audit", Column("By the audit"), _by("audit")),
    ("arm", Column("Membership"), _group),
    ("occurrences", Column("Captions", "naming the person", True), _number("occurrences")),
    ("pictures", Column("Pictures", "", True), _pictures),
    ("score", Column("Votes", "templates (S)", True), _number("score")),
    ("paper_score", Column("Paper's votes", "S in its pool", True), _number("paper_score")),
    ("z", Column("Strength", "z, in SDs", True), _number("z")),
    ("p", Column("p", "of both tests", True), _probability("p")),
    ("p_adjusted", Column("Adjusted p", "for everyone", True), _probability("p_adjusted")),
    ("p_names", Column("Names", "that fit as well", True), _names_as_well),
    ("p_faces", Column("People", "who fit as well", True), _faces_as_well),
    ("conformal_p", Column("Conformal p", "among non-members", True), _probability("conformal_p")),
)
_ALWAYS: Final = frozenset(("identity", "detected", "arm", "pictures", "score"))


def _known_fields(people: Sequence[PersonView], protocol: Protocol) -> _Fields:
    """The columns for which somebody has a value; the finding's own decision is one already."""
    planted = any(person.group for person in people)
    return tuple(
        (field[0], Column("Group"), field[2]) if planted and field[0] == "arm" else field
        for field in _FIELDS
        if field[0] != f"by_{protocol}"
        if field[0] in _ALWAYS
        or any(getattr(person.row, field[0]) is not None for person in people)
    )


def _people_table(caption: str, fields: _Fields, people: Sequence[PersonView]) -> Table:
    return Table(
        caption,
        tuple(column for _, column, _ in fields),
        tuple(Row(tuple(cell(person) for _, _, cell in fields), person.mark) for person in people),
    )
