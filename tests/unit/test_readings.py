"""The two protocols on the same observations: one person for every reason to differ."""

from dataclasses import replace

import numpy as np
import pytest

from vlmaudit.audits.identity_inference.conclude import conclude
from vlmaudit.audits.identity_inference.evidence import NOT_ASKED, Evidence
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.identity_inference.votes import PersonVotes
from vlmaudit.data.identities import Person
from vlmaudit.results.records import Failures
from vlmaudit.stats.association import Association, NoEvidence

OWN, OTHER, THIRD = 0, 1, 2
FAILURES = Failures(asked=50, answered=50, failed=0, people_asked=10)
SETTINGS = IdentityInference(sizes=(1,), draws=2)
FEW = NoEvidence("too few matched people or names (3 people, 40 names; at least 19 and 199 are)")
WON, LOST, SHARED = [OWN, OWN], [OTHER, OTHER], [OWN, OTHER]


def votes(*codes):
    return PersonVotes(np.array(codes).reshape(-1, 1), OWN, 3)


def test_of(p_names, p_faces):
    return Association(z=2.0, p_names=p_names, p_faces=p_faces, n_names=1000, n_faces=999)


test_of.__test__ = False


def person(identity, test, paper, own=None, *, matched=True):
    """Somebody with this test, and votes in the paper's pool and in their own."""
    mine = votes(*(own or paper)) if paper else None
    return Evidence(
        person=Person(identity, identity),
        votes=mine,
        paper_votes=votes(*paper) if paper else None,
        test=test,
        is_matched=matched,
        pictures=2,
        failed=0,
        audit_votes=mine,
    )


CLEAR, NAMES, FACES = (0.001, 0.001), (0.4, 0.001), (0.001, 0.4)
STUDY = [
    person("agree", test_of(*CLEAR), WON),
    person("clear", test_of(0.6, 0.7), LOST),
    person("name-fits-all", test_of(*NAMES), WON),
    person("face-fits-all", test_of(*FACES), WON),
    person("both-fit", test_of(0.4, 0.4), WON),
    person("corrected", test_of(0.049, 0.049), WON),
    person("other-pool", test_of(*NAMES), WON, LOST),
    person("few-names", FEW, WON),
    person("few-names-too", FEW, LOST),
    person("unmatched", test_of(*CLEAR), WON, matched=False),
    person("shared", test_of(*CLEAR), SHARED),
    person("rival-in-pool", test_of(*CLEAR), LOST, WON),
    person("near", test_of(*CLEAR), LOST),
    person("silent", NOT_ASKED, None),
]
EXPECTED = {
    ("paper", "names_fit"): ["name-fits-all"],
    ("paper", "faces_fit"): ["face-fits-all"],
    ("paper", "both_fit"): ["both-fit"],
    ("paper", "correction"): ["corrected"],
    ("paper", "pool"): ["other-pool"],
    ("paper", "no_test"): ["few-names"],
    ("paper", "not_matched"): ["unmatched"],
    ("audit", "ties"): ["shared"],
    ("audit", "pool"): ["rival-in-pool"],
    ("audit", "never_first"): ["near"],
    (None, "no_test"): ["few-names-too"],
}


def concluded(study=STUDY, **settings):
    return conclude(study, replace(SETTINGS, **settings), failures=FAILURES)


def reasons(finding):
    return {(one.flagged_by, one.kind): one.people for one in finding.comparison.differences}


def test_everybody_who_differs_has_the_reason():
    assert reasons(concluded()) == EXPECTED


def test_reasons_say_why_there_is_no_decision():
    notes = {one.people[0]: one.note for one in concluded().comparison.differences}
    assert notes["few-names"] == FEW.reason
    assert notes["unmatched"].startswith("compared with names or people of another")
    assert notes["near"] == ""


def test_people_are_counted_once():
    found = concluded().comparison
    assert (found.both, found.only_paper, found.only_audit, found.neither) == (1, 5, 3, 1)
    assert found.undecided == 4
    assert sum((found.both, found.only_paper, found.only_audit, found.neither, 4)) == len(STUDY)
    paper, audit = found.readings
    assert (paper.protocol, paper.flagged, paper.decided, paper.undecided) == ("paper", 8, 13, 1)
    assert (audit.protocol, audit.flagged, audit.decided, audit.undecided) == ("audit", 4, 10, 4)


def test_each_person_carries_both_decisions():
    rows = {row.identity: row for row in concluded().people}
    assert (rows["agree"].by_paper, rows["agree"].by_audit) == (True, True)
    assert (rows["shared"].by_paper, rows["shared"].by_audit) == (False, True)
    assert (rows["few-names"].by_paper, rows["few-names"].by_audit) == (True, None)
    assert (rows["silent"].by_paper, rows["silent"].by_audit) == (None, None)
    assert rows["shared"].paper_ties == 1
    assert all(row.detected is row.by_audit for row in rows.values())


def test_either_protocol_s_finding_compares_alike():
    paper_study = [replace(one, votes=one.paper_votes) for one in STUDY]
    assert concluded(paper_study, protocol="paper").comparison == concluded().comparison


def test_a_reading_is_what_that_protocol_itself_would_find():
    study = [
        replace(one, person=replace(one.person, membership=("member", "non_member")[place % 2]))
        for place, one in enumerate(STUDY)
    ]
    paper_study = [replace(one, votes=one.paper_votes) for one in study]
    own = concluded(paper_study, protocol="paper")
    (reading, _) = concluded(study).comparison.readings
    assert (reading.verdict, reading.sentence) == (own.verdict, own.sentence)
    assert reading.tpr == own.estimates["tpr"]
    assert reading.fpr == own.estimates["fpr"]


def test_a_membership_that_can_be_guessed_confounds_the_paper_s_reading_too():
    study = [
        replace(
            person(f"p{place:02d}", test_of(0.5, 0.5), WON if place % 2 else LOST),
            person=Person(
                f"p{place:02d}",
                f"Name {place}",
                membership=("non_member", "member")[place % 2],
                covariates={"fame": str(place % 2)},
            ),
        )
        for place in range(40)
    ]
    paper, _ = concluded(study).comparison.readings
    assert paper.verdict == "confounded"
    assert "could be told without asking the model" in paper.sentence


def test_a_single_vote_more_needed_makes_a_tie_count_for_less():
    assert reasons(concluded(tau=1))["audit", "ties"] == ["shared"]
    # One shared place is not two agreeing templates.
    with pytest.raises(KeyError):
        reasons(concluded(tau=2))["audit", "ties"]
