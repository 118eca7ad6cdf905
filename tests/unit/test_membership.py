"""What is said of members and non-members, on people whose scores are known."""

import numpy as np
import pytest

from vlmaudit.audits.design import read_design
from vlmaudit.audits.identity_inference.checked import Checked
from vlmaudit.audits.identity_inference.evidence import NOT_ASKED, Evidence
from vlmaudit.audits.identity_inference.finding import PersonRow
from vlmaudit.audits.identity_inference.membership import conformal_p_values, judge_membership
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.candidates import draw_names
from vlmaudit.data.identities import Person
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import planted_arms

SETTINGS = IdentityInference()
NAMES = draw_names(200, sex="female", origin="en_US", rng=stream(0, "membership"))


def people(n_members, n_absent, *, gap, **covariates):
    """Members whose z lies `gap` above everybody else's; detected above 3."""
    rng = stream(1, "scores")
    rows, evidence = [], []
    for place in range(n_members + n_absent):
        membership = "member" if place < n_members else "non_member"
        z = float(rng.standard_normal() + gap * (place < n_members))
        identity = f"p{place:03d}"
        rows.append(
            PersonRow(
                identity=identity,
                name=NAMES[place],
                membership=membership,
                pictures=5,
                failed=0,
                detected=z > 3,
                score=0,
                z=z,
            )
        )
        told = {key: str(value(place < n_members)) for key, value in covariates.items()}
        person = Person(identity, NAMES[place], membership=membership, covariates=told)
        evidence.append(
            Evidence(
                person=person,
                votes=None,
                paper_votes=None,
                test=NOT_ASKED,
                is_matched=True,
                pictures=5,
                failed=0,
            )
        )
    return rows, evidence


def judge(rows, evidence, design=None):
    checked = Checked()
    judge_membership(evidence, rows, SETTINGS, design=design, checked=checked)
    return checked


def gate(checked, name):
    return next(gate for gate in checked.gates if gate.name == name)


def test_rates_have_their_limits_and_say_what_a_claim_needs():
    checked = judge(*people(20, 60, gap=20.0))
    assert checked.estimates["tpr"].value == 1
    assert checked.estimates["tpr"].low == pytest.approx(0.832, abs=0.001)
    assert checked.estimates["fpr"].value == 0
    assert checked.estimates["fpr"].high == pytest.approx(0.0596, abs=0.0001)
    said = " ".join(checked.notes)
    assert "at most 4.9 % (one-sided 95 % limit)" in said
    assert "59 for 5 %, 149 for 2 %, 299 for 1 %" in said


def test_low_false_positive_rates_are_refused_with_few_non_members():
    checked = judge(*people(20, 60, gap=20.0))
    assert "tpr_at_fpr_0.05" in checked.estimates
    assert checked.estimates["tpr_at_fpr_0.02"].value == 1  # 1/61 is below 2 %
    assert "tpr_at_fpr_0.01" not in checked.estimates
    assert any("at a false-positive rate of 1 % is not stated" in note for note in checked.notes)


def test_a_threshold_is_stated_only_where_it_can_be_assured():
    assert "assured_threshold" not in judge(*people(20, 58, gap=20.0)).estimates
    checked = judge(*people(20, 150, gap=20.0))
    cut = checked.estimates["assured_threshold"]
    scores = sorted(row.z for row in people(20, 150, gap=20.0)[0] if row.membership != "member")
    assert cut.value == scores[-3]  # 124 non-members allow two above it, 150 no third
    assert checked.estimates["fpr_of_assured_threshold"].n == 150


def test_the_model_is_compared_with_a_guess_that_never_asks_it():
    strong = judge(*people(40, 60, gap=20.0))
    assert strong.estimates["auc"].value == 1
    assert strong.estimates["auc_over_blind"].low > 0.2
    told = judge(*people(40, 60, gap=20.0, source=lambda is_member: "a" if is_member else "b"))
    assert gate(told, "blind baseline").label == "confounded"
    assert gate(told, "blind baseline").passed is False
    assert told.estimates["auc_over_blind"].value == pytest.approx(0, abs=0.02)


def test_one_kind_of_membership_tells_nothing_apart():
    checked = judge(*people(10, 0, gap=1.0))
    assert gate(checked, "blind baseline").passed is None
    assert "auc" not in checked.estimates


def test_without_membership_nothing_is_said():
    rows, evidence = people(3, 3, gap=1.0)
    checked = judge([row.model_copy(update={"membership": ""}) for row in rows], evidence)
    assert checked == Checked()


def test_conformal_ranks_are_among_the_non_members():
    rows, _ = people(5, 19, gap=20.0)
    ranked = conformal_p_values(rows, SETTINGS)
    assert [row.conformal_p for row in ranked[:5]] == [1 / 20] * 5
    assert max(row.conformal_p for row in ranked[5:]) == 1
    only_members = [row.model_copy(update={"membership": "member"}) for row in rows]
    assert all(row.conformal_p is None for row in conformal_p_values(only_members, SETTINGS))


@pytest.fixture
def planted():
    """Sixty people of two sexes, half of them planted 16 times, as a seed decides."""
    strata = ["female", "male"] * 30
    arms = {"paired 16": 30, "never": 30}
    assigned = planted_arms(strata, arms, seed=4)
    return {
        "seed": 4,
        "arms": arms,
        "people": [
            {
                "identity": f"p{place:03d}",
                "stratum": stratum,
                "arm": arm.split()[0],
                "dose": 16 if arm == "paired 16" else 0,
            }
            for place, (stratum, arm) in enumerate(zip(strata, assigned, strict=True))
        ],
    }


def rows_of(planted, gap):
    rows, evidence = people(30, 30, gap=0.0)
    doses = [person["dose"] for person in planted["people"]]
    return [
        row.model_copy(
            update={
                "z": row.z + gap * (dose > 0),
                "membership": "member" if dose else "non_member",
            }
        )
        for row, dose in zip(rows, doses, strict=True)
    ], evidence


def test_a_planting_that_replays_is_randomised_and_gives_a_dose_response(planted):
    design = read_design(planted)
    assert design.is_randomised
    assert [design.words[arm] for arm in design.order] == ["never planted", "planted 16 times"]
    checked = judge(*rows_of(planted, 3.0), design)
    assert gate(checked, "blind baseline").label == "randomised"
    dose = next(test for test in checked.tests if test.name == "dose-response")
    assert dose.p == 1 / 1000
    idle = judge(*rows_of(planted, 0.0), design)
    assert next(test for test in idle.tests if test.name == "dose-response").p > 0.05


def test_a_record_that_does_not_replay_is_not_believed(planted):
    one, other = (
        next(person for person in planted["people"] if person["arm"] == arm)
        for arm in ("paired", "never")
    )
    one["arm"], one["dose"], other["arm"], other["dose"] = "never", 0, "paired", 16
    design = read_design(planted)
    assert not design.is_randomised
    checked = judge(*rows_of(planted, 3.0), design)
    assert gate(checked, "blind baseline").label != "randomised"
    assert not any(test.name == "dose-response" for test in checked.tests)


def test_redrawn_plantings_keep_the_design(planted):
    design = read_design(planted)
    doses = design.redraw(np.random.default_rng(0))
    assert sorted(doses.values()) == [0] * 30 + [16] * 30
    assert doses != design.doses()
