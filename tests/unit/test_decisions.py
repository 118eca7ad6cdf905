"""Who is detected, and on whose pictures it rests."""

from dataclasses import replace

import numpy as np
import pytest

from vlmaudit.audits.comparable import Faces
from vlmaudit.audits.identity_inference.conclude import conclude
from vlmaudit.audits.identity_inference.evidence import Evidence
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.identities import Person
from vlmaudit.results.records import Failures
from vlmaudit.stats.association import Association

FAILURES = Failures(asked=50, answered=50, failed=0, people_asked=10)


def association(p, p_cell, n_faces=50):
    return Association(z=3.0, p_names=p, p_faces=p, n_names=1000, n_faces=n_faces, p_cell=p_cell)


def evidence(tests, membership=""):
    return [
        Evidence(
            person=Person(f"p{place}", f"Name {place}", membership=membership),
            votes=None,
            paper_votes=None,
            test=test,
            is_matched=True,
            pictures=5,
            failed=0,
        )
        for place, test in enumerate(tests)
    ]


def detected(tests, **settings):
    finding = conclude(evidence(tests), IdentityInference(**settings), failures=FAILURES)
    return [row.detected for row in finding.people]


def test_a_rank_among_cells_does_not_do_without_the_test_itself():
    strong = [association(1 / 51, 1e-5)] * 9
    assert detected([*strong, association(0.06, 1e-5)]) == [True] * 9 + [False]


def test_cells_decide_only_where_controls_are_too_few_for_the_family():
    # With 50 controls p cannot fall below .0196: too coarse for ten people at once …
    assert detected([association(1 / 51, 0.9)] * 10) == [False] * 10
    # … and with 999 it can fall below .005, so the test decides alone.
    assert detected([association(1 / 1000, 0.9, n_faces=999)] * 10) == [True] * 10


def test_false_discoveries_are_held_and_not_each_test():
    tests = [association(0.04, 0.04, n_faces=999)] + [association(0.9, 0.9, n_faces=999)] * 9
    assert detected(tests) == [False] * 10
    assert detected(tests[:1]) == [True]


def test_absent_people_found_too_often_make_the_audit_inconclusive():
    absent = [association(0.03, 1e-5)] * 6 + [association(0.5, 0.5)] * 34
    finding = conclude(evidence(absent, "non_member"), IdentityInference(), failures=FAILURES)
    gate = next(gate for gate in finding.gates if gate.name == "negative control")
    assert gate.passed  # 6 of 40 are still chance, up to 8 are
    worse = conclude(
        evidence(absent + [association(0.03, 1e-5)] * 6, "non_member"),
        IdentityInference(),
        failures=FAILURES,
    )
    gate = next(gate for gate in worse.gates if gate.name == "negative control")
    assert gate.passed is False
    assert worse.verdict == "inconclusive"
    assert "12 of 46 people known to be absent" in worse.sentence


@pytest.mark.parametrize(
    ("settings", "bins"),
    [
        # The authors' bins have no edge at 175, so this one is twice as wide as the others.
        ({"protocol": "paper"}, ["150 to 199", "300 or more"]),
        ({"protocol": "audit"}, ["64 to 255", "256 to 1023"]),
        ({"protocol": "audit", "edges": (0, 400)}, ["0 to 399", "400 or more"]),
    ],
)
def test_members_are_binned_by_the_protocol_s_edges(settings, bins):
    tests = [association(0.5, 0.5)] * 2
    known = [
        replace(one, person=replace(one.person, occurrences=count))
        for one, count in zip(evidence(tests, "member"), (180, 500), strict=True)
    ]
    finding = conclude(known, IdentityInference(**settings), failures=FAILURES)
    rows = [row.group for row in finding.groups if row.kind == "occurrences"]
    assert rows == [f"named in {words} captions" for words in bins]


@pytest.mark.parametrize(
    ("own", "bank", "used"),
    [
        (9, [4] * 20, 4),  # no more than the controls have
        (2, [4] * 20, 2),  # no more than there are
        (9, [8] * 19 + [1], 8),  # one poor control is left out rather than followed
        (9, [8] * 10 + [1] * 10, 1),
    ],
)
def test_faces_and_controls_rest_on_as_many_pictures(own, bank, used):
    people = {"p": own} | {f"c{place}": count for place, count in enumerate(bank)}
    pictures = {one: np.zeros((count, 3), np.float32) for one, count in people.items()}
    faces = Faces(pictures, seed=0)
    assert faces.shared("p", [one for one in people if one != "p"]) == used


def test_a_mean_is_over_that_many_pictures_and_always_the_same_ones():
    pictures = {"p": np.arange(12, dtype=np.float32).reshape(4, 3)}
    first = Faces(pictures, seed=0).means(["p"], 2)
    assert (Faces(pictures, seed=0).means(["p"], 2) == first).all()
    halves = {tuple(Faces(pictures, seed=seed).means(["p"], 2)[0]) for seed in range(20)}
    assert len(halves) > 1
    np.testing.assert_allclose(Faces(pictures, seed=3).means(["p"], 4)[0], [4.5, 5.5, 6.5])
