"""What the voting rule makes of few and of many pictures, for people of few and many captions."""

from collections.abc import Sequence

from vlmaudit.audits.identity_inference.finding import Confusion, Finding, OccurrenceRow
from vlmaudit.report.parts import (
    BinView,
    Cell,
    Column,
    MatrixCell,
    MatrixView,
    OccurrenceView,
    Row,
    Table,
)
from vlmaudit.report.tables import methods
from vlmaudit.report.wording import is_planted, votes_needed
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    counted,
    hits,
    interval,
    people_of,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate


def shown_size(finding: Finding) -> int | None:
    """The attack size that stands for many pictures; None where nobody was drawn."""
    sizes = [one.pictures for one in finding.confusions if one.pictures is not None]
    return max(sizes, default=None)


def bin_views(finding: Finding) -> tuple[BinView, ...]:
    """The bins of occurrences, in their order."""
    size = shown_size(finding)
    return tuple(_bin_view(row, size, finding) for row in finding.occurrences)


def _bin_view(row: OccurrenceRow, size: int | None, finding: Finding) -> BinView:
    shown = [one.rate for one in row.by_votes if one.pictures == size]
    return BinView(
        label=visible(row.label),
        short=_short(row, planted=is_planted(finding)),
        is_member=row.is_member,
        people=row.people,
        detected=row.detected,
        by_votes=shown[0] if shown else None,
        by_size=tuple(sorted(row.by_votes, key=lambda one: one.pictures)),
    )


def _short(row: OccurrenceRow, *, planted: bool) -> str:
    if row.low is None:
        return "absent"
    if planted:
        return "never" if row.low == 0 else f"{count(row.low)}×"
    if row.high is None:
        return f"{count(row.low)}+"
    return count(row.low) if row.high == row.low else f"{count(row.low)}–{count(row.high)}"


def occurrence_view(finding: Finding) -> OccurrenceView:
    """Everything about rates by occurrences."""
    bins = bin_views(finding)
    planted = is_planted(finding)
    return OccurrenceView(
        title=(
            "How often must somebody be planted?"
            if planted
            else "How often must captions name somebody?"
        ),
        axis=_axis(finding),
        rule=_rule_words(finding),
        votes=_votes_words(finding),
        bins=bins,
        sizes=heat_sizes(bins),
        table=bin_table(finding, bins),
        method=_method(finding),
        heat_table=heat_table(bins),
    )


def _axis(finding: Finding) -> str:
    if is_planted(finding):
        return "How often face and name were planted together"
    return "Captions of the training data that name the person"


def _votes_words(finding: Finding) -> str:
    size = shown_size(finding)
    return "by votes" if size is None else f"by votes, {counted(size, 'picture', 'pictures')} each"


def _rule_words(finding: Finding) -> str:
    return "by the test" if finding.protocol == "audit" else "by votes, all pictures"


def bin_table(finding: Finding, bins: Sequence[BinView]) -> Table:
    """The rates by occurrences: what their chart draws."""
    rows = []
    for one in bins:
        votes = one.by_votes
        rows.append(
            Row(
                (
                    Cell(one.label, is_name=True),
                    Cell(count(one.people)),
                    Cell(bound(one.detected), (hits(one.detected),)),
                    Cell(NO_VALUE if one.detected.value is None else interval(one.detected)),
                    Cell(NO_VALUE) if votes is None else Cell(bound(votes), _beside(votes)),
                    Cell("TPR" if one.is_member else "FPR"),
                )
            )
        )
    return Table(
        "Share of people detected, by occurrences",
        (
            Column(sentence_case(_axis(finding))),
            Column("People", is_number=True),
            Column(f"Detected {_rule_words(finding)}", is_number=True),
            Column("95 % interval", is_number=True),
            Column(f"Flagged {_votes_words(finding)}", is_number=True),
            Column("Counts as"),
        ),
        tuple(rows),
    )


def _beside(estimate: Estimate) -> tuple[str, ...]:
    return (interval(estimate), f"n = {count(estimate.n)}")


def _method(finding: Finding) -> str:
    rates = [row.detected for row in finding.occurrences]
    rule = sentence_case(_votes_words(finding))
    return f"{methods(rates)} {rule}: {votes_needed(finding)}; the mean over draws of pictures."


def heat_sizes(bins: Sequence[BinView]) -> tuple[int, ...]:
    """The attack sizes that somebody has pictures for."""
    return tuple(sorted({at.pictures for one in bins for at in one.by_size}))


def heat_table(bins: Sequence[BinView]) -> Table:
    """The rates by pictures and occurrences: what the heat map draws."""
    sizes = heat_sizes(bins)
    rows = []
    for one in bins:
        at = {rate.pictures: rate.rate for rate in one.by_size}
        cells = [
            Cell(bound(at[size]), _beside(at[size])) if size in at else Cell(NO_VALUE)
            for size in sizes
        ]
        rows.append(Row((Cell(one.label, is_name=True), *cells)))
    return Table(
        "Share of people flagged by votes, by occurrences and number of pictures",
        (
            Column("Group"),
            *(Column(counted(size, "picture", "pictures"), is_number=True) for size in sizes),
        ),
        tuple(rows),
    )


def matrix_views(finding: Finding) -> tuple[MatrixView, ...]:
    """The confusion matrices, in their order."""
    planted = is_planted(finding)
    return tuple(_matrix_view(one, planted=planted) for one in finding.confusions)


def _matrix_view(confusion: Confusion, *, planted: bool) -> MatrixView:
    if confusion.rule == "test":
        label = "By the test, all pictures"
    else:
        label = f"By votes, {counted(confusion.pictures or 0, 'picture', 'pictures')} each"
    members = "planted people" if planted else "known members"
    others = "never planted" if planted else "non-members"
    return MatrixView(
        label,
        tuple(
            MatrixCell(
                who=members if cell.is_member else others,
                decision="flagged" if cell.is_flagged else "not flagged",
                is_right=cell.is_member == cell.is_flagged,
                people=people_of(cell.people, cell.rate.n),
                rate=cell.rate,
            )
            for cell in sorted(
                confusion.cells, key=lambda cell: (not cell.is_member, not cell.is_flagged)
            )
        ),
    )


def matrix_table(matrices: Sequence[MatrixView]) -> Table:
    """Who was flagged rightly and wrongly: what the matrices draw."""
    rows = []
    for one in matrices:
        for flagged, cleared in zip(one.cells[::2], one.cells[1::2], strict=True):
            cells = (
                Cell(cell.people, (bound(cell.rate), interval(cell.rate)))
                if cell.rate.value is not None
                else Cell(NO_VALUE, (bound(cell.rate),))
                for cell in (flagged, cleared)
            )
            rows.append(Row((Cell(one.label), Cell(sentence_case(flagged.who)), *cells)))
    return Table(
        "People flagged rightly and wrongly",
        (
            Column("Decided"),
            Column("Who"),
            Column("Flagged", is_number=True),
            Column("Not flagged", is_number=True),
        ),
        tuple(rows),
    )
