"""Rates of the voting rule by pictures and by occurrences, on votes that are counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from vlmaudit.audits.design import read_design
from vlmaudit.audits.identity_inference.attack import attack, shown_size
from vlmaudit.audits.identity_inference.conclude import conclude
from vlmaudit.audits.identity_inference.evidence import NOT_ASKED, Evidence
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.identity_inference.votes import PersonVotes
from vlmaudit.data.identities import Person
from vlmaudit.results.records import Failures
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import planted_arms
from vlmaudit.stats.votes import picture_orders

OWN, OTHER, THIRD = 0, 1, 2
FAILURES = Failures(asked=10, answered=10, failed=0, people_asked=4)
PAPER = IdentityInference(protocol="paper", sizes=(1, 2, 3), draws=20)


def voter(identity, pictures, membership="member", occurrences=None):
    """Somebody whose pictures each vote once, in a pool of three names."""
    votes = PersonVotes(np.array(pictures).reshape(-1, 1), OWN, 3) if pictures else None
    return Evidence(
        person=Person(identity, identity, membership=membership, occurrences=occurrences),
        votes=votes,
        paper_votes=votes,
        test=NOT_ASKED,
        is_matched=True,
        pictures=len(pictures),
        failed=0,
        audit_votes=votes,
    )


# Known by every picture; by none; by one of two; a stranger that only one picture is taken for.
STUDY = [
    voter("always", [OWN, OWN, OWN], occurrences=30),
    voter("never", [OTHER, OTHER, THIRD], occurrences=26),
    voter("half", [OWN, OTHER], occurrences=3),
    voter("stranger", [OTHER, THIRD, OTHER], "non_member"),
    voter("lookalike", [OWN, OTHER, THIRD], "non_member"),
    voter("whoever", [OWN], ""),
]


def concluded(study=STUDY, settings=PAPER, **more):
    return conclude(study, settings, failures=FAILURES, **more)


def first_is(identity, picture, n_images, settings=PAPER):
    """The share of draws whose first picture is this one."""
    rng = stream(settings.seed, "draws", identity)
    return float(np.mean(picture_orders(n_images, settings.draws, rng)[:, 0] == picture))


def cells(confusion):
    return {(cell.is_member, cell.is_flagged): cell for cell in confusion.cells}


def test_who_is_flagged_rightly_and_wrongly_with_one_picture():
    small = concluded().confusions[0]
    assert (small.rule, small.pictures) == ("votes", 1)
    found = cells(small)
    hits = 1 + first_is("half", 0, 2)
    assert found[True, True].people == pytest.approx(hits)
    assert found[True, False].people == pytest.approx(3 - hits)
    alarms = first_is("lookalike", 0, 3)
    assert found[False, True].people == pytest.approx(alarms)
    assert found[False, False].people == pytest.approx(2 - alarms)
    assert found[True, True].rate.value == pytest.approx(hits / 3)
    assert found[False, True].rate.n == 2


def test_a_shared_first_place_flags_nobody_with_many_pictures():
    large = concluded().confusions[-1]
    # All but one of the five people have three pictures.
    assert large.pictures == 3
    found = cells(large)
    assert found[True, True].people == 1  # "half" has two pictures and is not in it
    assert found[True, True].rate.n == 2
    # One vote each for three names: nobody's plurality.
    assert found[False, True].people == 0
    assert found[False, True].rate.high == pytest.approx(0.842, abs=0.001)


def test_the_shown_size_is_the_largest_that_half_of_the_people_reach():
    people = concluded().people
    few = [replace(one, votes=None) for one in STUDY[:4]]
    assert shown_size(attack(STUDY, PAPER), people) == 3
    assert shown_size(attack([*few, *STUDY[4:]], PAPER), people) is None
    assert shown_size(attack([], PAPER), []) is None


def test_the_audit_adds_the_matrix_of_its_test():
    audit = concluded(settings=replace(PAPER, protocol="audit")).confusions
    assert [(one.rule, one.pictures) for one in audit] == [
        ("votes", 1),
        ("votes", 3),
        ("test", None),
    ]
    # Nobody could be tested, which is not the same as nobody being flagged.
    assert all(cell.rate.value is None and cell.rate.n == 0 for cell in audit[-1].cells)


def test_members_are_binned_and_non_members_stand_first():
    rows = concluded().occurrences
    assert [(row.label, row.people) for row in rows] == [
        ("known non-members", 2),
        ("named in 0 to 24 captions", 1),
        ("named in 25 to 49 captions", 2),
    ]
    assert [(row.low, row.high) for row in rows] == [(None, None), (0, 24), (25, 49)]
    assert [row.is_member for row in rows] == [False, True, True]
    many = {one.pictures: one.rate for one in rows[2].by_votes}
    assert many[1].value == 0.5
    assert (many[3].value, many[3].n) == (0.5, 2)
    assert many[3].low == pytest.approx(0.0126, abs=0.0001)
    # With two pictures, one for each of two names, the first place is shared.
    few = {one.pictures: one.rate.value for one in rows[1].by_votes}
    assert few == {1: pytest.approx(first_is("half", 0, 2)), 2: 0.0}


def test_a_bin_begins_and_ends_where_its_label_says():
    study = [voter(f"p{count}", [OWN], occurrences=count) for count in (0, 24, 25, 49, 50)]
    rows = concluded(study).occurrences
    assert [(row.low, row.high, row.people) for row in rows] == [
        (0, 24, 2),
        (25, 49, 2),
        (50, 74, 1),
    ]


def test_empty_bins_between_others_stay_and_say_that_nobody_is_there():
    study = [voter("few", [OWN], occurrences=0), voter("many", [OWN], occurrences=140)]
    rows = concluded(study).occurrences
    assert [row.people for row in rows] == [1, 0, 0, 0, 0, 1]
    assert rows[1].detected.value is None
    assert rows[1].by_votes == []


def test_members_of_unknown_occurrences_are_in_no_bin_and_are_counted():
    study = [voter("known", [OWN], occurrences=1), voter("unknown", [OWN])]
    finding = concluded(study)
    assert [row.people for row in finding.occurrences] == [1]
    assert any("captions name 1 of 2 members is not known" in note for note in finding.notes)


def test_plantings_are_the_occurrences_of_a_planted_study():
    arms = {"never": 6, "name-only": 2, "paired 4": 4}
    assigned = planted_arms(["female"] * 12, arms, seed=3)
    design = read_design(
        {
            "seed": 3,
            "arms": arms,
            "people": [
                {
                    "identity": f"p{place:02d}",
                    "arm": arm.partition(" ")[0],
                    "dose": 4 * arm.startswith("paired"),
                    "stratum": "female",
                }
                for place, arm in enumerate(assigned)
            ],
        }
    )
    study = [
        voter(
            f"p{place:02d}",
            [OWN] if arm.startswith("paired") else [OTHER],
            {"never": "non_member", "paired 4": "member"}.get(arm, ""),
        )
        for place, arm in enumerate(assigned)
    ]
    rows = concluded(study, design=design).occurrences
    assert [(row.label, row.low, row.high, row.people, row.is_member) for row in rows] == [
        ("never planted", 0, 0, 6, False),
        ("planted 4 times", 4, 4, 4, True),
    ]
    assert [row.by_votes[0].rate.value for row in rows] == [0.0, 1.0]
