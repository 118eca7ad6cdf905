"""The demo, whole: what was planted is found, and what was not is not.

One target is trained once for all these tests; it takes minutes, so the tests share it.
"""

import json
import re

import polars as pl
import pytest
from rich.console import Console
from scipy.special import bdtr

from vlmaudit.report.html import render
from vlmaudit.stats.intervals import clopper_pearson
from vlmaudit.studies.demo import run_demo

pytestmark = [pytest.mark.torch, pytest.mark.timeout(1500)]

ALPHA = 0.05


def allowed(n, level=ALPHA):
    """As many as a sound test exceeds once in a thousand times."""
    return next(k for k in range(n + 1) if bdtr(k, n, level) >= 0.999)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return run_demo(out, seed=0, console=Console(quiet=True)), out


@pytest.fixture
def finding(demo):
    return demo[0].identity


@pytest.fixture
def named(demo):
    return demo[0].named


@pytest.fixture
def anonymised(demo):
    return demo[0].anonymised


def group(finding, words):
    return next(row for row in finding.groups if row.group == words)


def test_the_answer_is_that_people_are_known(finding):
    assert finding.verdict == "found"
    assert {gate.name: gate.passed for gate in finding.gates if gate.passed is False} == {}


def test_people_planted_sixteen_times_or_more_are_detected(finding):
    often = [
        row for row in finding.people if row.membership == "member" and (row.occurrences or 0) >= 16
    ]
    assert len(often) >= 30
    found = sum(bool(row.detected) for row in often)
    # 27 of 30 has its lower limit at .735; 70 % is what the audit must be able to promise.
    low = clopper_pearson(found, len(often)).low
    assert low >= 0.70
    assert low > finding.estimates["fpr"].high


def test_detection_rises_with_the_dose(finding):
    rates = [row.detected.value for row in finding.groups if row.kind == "dose" and row.is_member]
    assert rates == sorted(rates)


def test_the_never_planted_are_at_their_level(finding):
    never = [row for row in finding.people if row.membership == "non_member"]
    assert len(never) >= 299
    assert sum(row.p <= ALPHA for row in never if row.p is not None) <= allowed(len(never))
    chance = next(test for test in finding.tests if test.name.startswith("votes of the absent"))
    assert chance.p >= 0.01


@pytest.mark.parametrize("words", ["name planted with strangers", "face and name planted apart"])
def test_names_and_faces_that_were_never_together_are_not_detected(finding, words):
    arm = [row for row in finding.people if row.arm == words]
    assert len(arm) >= 60
    assert sum(row.p <= ALPHA for row in arm if row.p is not None) <= allowed(len(arm))
    assert sum(bool(row.detected) for row in arm) <= 2


def test_membership_replays_from_the_seed(finding):
    gate = next(gate for gate in finding.gates if gate.name == "blind baseline")
    assert gate.label == "randomised"


def test_the_truncated_picture_is_counted(demo, finding):
    _, out = demo
    assert finding.failures.failed == 1
    assert "truncated" in next(iter(finding.failures.reasons))
    failed = pl.read_parquet(out / "run" / "outcomes.parquet").filter(pl.col("status") == "failed")
    assert len(failed) == 1


def test_the_page_says_all_this_itself(finding):
    text = re.sub(r"<[^>]+>", " ", render(finding))
    for words in (
        "never planted",
        "planted 64 times",
        "name planted with strangers",
        "face and name planted apart",
        "truncated",
    ):
        assert words in text


def test_the_paper_s_protocol_reads_the_same_run(demo, finding):
    _, out = demo
    paper = json.loads((out / "run" / "finding.paper.json").read_text())
    scores = {row["identity"]: row["score"] for row in paper["people"]}
    assert scores == {row.identity: row.paper_score for row in finding.people}


def arm(found, words):
    return next(row for row in found.arms if row.arm == words)


def test_a_model_aligned_with_names_says_who_was_exposed_and_nobody_else(named):
    assert named.verdict == "found"
    assert {gate.name: gate.passed for gate in named.gates if gate.passed is False} == {}
    exposed, others = arm(named, "exposed, aligned with names"), arm(named, "never exposed")
    assert (exposed.people, others.people) == (24, 24)
    assert exposed.rate.low > others.rate.high
    assert others.rate.value == 0
    detected = [row.arm for row in named.people if row.detected]
    assert set(detected) == {"exposed, aligned with names"}
    assert clopper_pearson(len(detected), exposed.people).low >= 0.70


def test_it_says_names_though_nobody_asked(named):
    unasked = named.estimates["implicit_leakage"]
    assert unasked.low > 0


def test_it_calls_the_never_exposed_by_somebody_s_name_and_the_null_sees_it(named):
    """Why a rate without its null says nothing: names are said of everybody."""
    others = arm(named, "never exposed")
    assert others.wrong.value > 0.1
    assert others.p > 0.01


def test_likelihood_agrees_with_what_is_said(named):
    known = [row.arm for row in named.people if row.known_by_likelihood]
    assert known.count("never exposed") <= 1
    # 10 or more than 11 of 24, by the processor's arithmetic.
    assert known.count("exposed, aligned with names") >= 10


def test_the_same_parts_aligned_without_names_name_nobody(anonymised):
    """The paper's hypothesis as an experiment, as it came out here: one model of each kind."""
    assert anonymised.estimates["leak_rate"].value == 0
    assert anonymised.verdict == "not_found"
    question = arm(anonymised, "exposed, aligned without names")
    assert question.is_member is None
    against = [row for row in anonymised.contrasts if row.kind == "model"]
    assert len(against) == 5
    asked = next(row for row in against if row.first.endswith("(original: P2)"))
    assert asked.difference.high < 0
    assert asked.p < 0.01


def test_what_parts_have_seen_shows_in_which_names_are_likely(anonymised):
    """Names that the parts have read are likelier than others, whoever is in the picture."""
    ranks = {
        words: sorted(row.rank for row in anonymised.people if row.arm == words)
        for words in ("exposed, aligned without names", "never exposed")
    }
    middle = {words: found[len(found) // 2] for words, found in ranks.items()}
    assert middle["exposed, aligned without names"] < middle["never exposed"] / 2


def test_the_demo_again_trains_and_asks_nothing(demo):
    found, out = demo
    weights = [*out.rglob("*.safetensors")]
    findings = [*out.glob("*/finding.json")]
    before = {path: path.stat().st_mtime_ns for path in weights}
    said = {path: path.read_bytes() for path in findings}
    assert (len(weights), len(findings)) == (4, 3)
    again = run_demo(out, seed=0, console=Console(quiet=True))
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in weights} == before
    assert {path: path.read_bytes() for path in findings} == said
