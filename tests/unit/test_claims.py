"""What a claim on the false-positive rate takes."""

import pytest

from vlmaudit.audits.identity_inference.claims import claims
from vlmaudit.audits.identity_inference.finding import PersonRow


def people(n, flagged, undecided=0):
    return [
        PersonRow(
            identity=f"p{place}",
            name="",
            membership="non_member",
            pictures=1,
            failed=0,
            detected=None if place < undecided else place - undecided < flagged,
            score=0,
            z=None,
        )
        for place in range(n + undecided)
    ]


def test_the_table_is_that_of_the_statistics_page():
    needed = {(row.flagged, row.max_fpr): row.needed for row in claims([]).rows}
    assert needed == {
        **dict(zip([(0, 0.05), (0, 0.02), (0, 0.01)], (59, 149, 299), strict=True)),
        **dict(zip([(1, 0.05), (1, 0.02), (1, 0.01)], (93, 236, 473), strict=True)),
        **dict(zip([(2, 0.05), (2, 0.02), (2, 0.01)], (124, 313, 628), strict=True)),
        **dict(zip([(3, 0.05), (3, 0.02), (3, 0.01)], (153, 386, 773), strict=True)),
    }


def test_a_claim_holds_with_as_many_non_members_as_it_takes_and_not_with_one_fewer():
    def holds(n, flagged):
        return [row.holds for row in claims(people(n, flagged)).rows if row.flagged == flagged]

    assert holds(59, 0) == [True, False, False]
    assert holds(58, 0) == [False, False, False]
    assert holds(236, 1) == [True, True, False]
    assert holds(299, 0) == [True, True, True]


def test_only_what_happened_here_can_hold():
    table = claims(people(300, 1))
    assert (table.known, table.flagged) == (300, 1)
    assert table.upper == pytest.approx(0.01572, abs=1e-5)
    assert {row.flagged for row in table.rows if row.holds is not None} == {1}


def test_more_flagged_than_the_table_shows_gives_it_a_line():
    rows = [row for row in claims(people(200, 9)).rows if row.flagged == 9]
    assert [(row.max_fpr, row.holds) for row in rows] == [
        (0.05, False),
        (0.02, False),
        (0.01, False),
    ]


def test_without_non_members_nothing_holds_and_there_is_no_limit():
    table = claims(people(0, 0, undecided=4))
    assert (table.known, table.flagged, table.upper) == (0, 0, None)
    assert all(row.holds is None for row in table.rows)
