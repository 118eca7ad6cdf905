"""A ladder's conclusion on scores whose truth is scripted: no model is trained here."""

import numpy as np
import pytest

from vlmaudit.audits.design import read_design
from vlmaudit.errors import InputError
from vlmaudit.lab.ladder import Available, LadderDesign, dose_of, parse_rung, plan_ladder
from vlmaudit.studies.ladder_conclusion import Observed, conclude_ladder
from vlmaudit.studies.ladder_units import Unit
from vlmaudit.studies.ladder_words import headline, sentences

DESIGN = LadderDesign(controls=20, decoys_per_sex=200)
PEOPLE = [
    Available(f"{source}-{training}-{n}", "", source, training, 8)
    for source, training, number in (
        ("web", 5, 60),
        ("web", 1, 60),
        ("web", 30, 16),
        ("press, old", 80, 16),
    )
    for n in range(number)
] + [Available(f"few-{n}", "", "web", 4, 2) for n in range(120)]
PLANS = {seed: plan_ladder(DESIGN, PEOPLE, seed=seed) for seed in (0, 1, 2)}
ALL = [(target, "planted") for target in range(4)] + [(0, "clean"), (0, "swapped")]


def unit(seed, target, twin, identity, z):
    return Unit(seed, target, twin, identity, z, 0.01 if z > 1 else 0.5, z > 2, z > 1)


def observe(score):
    """Everybody's unit in every target; `score` is given arm, identity and noise."""
    rng = np.random.default_rng(0)
    return [
        unit(seed, target, twin, identity, score(arm, identity, rng.normal(0, 0.1)))
        for seed, plan in PLANS.items()
        for target, twin in ALL
        for identity, arm in plan.arms(target, twin).items()
    ]


def conclude(units, seen=(), plans=PLANS):
    observed = Observed(
        units=units, seen=seen, models=[], removed=0, left_out={}, settings={"steps": 1}
    )
    return conclude_ladder(observed, plans)


def by_dose(arm, identity, noise):
    return np.log1p(dose_of(arm) or 0) + noise


@pytest.fixture(scope="module")
def rising():
    return conclude(observe(by_dose))


def test_a_planted_dose_response_is_repeated(rising):
    assert rising.is_repeated
    assert "3 of 3" in headline(rising)
    assert all(test.p == 0.001 for test in rising.responses)
    assert all(agreement.is_overlapping for agreement in rising.agreements)


@pytest.mark.parametrize("compared", ["square", "clean twin", "swapped twin"])
def test_the_difference_is_what_planting_adds(rising, compared):
    rows = [row for row in rising.effects if row.compared == compared and row.seed is None]
    assert {row.dose for row in rows} == {1, 5, 10, 25, 75}
    for row in rows:
        assert row.difference.value == pytest.approx(np.log1p(row.dose), abs=0.15)
        assert row.difference.low < row.difference.value < row.difference.high


def test_arms_apart_are_at_their_level(rising):
    rows = {row.arm: row for row in rising.doses if row.seed is None}
    for arm in ("never", "name-only", "unpaired"):
        assert rows[arm].at_level is True
        assert rows[arm].small_p.value == 0
    assert rows["paired 75"].at_level is None
    assert rows["paired 75"].detected.value == 1


def test_an_arm_above_its_level_is_called_so():
    found = conclude(observe(lambda arm, identity, noise: 1.5 if arm == "unpaired" else noise))
    rows = {row.arm: row for row in found.doses if row.seed is None}
    assert rows["unpaired"].at_level is False
    assert rows["name-only"].at_level is True
    assert any("above the 5 % of chance" in sentence for sentence in sentences(found))


def test_people_who_are_always_recognised_are_no_effect():
    found = conclude(observe(lambda arm, identity, noise: 3 * (len(identity) % 2) + noise))
    assert not found.is_repeated
    for row in found.effects:
        assert abs(row.difference.value) < 0.3
    assert all(test.p > 0.001 for test in found.responses)


def test_a_person_counts_once_in_a_rate(rising):
    never = next(row for row in rising.doses if row.arm == "never" and row.seed == 0)
    assert never.small_p.n == len(PLANS[0].of("audited"))


def test_planted_people_are_right_and_never_planted_ones_wrong(rising):
    cells = {
        (cell.is_member, cell.is_flagged): cell
        for row in rising.confusions
        if row.seed is None and row.rule == "test"
        for cell in row.cells
    }
    assert cells[False, True].people == 0
    assert cells[True, True].people > 0
    assert cells[True, True].people + cells[True, False].people == pytest.approx(
        cells[True, True].rate.n
    )


def test_a_dose_of_one_source_is_said(rising):
    assert any("dose 75" in note and "press, old" in note for note in rising.notes)
    sources = {row.source for row in rising.by_source}
    assert sources == {"web", "press, old"}


def test_a_dose_that_nobody_can_have_is_said():
    few = [person for person in PEOPLE if person.training < 80]
    plans = {0: plan_ladder(DESIGN, few, seed=0)}
    units = [
        unit(0, target, twin, identity, 0.0)
        for target, twin in ALL
        for identity in plans[0].arms(target, twin)
    ]
    found = conclude(units, plans=plans)
    assert any("nobody is planted 75 times" in note and "30" in note for note in found.notes)


@pytest.mark.parametrize("other", PLANS)
def test_seeds_that_disagree_are_said(other):
    units = [
        unit(seed, target, twin, identity, 1.5 if (seed, arm) == (other, "paired 5") else 0.0)
        for seed, plan in PLANS.items()
        for target, twin in ALL
        for identity, arm in plan.arms(target, twin).items()
    ]
    found = conclude(units)
    assert {one.arm for one in found.agreements if not one.is_overlapping} == {"paired 5"}
    assert any(sentence.startswith("Seeds disagree") for sentence in sentences(found))


def test_the_gain_of_pictures_trained_on_is_within_people():
    units = observe(by_dose)
    seen = [
        unit(u.seed, u.target, u.twin, u.identity, u.z + 1)
        for u in units
        if u.twin == "planted" and u.z > 2
    ]
    row = conclude(units, seen).seen[-1]
    assert row.difference.value == pytest.approx(1)
    assert row.test.p < 0.01


def test_a_swapped_twin_replays_as_randomised():
    plan = PLANS[0]
    arms = plan.arms(0, "swapped")
    assert arms != plan.arms(0)
    record = {
        "seed": plan.seed,
        "target": 0,
        "twin": "swapped",
        "ladders": {stratum: list(ladder) for stratum, ladder in plan.ladders.items()},
        "people": [
            {
                "identity": person.identity,
                "stratum": person.stratum,
                "arm": arms[person.identity],
                "dose": dose_of(arms[person.identity]) or 0,
            }
            for person in plan.of("audited")
        ],
    }
    assert read_design(record).is_randomised
    assert not read_design({**record, "twin": "planted"}).is_randomised
    design = read_design(record)
    # A square starts anywhere on its circle: sizes of arms hold to within one, not exactly.
    drawn = design.draw(np.random.default_rng(1))
    assert set(drawn) == set(arms.values())
    assert list(drawn) != list(arms.values())


@pytest.mark.parametrize("text", ["25", "x: 1", "25:", ": 1, 2"])
def test_a_rung_that_is_none_is_said(text):
    with pytest.raises(InputError, match="wanted PICTURES: ARM"):
        parse_rung(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rungs": (parse_rung("5: 0, 75"),)}, "dose of 75 for people with 5 pictures"),
        ({"rungs": (parse_rung("5: 0, 5"), parse_rung("25: 0, 5"))}, "go down"),
        ({"rungs": (parse_rung("5: 0, somtimes"),)}, "no arm"),
        ({"nameless_share": 1.5}, "from 0 to 1"),
        ({"controls": 0}, "needs 2 or more"),
    ],
)
def test_a_design_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        LadderDesign(**changes)
