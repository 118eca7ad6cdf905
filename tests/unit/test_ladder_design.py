"""Ladders: who meets which dose in which target, decided by chance alone."""

from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.audits.design import read_design
from vlmaudit.errors import InputError
from vlmaudit.lab.ladder import (
    NAMED,
    NAMELESS,
    Available,
    LadderDesign,
    Rung,
    dose_of,
    plan_ladder,
)
from vlmaudit.lab.planting import NEVER
from vlmaudit.stats.assignment import laddered_arms

DESIGN = LadderDesign(controls=20, decoys_per_sex=200)


def crowd(**counts):
    """People with 8 attack pictures and so many for training, by source."""
    return [
        Available(f"{source}-{training}-{n}", "", source, training, 8)
        for source, groups in counts.items()
        for training, number in groups.items()
        for n in range(number)
    ] + [Available(f"few-{n}", "", "web", 4, 2) for n in range(120)]


PEOPLE = crowd(web={5: 60, 1: 60, 30: 16}, press={80: 16})


@pytest.fixture(scope="module")
def plan():
    return plan_ladder(DESIGN, PEOPLE, seed=3)


def test_everybody_meets_every_arm_of_their_rung_once(plan):
    met = defaultdict(Counter)
    for target in range(DESIGN.targets):
        for identity, arm in plan.arms(target).items():
            met[identity][arm] += 1
    assert len(met) == len(plan.of("audited"))
    for person in plan.of("audited"):
        assert met[person.identity] == Counter(plan.ladders[person.stratum])


def test_arms_are_balanced_in_every_target(plan):
    for target in range(DESIGN.targets):
        arms = plan.arms(target)
        for stratum in plan.ladders:
            inside = [arms[p.identity] for p in plan.of("audited") if p.stratum == stratum]
            places = len(inside) / DESIGN.targets
            for arm, times in Counter(plan.ladders[stratum]).items():
                assert abs(inside.count(arm) - times * places) < times + 1


def test_nobody_is_planted_oftener_than_they_have_pictures(plan):
    for target in range(DESIGN.targets):
        for person in plan.of("audited"):
            assert (dose_of(plan.arms(target)[person.identity]) or 0) <= person.training


def test_roles_are_apart_and_names_are_nobody_s_own(plan):
    assert len({person.identity for person in plan.people}) == len(PEOPLE)
    names = [person.name for person in plan.people] + [decoy.name for decoy in plan.decoys]
    assert len(set(names)) == len(names)
    assert len(plan.of("control")) == DESIGN.controls
    assert all("press" not in person.identity for person in plan.of("control"))
    assert len(plan.of(NAMELESS)) == round(0.25 * (len(plan.of(NAMELESS)) + len(plan.of(NAMED))))
    assert all(person.identity.startswith("few") for person in plan.of(NAMED))


def test_a_seed_is_a_ladder_and_the_order_of_folders_is_not(plan):
    again = plan_ladder(DESIGN, PEOPLE[::-1], seed=3)
    assert again == plan
    other = plan_ladder(DESIGN, PEOPLE, seed=4)
    assert other.arms(0) != plan.arms(0)


def test_the_clean_twin_plants_nobody_and_the_swapped_one_the_others(plan):
    assert set(plan.arms(1, "clean").values()) == {NEVER}
    before, after = plan.arms(1), plan.arms(1, "swapped")
    moved = [identity for identity in before if before[identity] != after[identity]]
    assert moved
    for identity in moved:
        assert NEVER in {before[identity], after[identity]}
        other = ({before[identity], after[identity]} - {NEVER}).pop()
        assert dose_of(other) is not None
    for stratum in plan.ladders:
        inside = [p.identity for p in plan.of("audited") if p.stratum == stratum]
        assert Counter(before[i] for i in inside) == Counter(after[i] for i in inside)


def record(plan, target, arms=None):
    arms = arms or plan.arms(target)
    return {
        "seed": plan.seed,
        "target": target,
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


def test_an_audit_replays_the_square_from_its_seed(plan):
    for target in range(DESIGN.targets):
        design = read_design(record(plan, target))
        assert design.is_randomised
        assert design.arms == plan.arms(target)
    assert not read_design(record(plan, 1, plan.arms(2))).is_randomised


def test_a_design_as_the_paper_made_its_own_is_not_randomised(plan):
    audited = sorted(plan.of("audited"), key=lambda person: (person.stratum, person.identity))
    arms = {}
    for number, person in enumerate(audited):  # the best known are the members
        arms[person.identity] = NEVER if number < len(audited) // 2 else "paired 1"
    assert not read_design(record(plan, 0, arms)).is_randomised


@given(
    counts=st.lists(st.integers(1, 23), min_size=1, max_size=4),
    targets=st.integers(2, 6),
    seed=st.integers(0, 2**32),
)
def test_one_target_after_the_other_everybody_moves_on_by_one(counts, targets, seed):
    strata = [f"s{number}" for number, count in enumerate(counts) for _ in range(count)]
    ladders = {name: [f"arm {place}" for place in range(targets)] for name in set(strata)}
    square = [laddered_arms(strata, ladders, target=target, seed=seed) for target in range(targets)]
    for unit in zip(*square, strict=True):
        places = [int(arm.split()[1]) for arm in unit]
        assert sorted(places) == list(range(targets))
        assert all((later - earlier) % targets == 1 for earlier, later in pairwise(places))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LadderDesign(rungs=(Rung(5, (NEVER,)), Rung(1, (NEVER, NEVER)))), "as many arms"),
        (lambda: LadderDesign(rungs=(Rung(5, ("paired 6",)),)), "the largest possible is 5"),
        (lambda: LadderDesign(rungs=(Rung(5, ("planted",)),)), '"planted": no arm'),
        (lambda: plan_ladder(DESIGN, crowd(web={1: 10}), seed=0), "largest number is 5"),
        (
            lambda: plan_ladder(DESIGN, [Available("a", "", "web", 9, 3)], seed=0),
            "the largest attack possible is 3",
        ),
    ],
)
def test_what_cannot_be_a_ladder_is_said(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_too_few_strangers_for_names_planted_apart_are_said():
    alone = [person for person in PEOPLE if not person.identity.startswith("few-")]
    with pytest.raises(InputError, match="strangers whom no caption names"):
        plan_ladder(DESIGN, alone, seed=3)


def test_strangers_without_pictures_do_not_count():
    unseen = [
        Available(p.identity, p.sex, p.source, 0, p.attack) if p.training == 4 else p
        for p in PEOPLE
    ]
    with pytest.raises(InputError, match="there are 0 female strangers"):
        plan_ladder(DESIGN, unseen, seed=3)


def test_rungs_without_names_apart_need_no_strangers():
    alone = [person for person in PEOPLE if not person.identity.startswith("few-")]
    design = LadderDesign(controls=20, decoys_per_sex=200, rungs=(Rung(1, (NEVER, "paired 1")),))
    plan = plan_ladder(design, alone, seed=3)
    assert {person.role for person in plan.people} == {"audited", "control"}
