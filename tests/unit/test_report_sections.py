"""Occurrences, matrices, both protocols and claims, in words and tables."""

import pytest

from vlmaudit.report.comparison import NAMED, why
from vlmaudit.report.grids import _placed, _Text, _thinned
from vlmaudit.report.views import view
from vlmaudit.results.numbers import brief, people_of, whole


@pytest.fixture
def study(findings):
    return findings.make_study()


def cells(table, row):
    return [cell.text for cell in table.rows[row].cells]


# Occurrences


def test_plantings_are_asked_about_where_there_are_some(findings, study):
    assert view(study).occurrences.title == "How often must somebody be planted?"
    people = [one.model_copy(update={"arm": ""}) for one in study.people]
    captions = view(findings.make_study(people=people)).occurrences
    assert captions.title == "How often must captions name somebody?"
    assert captions.axis == "Captions of the training data that name the person"


def test_a_bin_says_its_people_and_both_rules(study):
    table = view(study).occurrences.table
    assert [column.heading for column in table.columns] == [
        "How often face and name were planted together",
        "People",
        "Detected by the test",
        "95 % interval",
        "Flagged by votes, 7 pictures each",
        "Counts as",
    ]
    assert cells(table, 2) == [
        "planted 4 times",
        "36",
        "77.8 %",
        "60.8 % to 89.9 %",
        "58.1 %",
        "TPR",
    ]
    assert table.rows[2].cells[4].small == ("40.5 % to 74.2 %", "n = 36")
    assert cells(table, 0)[-1] == "FPR"


def test_the_heat_map_has_a_column_for_every_number_of_pictures(study):
    occurrences = view(study).occurrences
    headings = [column.heading for column in occurrences.heat_table.columns]
    assert headings == ["Group", "1 picture", "3 pictures", "5 pictures", "7 pictures"]
    assert len(occurrences.heat_table.rows) == 5


def test_a_bin_of_nobody_says_nothing_rather_than_none(findings, study):
    empty = study.occurrences[2].model_copy(
        update={"people": 0, "detected": findings.estimate(0, 0), "by_votes": []}
    )
    rows = [*study.occurrences[:2], empty, *study.occurrences[3:]]
    shown = view(findings.make_study(occurrences=rows)).occurrences
    assert cells(shown.table, 2)[1:5] == ["0", "not estimated", "–", "–"]
    assert cells(shown.heat_table, 2)[1:] == ["–"] * 4


def test_occurrences_are_shown_once(findings, study):
    groups = [
        *study.groups,
        study.groups[1].model_copy(update={"kind": "occurrences", "group": "named often"}),
    ]
    labels = [one.label for one in view(findings.make_study(groups=groups)).groups]
    assert "named often" not in labels
    # A finding from before there were bins keeps them where they stood.
    labels = [one.label for one in view(findings.make_study(groups=groups, occurrences=[])).groups]
    assert "named often" in labels


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        (list(range(1, 8)), list(range(1, 8))),
        ([1, *range(3, 30, 2), 30], [1, 5, 11, 17, 21, 25, 30]),
    ],
)
def test_a_narrow_heat_map_keeps_the_first_and_the_last_size(sizes, shown):
    assert _thinned(sizes, 7) == shown


def test_a_cell_s_interval_runs_from_its_left_edge_to_its_right():
    cell = {"x": 3, "y": 1.0, "tall": 0.5, "low": 0.0, "value": 0.25, "high": 1.0}
    (placed,) = _placed([cell], [_Text("said", 0.4, 13, 600)])
    limits = [placed[f"x_{limit}"] for limit in ("low", "value", "high")]
    assert limits == pytest.approx([3.1, 3.3, 3.9])
    assert (placed["x_end"], placed["y_end"], placed["said_at"]) == (4, 1.5, 1.2)
    nobody = cell | {"low": None, "value": None, "high": None}
    assert _placed([nobody], [])[0]["x_value"] is None


# Matrices


def test_a_matrix_counts_people_and_gives_their_rates(study):
    table = view(study).matrix_table
    assert cells(table, 0) == [
        "By votes, 1 picture each",
        "Planted people",
        "55.65 of 144",
        "88.35 of 144",
    ]
    assert table.rows[0].cells[2].small == ("38.6 %", "30.7 % to 47.1 %")
    assert cells(table, 5)[:2] == ["By the test, all pictures", "Never planted"]
    right = [[cell.is_right for cell in matrix.cells] for matrix in view(study).matrices]
    assert right == [[True, False, False, True]] * 3


# Both protocols


def test_one_sentence_says_where_the_two_agree(study):
    sentence = view(study).comparison.sentence
    found = study.comparison
    paper, audit = found.readings
    assert sentence == (
        f"From the same answers the paper's protocol flags {paper.flagged} of 540 people, the"
        f" audit's {audit.flagged} of 539 people: both flag {found.both}, only the paper's"
        f" {found.only_paper}, only the audit's {found.only_audit}, neither {found.neither}; on 1"
        " person one of them does not decide."
    )


def test_the_readings_stand_side_by_side_and_say_which_is_this_finding(study):
    table = view(study).comparison.readings
    assert [(column.heading, column.hint) for column in table.columns] == [
        ("What", ""),
        ("Paper protocol", ""),
        ("Audit protocol", "this finding"),
    ]
    rule = cells(table, 0)
    assert rule[1] == "votes: at least 1 template must agree on the true name (τ = 1)"
    assert "at most 5 % of the detections" in rule[2]


@pytest.mark.parametrize(
    ("flagged_by", "kind", "words"),
    [
        ("paper", "names_fit", "the name fits many faces"),
        ("paper", "faces_fit", "the face fits many names"),
        ("paper", "both_fit", "other faces this name"),
        ("paper", "correction", "with everybody allowed for"),
        ("paper", "pool", "not among comparable ones"),
        ("audit", "pool", "the paper's pool holds one that fits better"),
        ("audit", "ties", "a shared place counts for nobody"),
        ("audit", "never_first", "nearest too rarely"),
    ],
)
def test_every_reason_has_its_words(study, flagged_by, kind, words):
    difference = study.comparison.differences[0].model_copy(
        update={"flagged_by": flagged_by, "kind": kind}
    )
    assert words in why(difference)


def test_where_there_is_no_decision_the_reason_is_quoted(study):
    assert why(study.comparison.differences[-1]) == (
        "the audit does not decide: too few matched people to compare with (12; 19 are needed)"
    )


def test_people_who_differ_are_named_or_counted_and_carry_their_reason(study):
    shown = view(study)
    first = study.comparison.differences[0]
    who = shown.comparison.differences.rows[0].cells[3]
    assert len(who.names) == NAMED < first.n
    assert who.small == (f"and {first.n - NAMED} more: see the table of people",)
    column = [one.heading for one in shown.people.shown.columns].index("By the paper")
    reasons = {
        row.cells[0].small[0]: row.cells[column]
        for table in (shown.people.shown, shown.people.folded)
        for row in table.rows
    }
    for identity in first.people:
        assert reasons[identity].text == "flagged"
        assert reasons[identity].small == (why(first),)


def test_the_paper_s_finding_has_a_column_for_the_audit(findings):
    shown = view(findings.make_study(protocol="paper"))
    headings = [column.heading for column in shown.people.shown.columns]
    assert "By the audit" in headings
    assert "By the paper" not in headings


def test_a_finding_from_before_has_neither_comparison_nor_claims(findings):
    shown = view(findings.make_finding())
    assert shown.comparison is None
    assert shown.claims is None
    assert shown.matrices == ()
    assert shown.occurrences.bins == ()


# Claims


def test_claims_say_what_they_take_and_what_this_study_has(study):
    claims = view(study).claims
    assert claims.sentence == (
        "This study has 300 people never planted, and 1 of them was flagged: the rate of false"
        " alarms is at most 1.6 % (one-sided 95 % limit)."
    )
    assert [cells(claims.table, row) for row in range(4)] == [
        ["nobody flagged wrongly", "59", "149", "299"],
        ["1 person flagged wrongly", "93", "236", "473"],
        ["2 people flagged wrongly", "124", "313", "628"],
        ["3 people flagged wrongly", "153", "386", "773"],
    ]
    here = claims.table.rows[1].cells
    assert here[0].small == ("this study, with 300",)
    assert [cell.small for cell in here[1:]] == [
        ("holds here",),
        ("holds here",),
        ("does not hold here",),
    ]


def test_without_non_members_there_is_nothing_to_claim(findings, study):
    claims = study.claims.model_copy(update={"known": 0, "flagged": 0, "upper": None})
    assert "can claim nothing about false alarms" in (
        view(findings.make_study(claims=claims)).claims.sentence
    )


# Numbers where there is no room


def test_short_forms_stay_limits(findings):
    assert brief(findings.estimate(0, 60)) == "≤ 6.0 %"
    assert brief(findings.estimate(16, 16)) == "≥ 79.4 %"
    assert whole(findings.estimate(0, 300)) == "≤ 2"
    assert whole(findings.estimate(36, 36)) == "≥ 90"
    assert whole(findings.estimate(299.8, 300)) == "> 99"
    assert whole(findings.estimate(0.4, 300)) == "< 1"
    assert people_of(1234.5, 2000) == "1,234.5 of 2,000"
