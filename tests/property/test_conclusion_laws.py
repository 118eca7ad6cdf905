"""What must not matter to a conclusion: the order of the people, and pictures that are copies."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmaudit.audits.identity_inference.conclude import conclude
from vlmaudit.audits.identity_inference.evidence import Evidence
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.identity_inference.votes import PersonVotes
from vlmaudit.data.identities import Person
from vlmaudit.results.records import Failures
from vlmaudit.stats.association import Association, NoEvidence

FAILURES = Failures(asked=9, answered=9, failed=0, people_asked=9)
N_PICTURES, N_TEMPLATES = 3, 2

p_values = st.sampled_from([0.001, 0.004, 0.03, 0.2, 0.9])
tests = st.one_of(
    st.builds(
        lambda names, faces: Association(
            z=1.0, p_names=names, p_faces=faces, n_names=1000, n_faces=999
        ),
        p_values,
        p_values,
    ),
    st.just(NoEvidence("too few matched people or names")),
)
ballots = st.lists(
    st.lists(st.integers(0, 2), min_size=N_TEMPLATES, max_size=N_TEMPLATES),
    min_size=N_PICTURES,
    max_size=N_PICTURES,
)
persons = st.tuples(
    tests,
    ballots,
    ballots,
    st.sampled_from(["member", "non_member", ""]),
    st.one_of(st.none(), st.integers(0, 70)),
)
studies = st.lists(persons, min_size=1, max_size=8)


def evidence(study, copies=1):
    return [
        Evidence(
            person=Person(
                f"p{place}", f"Name {place}", membership=membership, occurrences=occurrences
            ),
            votes=PersonVotes(np.repeat(own, copies, axis=0), 0, 3),
            paper_votes=PersonVotes(np.repeat(paper, copies, axis=0), 0, 3),
            test=test,
            is_matched=True,
            pictures=copies * N_PICTURES,
            failed=0,
            audit_votes=PersonVotes(np.repeat(own, copies, axis=0), 0, 3),
        )
        for place, (test, own, paper, membership, occurrences) in enumerate(study)
    ]


def concluded(people, **more):
    told = IdentityInference(**({"sizes": (1, 2, 3), "draws": 3} | more))
    return conclude(people, told, failures=FAILURES)


@settings(max_examples=25)
@given(studies, st.randoms(use_true_random=False))
def test_the_order_of_the_people_does_not_matter(study, random):
    people = evidence(study)
    shuffled = random.sample(people, len(people))
    one, other = concluded(people), concluded(shuffled)
    assert one.occurrences == other.occurrences
    assert one.confusions == other.confusions
    assert one.comparison == other.comparison
    assert one.claims == other.claims
    assert one.curve == other.curve


@settings(max_examples=25)
@given(studies, st.integers(2, 4))
def test_copies_of_all_pictures_narrow_no_interval(study, copies):
    """With all pictures at hand, a copy of each of them changes nothing at all."""
    one = concluded(evidence(study), sizes=(N_PICTURES,))
    other = concluded(evidence(study, copies), sizes=(copies * N_PICTURES,))
    assert [(row.detected, [at.rate for at in row.by_votes]) for row in one.occurrences] == [
        (row.detected, [at.rate for at in row.by_votes]) for row in other.occurrences
    ]
    assert [matrix.cells for matrix in one.confusions] == [
        matrix.cells for matrix in other.confusions
    ]
    assert one.comparison == other.comparison
    assert one.claims == other.claims


@settings(max_examples=25)
@given(studies)
def test_the_parts_add_up(study):
    finding = concluded(evidence(study))
    paper, audit = finding.comparison.readings
    found = finding.comparison
    assert found.both + found.only_paper + found.only_audit + found.neither + found.undecided == (
        len(study)
    )
    assert sum(one.n for one in found.differences) == sum(
        row.by_paper is not row.by_audit for row in finding.people
    )
    assert paper.flagged == sum(row.by_paper is True for row in finding.people)
    assert audit.undecided == sum(row.by_audit is None for row in finding.people)
    for matrix in finding.confusions:
        for is_member in (True, False):
            sides = [cell for cell in matrix.cells if cell.is_member is is_member]
            assert np.isclose(sum(cell.people for cell in sides), sides[0].rate.n)


def test_people_without_votes_are_nowhere_in_the_matrices():
    study = [
        (NoEvidence("no"), [[0, 0]] * N_PICTURES, [[0, 0]] * N_PICTURES, "member", 1),
        (NoEvidence("no"), [[0, 0]] * N_PICTURES, [[0, 0]] * N_PICTURES, "member", 1),
    ]
    people = evidence(study)
    people[1] = replace(people[1], votes=None, paper_votes=None, audit_votes=None)
    cell = concluded(people).confusions[0].cells[0]
    assert (cell.people, cell.rate.n) == (1, 1)
