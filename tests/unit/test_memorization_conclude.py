"""What observations of a checkpoint mean: planted and clean ones, by each mean, both ways."""

from dataclasses import replace

import polars as pl
import pytest
from tests.memorization_observations import (
    ALBUM,
    QUICK,
    observed,
    records_of,
    states_of,
)

from vlmaudit.audits.memorization.conclude import conclude
from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.observed import Observed, read_elsewhere
from vlmaudit.audits.memorization.run import conclude_states, to_json
from vlmaudit.errors import InputError
from vlmaudit.results.state_files import StateItem, StatesWriter


def answers(finding):
    return {row.mean: row.answer for row in finding.means}


@pytest.mark.parametrize(
    ("planted", "mean"),
    [
        ({"states": 4.0}, "probe"),
        ({"gradients": 0.03}, "gradients"),
        ({"says": 0.7}, "extraction"),
        ({"known": 0.95}, "exposure"),
    ],
)
def test_what_is_planted_is_found_by_its_mean_and_by_no_other(planted, mean):
    finding = conclude(observed(**planted), QUICK).finding
    assert finding.verdict == "found"
    assert [name for name, said in answers(finding).items() if said == "found"] == [mean]
    assert finding.sentence.startswith("This checkpoint retained private text because")


def test_nothing_planted_is_not_found():
    finding = conclude(observed(), QUICK).finding
    assert finding.verdict == "inconclusive"
    # Forty records a side cannot say "not told apart".
    assert set(answers(finding).values()) == {"undetermined"}
    assert finding.sentence.startswith("Undetermined")


def test_a_hundred_a_side_can_say_not_told_apart():
    finding = conclude(observed(160), replace(QUICK, means=("extraction", "exposure"))).finding
    assert answers(finding)["exposure"] == "not_told_apart"
    for row in finding.means:
        if row.answer == "not_told_apart":
            assert row.p > 0.01
            assert row.upper <= 0.60
            assert min(row.n_seen, row.n_unseen) >= 100
    assert answers(finding)["probe"] == "not_asked"


def test_a_cue_that_the_control_has_as_well_is_no_memory():
    records = records_of(40)
    both = {role: states_of(records, strength=4.0, seed=seed) for role, seed in
            (("tuned", 0), ("control", 1))}  # fmt: skip
    asked = replace(observed(), states=both)
    finding = conclude(asked, replace(QUICK, means=("probe",))).finding
    (probe,) = [row for row in finding.means if row.mean == "probe"]
    assert probe.p_adjusted <= 0.05
    assert probe.answer == "undetermined"
    assert "Not more clearly than in the control" in probe.sentence


def test_the_dose_is_in_the_units_and_in_the_slopes():
    concluded = conclude(observed(known=0.9, says=0.5), QUICK)
    assert concluded.units.columns[:4] == ["record", "arm", "dose", "included"]
    assert len(concluded.units) == 120
    assert {row.dose for row in concluded.finding.doses} == {0, 1, 2, 4, 8}
    assert {row.mean for row in concluded.finding.slopes} >= {"exposure", "extraction"}


def test_canaries_give_a_test_and_a_bound_only_where_coins_were_thrown():
    plain = replace(QUICK, means=("exposure",))
    known = conclude(observed(canaries=200, known=1.0), plain).finding.canaries
    assert known.p == pytest.approx(1 / 200)
    assert known.epsilon > 1
    blind = conclude(observed(canaries=200), plain).finding.canaries
    assert blind.epsilon == 0
    assert blind.p > 0.01
    by_hand = replace(observed(canaries=200, known=1.0), album={**ALBUM, "randomised": False})
    assert conclude(by_hand, plain).finding.canaries.epsilon is None
    assert any("ε not computed" in line for line in conclude(observed(), plain).finding.missing)


def test_what_falls_away_is_said():
    records = records_of(40)
    bare = Observed(records=records, states={"tuned": states_of(records)}, album=ALBUM)
    missing = " ".join(conclude(bare, QUICK).finding.missing)
    for words in ("No control", "No base", "No twin", "Gradients: not observed", "Exposure: not"):
        assert words in missing


def test_failures_are_counted_and_too_many_conclude_nothing():
    half = observed(says=0.7)
    failed = half.answers.with_columns(
        status=pl.when(pl.int_range(pl.len()) % 2 == 0)
        .then(pl.lit("permanent"))
        .otherwise("status"),
        reason=pl.when(pl.int_range(pl.len()) % 2 == 0)
        .then(pl.lit("too large"))
        .otherwise("reason"),
    )
    finding = conclude(replace(half, answers=failed), QUICK).finding
    assert finding.failures.failed == 180
    assert finding.failures.reasons == {"too large": 180}
    assert finding.verdict == "inconclusive"
    assert finding.sentence.startswith("Inconclusive:")


def test_the_papers_reading_is_kept_apart():
    finding = conclude(observed(states=4.0), replace(QUICK, protocol="paper")).finding
    assert finding.protocol == "paper"
    assert "every record on both sides" in finding.sentence
    assert finding.split_layers


@pytest.mark.parametrize(("strength", "is_apart"), [(4.0, True), (0.0, False)])
def test_the_papers_picture_stands_beside_its_effect_size(strength, is_apart):
    drawn = conclude(observed(states=strength), QUICK).finding.state_map
    assert drawn.name == "layer 1" if is_apart else drawn.layer in {0, 1, 2}
    assert len(drawn.x) == len(drawn.y) == len(drawn.seen)
    assert sum(drawn.seen) * 2 == len(drawn.seen)
    assert (drawn.p <= 0.05) == is_apart
    assert (drawn.silhouette > 0.02) == is_apart


def test_the_same_observations_give_the_same_bytes_and_are_read_again():
    first, second = (to_json(conclude(observed(says=0.4), QUICK).finding) for _ in range(2))
    assert first == second
    assert to_json(Finding.model_validate_json(first)) == first
    assert "Ada" not in first


def write_states(folder, records, *, about, **more):
    states = states_of(records, **more)
    items = [StateItem(*row) for row in states.items.iter_rows()]
    with StatesWriter(folder, items, layers=list(states.layers), about=about) as writer:
        writer.write(states.values)
    return folder


def test_states_from_elsewhere_are_concluded_on(tmp_path):
    records = records_of(40)
    tuned = write_states(tmp_path / "a", records, about={"role": "tuned"}, strength=4.0)
    control = write_states(tmp_path / "b", records, about={"role": "control"}, seed=1)
    finding = conclude_states([tuned, control], replace(QUICK, means=("probe",))).finding
    assert finding.verdict == "found"
    row = max(finding.layers, key=lambda one: one.auc)
    assert row.layer == 1
    assert row.split == "records"
    assert row.low < row.auc <= row.high
    # Nobody knows how the arms were chosen: no cause is claimed.
    assert "because" not in finding.sentence


def test_a_record_in_two_arms_is_refused(tmp_path):
    folder = write_states(tmp_path / "a", records_of(8), about={"role": "tuned"})
    text = (folder / "items.csv").read_text()
    (folder / "items.csv").write_text(text.replace("seen003,seen", "seen003,control", 1))
    with pytest.raises(InputError, match='record "seen003" is in two arms'):
        read_elsewhere([folder])
