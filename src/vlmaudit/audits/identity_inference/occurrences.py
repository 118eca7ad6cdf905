"""Rates by how often the training data names or shows a person (figures 5, 6 and 8 to 10)."""

from collections.abc import Iterable, Sequence

from vlmaudit.audits.design import Design
from vlmaudit.audits.identity_inference.attack import Attacks
from vlmaudit.audits.identity_inference.finding import OccurrenceRow, PersonRow, SizeRate
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.shares import share


def occurrence_rows(
    people: Sequence[PersonRow],
    attacks: Attacks,
    settings: IdentityInference,
    design: Design | None,
) -> list[OccurrenceRow]:
    """Known non-members first, then members by captions, or by plantings where those are known.

    Empty bins between others are kept, as in a histogram.
    """
    if design is not None:
        return list(_planted(people, attacks, design))
    absent = [row for row in people if row.membership == "non_member"]
    binned = [
        (low, high, members_between(people, low, high)) for low, high in bin_limits(settings.bins)
    ]
    filled = [place for place, (_, _, members) in enumerate(binned) if members]
    if not filled:
        return []
    rows = [_row("known non-members", absent, attacks, is_member=False)] if absent else []
    return rows + [
        _row(
            f"named in {bin_words(low, high)} captions",
            members,
            attacks,
            is_member=True,
            low=low,
            high=high,
        )
        for low, high, members in binned[filled[0] : filled[-1] + 1]
    ]


def unbinned(
    people: Sequence[PersonRow], rows: Sequence[OccurrenceRow], design: Design | None
) -> list[str]:
    """A note on the members who are in no bin, where others are in one."""
    members = [row for row in people if row.membership == "member"]
    unknown = sum(row.occurrences is None for row in members)
    if design is not None or not rows or not unknown:
        return []
    return [
        f"How often captions name {unknown} of {len(members)} members is not known: they stand in "
        "no group of captions."
    ]


def bin_limits(edges: Sequence[int]) -> list[tuple[int, int | None]]:
    """The smallest and the largest number of every bin; the last has no largest."""
    return [
        (low, None if following is None else following - 1)
        for low, following in zip(edges, (*edges[1:], None), strict=True)
    ]


def bin_words(low: int, high: int | None) -> str:
    """A bin in words.

    >>> bin_words(0, 0), bin_words(25, 49), bin_words(300, None)
    ('0', '25 to 49', '300 or more')
    """
    if high is None:
        return f"{low} or more"
    return f"{low}" if high == low else f"{low} to {high}"


def members_between(people: Iterable[PersonRow], low: int, high: int | None) -> list[PersonRow]:
    """The known members whose name stands in so many captions."""
    return [
        row
        for row in people
        if row.membership == "member"
        and row.occurrences is not None
        and row.occurrences >= low
        and (high is None or row.occurrences <= high)
    ]


def _planted(
    people: Sequence[PersonRow], attacks: Attacks, design: Design
) -> Iterable[OccurrenceRow]:
    """Arms in which face and name were planted together so often, or not at all."""
    dose_of = {design.arms[identity]: dose for identity, dose in design.doses().items()}
    for arm in design.order:
        is_member = design.is_member[arm]
        chosen = [row for row in people if row.arm == design.words[arm]]
        if is_member is not None and chosen:
            dose = dose_of[arm]
            yield _row(design.words[arm], chosen, attacks, is_member=is_member, low=dose, high=dose)


def _row(
    label: str,
    people: Sequence[PersonRow],
    attacks: Attacks,
    *,
    is_member: bool,
    low: int | None = None,
    high: int | None = None,
) -> OccurrenceRow:
    return OccurrenceRow(
        label=label,
        low=low,
        high=high,
        is_member=is_member,
        people=len(people),
        detected=share([row.detected for row in people if row.detected is not None]),
        by_votes=[
            SizeRate(pictures=size, rate=attacks.rate(people, size))
            for size in attacks.sizes
            if attacks.able(people, size)
        ],
    )
