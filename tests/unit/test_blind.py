"""The blind-baseline gate: its labels, its words and what it is made of."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from vlmaudit.seeds import stream
from vlmaudit.stats import blind
from vlmaudit.stats.blind import blind_baseline
from vlmaudit.stats.roc import auc


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(blind, "TREES", 60)


def gate(table, is_member, *, randomised=False, seed=0, n_permutations=39, **settings):
    return blind_baseline(
        table,
        np.asarray(is_member),
        randomised=randomised,
        rng=stream(seed, "gate"),
        n_permutations=n_permutations,
        **settings,
    )


def noise(n, columns=3, seed=0):
    values = stream(seed, "noise").normal(size=(columns, n))
    return {f"noise {place}": column for place, column in enumerate(values)}


HALF = np.arange(80) < 40


@pytest.mark.parametrize(
    "given_away",
    [
        {"membership": np.where(HALF, "member", "non_member")},
        {"score": HALF * 2.0 + np.arange(80) / 100},
        {"occurrences": [3 if member else None for member in HALF]},
    ],
)
def test_a_label_in_the_covariates_turns_the_gate_red(given_away):
    found = gate({**noise(80), **given_away}, HALF)
    assert found.label == "confounded"
    assert found.p == found.p_min == 1 / 40
    assert found.auc > 0.98
    assert found.sentence.startswith("Membership could be guessed without the model: AUC ")


def test_the_same_when_randomised_is_a_warning_not_a_verdict():
    found = gate({"label": HALF.astype(int)}, HALF, randomised=True, n_permutations=99)
    assert found.label == "randomised"
    assert found.p == 0.01
    assert "adjusted" in found.sentence


def test_a_randomised_study_passes_in_words():
    found = gate(noise(80), HALF, randomised=True)
    assert found.label == "randomised"
    assert found.p > 0.05
    assert "at random, and covariates tell no more" in found.sentence


def test_an_excluded_covariate_is_not_used():
    found = gate({**noise(80), "occurrences": HALF * 1}, HALF, exclude=["occurrences"])
    assert found.p > 0.05
    assert "occurrences" not in found.covariates


def test_many_people_can_be_balanced_and_few_cannot():
    many = gate(noise(800), np.arange(800) < 400)
    assert many.label == "balanced"
    assert many.upper <= 0.6
    few = gate(noise(40), np.arange(40) % 2 < 1)
    assert few.label == "undetermined"
    assert few.auc < 0.6 < few.upper  # it is not the AUC that decides
    assert few.sentence.startswith("Too few people")


@pytest.mark.parametrize("randomised", [False, True])
def test_without_covariates_nothing_was_checked(randomised):
    for table in ({}, {"sex": ["female"] * 80}):
        found = gate(table, HALF, randomised=randomised)
        assert found.label == ("randomised" if randomised else "undetermined")
        assert found.sentence.startswith("No covariates")
        assert found.auc is found.p is found.scores is None


def test_what_else_cannot_be_checked_says_why():
    one = gate(noise(80), np.arange(80) < 1)
    assert one.sentence.startswith("Too few people of one kind (1 members of 80)")
    saturated = gate(noise(80), HALF, strata=np.where(HALF, "film", "sport").tolist())
    assert saturated.label == "undetermined"
    assert saturated.sentence.startswith("Membership is the same throughout every stratum")
    assert gate(noise(0), np.zeros(0, dtype=bool)).label == "undetermined"


def test_a_difference_between_strata_is_allowed_for():
    # Members are mostly women; within a sex the covariates know nothing more.
    sex = np.where(np.arange(80) % 40 < 30, np.where(HALF, "female", "male"), "female")
    sex[:10] = "male"
    table = {"sex": sex}
    assert gate(table, HALF).label == "confounded"
    assert gate(table, HALF, strata=sex.tolist()).p > 0.2


def test_rows_of_one_person_stay_in_one_fold():
    person = np.repeat(np.arange(40), 6)
    is_member = stream(0, "members").permutation(np.arange(40) < 20)[person]
    table = {"person": [f"p{who}" for who in person]}
    assert gate(table, is_member).auc > 0.9  # as 240 people it would only learn them by heart
    grouped = gate(table, is_member, groups=[str(who) for who in person])
    assert grouped.p > 0.05
    assert (grouped.n_members, grouped.n_non_members) == (20, 20)


def test_what_varies_within_a_person_is_refused():
    groups = ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match="membership varies within a group, first in row 1"):
        gate(noise(4), [True, False, True, True], groups=groups)
    with pytest.raises(ValueError, match="stratum varies within a group, first in row 3"):
        gate(noise(4), [True, True, False, False], groups=groups, strata=["x", "x", "x", "y"])
    with pytest.raises(ValueError, match="noise 0: 5 entries for 4 rows"):
        gate(noise(5), [True, True, False, False])


def test_the_same_stream_gives_the_same_gate():
    assert gate(noise(80), HALF) == gate(noise(80), HALF)


def test_scores_are_those_of_people_held_out():
    table = {"age": HALF + stream(0, "age").normal(size=80)}
    found = gate(table, HALF)
    assert found.scores.shape == (80,)
    assert ((found.scores > 0) & (found.scores < 1)).all()
    assert abs(auc(found.scores, HALF).value - found.auc) < 0.05


def test_the_logistic_regression_is_scikit_learns():
    rng = stream(0, "logistic")
    covariates = rng.normal(size=(120, 5)) * [4, 1, 1, 1, 1]
    labels = np.stack([covariates[:, 0] > 0, rng.random(120) < 0.5, np.arange(120) < 3])
    train, test = np.arange(0, 120, 2), np.arange(1, 120, 2)
    found = blind._logistic(covariates)(train, test, labels[:, train])
    for row, label in zip(found, labels, strict=True):
        reference = LogisticRegression(C=0.1, tol=1e-10, max_iter=1000)
        reference.fit(covariates[train], label[train])
        assert row == pytest.approx(reference.decision_function(covariates[test]), abs=1e-5)


@pytest.mark.parametrize("make", ["_logistic", "_random_trees"])
def test_a_labelling_does_not_notice_the_others(make):
    rng = stream(0, "labellings")
    covariates, labels = rng.normal(size=(60, 4)), rng.random((7, 40)) < 0.4
    arguments = (covariates,) if make == "_logistic" else (covariates, stream(1, "forest"))
    classify = getattr(blind, make)(*arguments)
    train, test = np.arange(40), np.arange(40, 60)
    together = classify(train, test, labels)
    for row, label in zip(together, labels, strict=True):
        assert row == pytest.approx(classify(train, test, label[None])[0], abs=1e-9)


def test_the_forest_guesses_the_share_of_members_in_the_leaves():
    sides = np.repeat([-1.0, 1.0], 50)[:, None]  # two values: every tree splits between them
    labels = (np.arange(100) < 50)[None]
    train, test = np.arange(0, 100, 2), np.arange(1, 100, 2)
    found = blind._random_trees(sides, stream(0, "forest"))(train, test, labels[:, train])[0]
    # 25 of 25 training rows on the left, drawn one row's weight towards one half.
    assert found[:25] == pytest.approx((25 + 0.5) / 26 - 0.5)
    assert found[25:] == pytest.approx(0.5 / 26 - 0.5)


def test_trees_find_what_a_line_cannot():
    bump = stream(2, "bump").normal(size=300)
    found = gate({"age": bump}, np.abs(bump) < 0.67)
    assert found.classifier == "extremely randomised trees"
    assert found.label == "confounded"
    assert found.auc > 0.9
