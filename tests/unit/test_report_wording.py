"""What the report says, and what it must never say."""

import re
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.report.people import FOLD_ABOVE, MAX_PEOPLE
from vlmaudit.report.views import view
from vlmaudit.results.numbers import p_number, percent, rate, visible
from vlmaudit.results.records import Estimate, Failures, Gate

HOSTILE = (
    "<script>alert(1)</script>",
    "عائشة الزهراء",
    "Sinéad O'Connor",
    '"><img src=x onerror=alert(1)>',
)


def sentences(thing):
    """Every text of a view, however deep."""
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, tuple):
        for part in thing:
            yield from sentences(part)
    elif is_dataclass(thing):
        for field in fields(thing):
            yield from sentences(getattr(thing, field.name))


def everything(finding):
    return "\n".join(sentences(view(finding)))


@pytest.fixture
def study(findings):
    return findings.make_study()


# The words


@pytest.mark.parametrize("verdict", ["found", "not_found", "inconclusive", "confounded"])
@pytest.mark.parametrize("protocol", ["audit", "paper"])
def test_nobody_is_ever_said_to_have_been_trained_on(findings, verdict, protocol):
    said = everything(findings.make_study(verdict=verdict, protocol=protocol))
    assert "trained on" not in said
    assert "proof of training only comes from randomised planting" in said


@pytest.mark.parametrize("protocol", ["audit", "paper"])
def test_every_verdict_has_its_own_word_and_title(findings, protocol):
    verdicts = ["found", "not_found", "inconclusive", "confounded"]
    heads = [view(findings.make_study(verdict=v, protocol=protocol)).headline for v in verdicts]
    assert [head.word for head in heads] == ["Found", "Not found", "Inconclusive", "Confounded"]
    assert len({head.title for head in heads}) == 4


def test_one_person_is_answered_in_person(findings):
    shown = view(findings.make_finding(people=[findings.person(p=0.003)]))
    assert shown.headline.title == "This model ties this face to this name (p = .003)."
    (person,) = shown.in_words
    assert person.sentence.startswith("this model ties this face to this name (p = .003")
    assert "Of 1,000 comparable names, 0 fitted these pictures as well" in person.evidence
    assert "of 199 comparable people, 0 fitted this name as well" in person.evidence


def test_a_person_not_tied_is_not_cleared(findings):
    person = findings.person(detected=False, p=0.21, p_adjusted=0.21)
    shown = view(findings.make_finding(verdict="not_found", people=[person]))
    assert shown.headline.title == "No tie between this face and this name is shown (p = .210)."
    assert any("does not clear the model" in said for said in shown.does_not_prove)


def test_plain_words_stand_before_the_letter(findings):
    said = everything(findings.make_study(protocol="paper", settings={"tau": 4}))
    assert "at least 4 templates must agree on the true name (τ = 4)" in said
    assert said.index("templates must agree") < said.index("τ")


def test_the_papers_rule_comes_with_no_error_bound_for_one_person(findings):
    shown = view(findings.make_study(protocol="paper"))
    assert any("no error bound for one person" in said for said in shown.does_not_prove)
    assert not any("Benjamini" in said for said in shown.proves)


def test_randomised_planting_is_what_proves_an_effect(findings, study):
    effect = "effect of the planting"
    assert any(effect in said for said in view(study).proves)
    gates = [Gate(name="blind baseline", passed=True, label="balanced", sentence="AUC .52.")]
    assert not any(effect in said for said in view(findings.make_study(gates=gates)).proves)


def test_an_inconclusive_finding_proves_nothing_and_says_why(findings):
    gates = [Gate(name="positive control", passed=False, sentence="2 of 9 people were found.")]
    shown = view(findings.make_study(verdict="inconclusive", gates=gates))
    assert shown.proves == (
        "Nothing yet, in either direction: see the gates and what could not be asked.",
    )
    assert "2 of 9 people were found." in shown.headline.bounds
    assert shown.doubt == "this audit is inconclusive"


@pytest.mark.parametrize("label", ["confounded", "undetermined"])
def test_confounded_rates_are_shown_faintly_and_the_page_says_why(findings, label):
    gates = [Gate(name="blind baseline", passed=False, label=label, sentence="AUC .99.")]
    shown = view(findings.make_study(gates=gates))
    assert "membership could be guessed without the model" in shown.doubt
    rates = [fact for fact in shown.facts if "TPR" in fact.label or "FPR" in fact.label]
    assert len(rates) == 2
    assert all(fact.doubtful for fact in rates)
    assert any("does not use membership" in said for said in shown.proves)


def test_gates_that_failed_come_first_and_unchecked_ones_do_not_pass(findings):
    gates = [
        Gate(name="one", passed=True, sentence="a"),
        Gate(name="two", passed=None, sentence="b"),
        Gate(name="three", passed=False, sentence="c"),
    ]
    shown = view(findings.make_finding(gates=gates)).gates
    assert [(gate.name, gate.mark, gate.state) for gate in shown] == [
        ("Three", "no", "failed"),
        ("Two", "unknown", "could not be checked"),
        ("One", "yes", "passed"),
    ]


# The numbers


def test_none_seen_is_an_upper_limit_and_never_a_bare_zero(findings):
    assert rate(findings.estimate(0, 299)) == "0 of 299: at most 1.2 %"
    assert rate(findings.estimate(0, 60)) == "0 of 60: at most 6.0 %"


def test_all_seen_is_a_lower_limit(findings):
    assert rate(findings.estimate(16, 16)) == "16 of 16: at least 79.4 %"


def test_a_rate_comes_with_its_n_and_its_interval(findings):
    assert rate(findings.estimate(27, 30)) == "27 of 30: 90.0 % (73.5 % to 97.9 %)"
    assert rate(findings.estimate(7.5, 15)) == "n = 15: 50.0 % (23.9 % to 76.1 %)"


def test_zero_false_alarms_are_bounded_on_the_first_screen(findings):
    finding = findings.make_study(
        estimates={"tpr": findings.estimate(0, 144), "fpr": findings.estimate(0, 299)},
        verdict="not_found",
    )
    shown = view(finding)
    assert "False alarms among people never planted: 0 of 299: at most 1.2 %." in (
        shown.headline.bounds
    )
    assert any("0 of 144: at most 2.5 %" in said for said in shown.headline.bounds)
    assert [fact.value for fact in shown.facts if "FPR" in fact.label] == ["at most 1.2 %"]


def test_without_non_members_the_false_alarms_are_said_to_be_unknown(findings):
    bounds = view(findings.make_finding()).headline.bounds
    assert any("was not measured here" in said for said in bounds)


def test_no_rate_on_the_page_is_a_bare_zero(findings):
    finding = findings.make_study(estimates={"fpr": findings.estimate(0, 300)})
    shown = view(finding)
    for table in (shown.group_table, shown.curve_table, shown.estimate_table):
        for row in table.rows:
            for cell in row.cells:
                assert cell.text not in {"0 %", "0.0 %", "0"}


@given(st.floats(0, 1))
def test_only_true_extremes_read_as_extremes(share):
    text = percent(share)
    assert (text == "0 %") == (share == 0)
    assert (text == "100 %") == (share == 1)


@given(st.floats(1e-12, 1))
def test_a_p_value_is_never_zero_and_never_rounded_over_a_level(p):
    text = p_number(p)
    assert not re.fullmatch(r"\.?0+", text)
    assert text.startswith("<") == (p < 0.001)
    if re.fullmatch(r"\.\d+", text):
        for level in (0.05, 0.01, 0.001):
            assert not (float(text) <= level < p)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.05, ".050"),
        (0.0496, ".050"),
        (0.0504, ".0504"),
        (0.05004, ".05004"),
        (0.050000001, "> .050"),
        (0.01004, ".01004"),
        (0.00100001, "> .001"),
        (1 / 1001, "< .001"),
        (1.0, "1"),
    ],
)
def test_a_p_value_that_misses_a_level_does_not_read_as_reaching_it(p, text):
    assert p_number(p) == text


def test_curve_names_what_the_sd_is_not(study):
    shown = view(study)
    assert "SD over draws: how much the choice of pictures matters; not uncertainty." in (
        shown.curve_method
    )
    assert "Pointwise" in shown.curve_method
    first = shown.curve_table.rows[0].cells[1]
    assert first.small == ("30.0 % to 46.5 %", "n = 144", "SD over draws 2.1 %")


def test_paper_curve_has_all_five_rates(findings):
    shown = view(findings.make_study(protocol="paper"))
    headings = [column.heading for column in shown.curve_table.columns]
    for letters in ("TPR", "FPR", "FNR", "TNR", "accuracy"):
        assert sum(letters in heading for heading in headings) == 1


def test_estimates_that_are_no_rates_are_not_percentages(findings, study):
    rows = {row.cells[0].text: row.cells for row in view(study).estimate_table.rows}
    auc = rows["Chance that a member scores above a non-member (AUC)"]
    assert [cell.text for cell in auc[1:4]] == ["n = 540", "0.95", "0.93 to 0.97"]


def test_an_estimate_without_value_is_said_to_be_none(findings):
    empty = Estimate(value=None, low=None, high=None, n=0, method="none")
    assert rate(empty) == "not estimated (n = 0)"
    finding = findings.make_finding(estimates={"tpr": empty, "fpr": empty})
    assert "not estimated" in [fact.value for fact in view(finding).facts]


# Failures


def test_failures_are_counted_with_their_reason(study):
    assert view(study).failures_line == (
        "539 of 540 people could be asked; 1 of 4,320 pictures has no answer: truncated."
    )


def test_several_reasons_are_counted_apart(findings):
    failures = Failures(
        asked=50,
        answered=43,
        failed=7,
        reasons={"truncated": 2, "out of memory": 5},
        people_asked=5,
    )
    assert view(findings.make_finding(failures=failures)).failures_line == (
        "All 5 people could be asked; 7 of 50 pictures have no answer: "
        "5 × out of memory, 2 × truncated."
    )


def test_no_failures_is_said_too(findings):
    failures = Failures(asked=8, answered=8, failed=0, people_asked=2)
    assert view(findings.make_finding(failures=failures)).failures_line == (
        "All 2 people and all 8 pictures could be asked."
    )
    assert view(findings.make_finding()).failures_line == (
        "The one person and all 8 pictures could be asked."
    )


def test_the_lost_and_the_undecided_are_named(study):
    said = view(study).failure_sentences
    assert "No picture could be asked of: person-540." in said
    assert any("No decision for 1 person: too few matched people" in one for one in said)


# People


def test_people_are_ordered_by_p_then_strength(findings):
    people = [
        findings.person("late", p=0.4, z=9.0),
        findings.person("weak", p=0.01, z=3.0),
        findings.person("strong", p=0.01, z=5.0),
        findings.person("none", p=None, z=None, detected=None),
    ]
    rows = view(findings.make_finding(people=people)).people.shown.rows
    assert [row.cells[0].small[0] for row in rows] == ["strong", "weak", "late", "none"]


def test_long_tables_fold_the_unremarkable_but_lose_nobody(study):
    people = view(study).people
    assert people.folded is not None
    assert len(people.shown.rows) + len(people.folded.rows) == 540 > FOLD_ABOVE
    assert {row.mark for row in people.folded.rows} == {"no"}
    # False alarms and people without a decision stay in sight.
    assert sum(row.mark == "unknown" for row in people.shown.rows) == 1
    assert sum(row.mark == "yes" for row in people.shown.rows) == 109
    assert people.folded_summary.startswith(f"{len(people.folded.rows)} more: people never planted")


def test_short_tables_fold_nobody(findings):
    people = [findings.person(f"p{i}", membership="non_member", detected=False) for i in range(20)]
    assert view(findings.make_finding(people=people)).people.folded is None


def test_very_many_people_are_cut_and_the_page_says_so(findings):
    people = [
        findings.person(f"p{i}", detected=i >= MAX_PEOPLE, p=0.5 if i < MAX_PEOPLE else 0.9)
        for i in range(MAX_PEOPLE + 7)
    ]
    tables = view(findings.make_finding(people=people)).people
    assert len(tables.shown.rows) == MAX_PEOPLE
    assert sum(row.mark == "yes" for row in tables.shown.rows) == 7
    assert "5,000 of 5,007" in tables.left_out
    assert "units.parquet" in tables.left_out


def test_columns_nobody_has_a_value_for_are_left_out(findings):
    bare = findings.person(
        z=None, p=None, p_adjusted=None, p_names=None, p_faces=None, n_names=None, n_faces=None
    )
    columns = view(findings.make_finding(people=[bare], protocol="paper")).people.shown.columns
    assert [column.heading for column in columns] == [
        "Person",
        "Decision",
        "Membership",
        "Pictures",
        "Votes",
    ]


def test_no_decision_is_its_own_mark(findings):
    people = [findings.person(detected=None, note="too few names.")]
    (row,) = view(findings.make_finding(people=people)).people.shown.rows
    assert row.mark == "unknown"
    assert row.cells[1].text == "no decision"
    assert row.cells[1].small == ("too few names.",)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_as_they_are_in_the_words(findings, name):
    shown = view(findings.make_finding(people=[findings.person(name=name)]))
    assert shown.people.shown.rows[0].cells[0].text == name


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("Ada\x1b]8;;http://x\x07", "Ada\ufffd]8;;http://x\ufffd"),
        ("Ada\u202eevil", "Ada\ufffdevil"),
        ("Ada\nLovelace", "Ada Lovelace"),
        ("نام\u200cخانوادگی", "نام\u200cخانوادگی"),
    ],
)
def test_what_would_act_on_a_terminal_becomes_visible(name, seen):
    assert visible(name) == seen


# Chart and table, settings, repetition


def test_charts_and_tables_show_the_same_numbers(study):
    shown = view(study)
    rows = shown.group_table.rows
    assert [row.cells[0].text for row in rows] == [group.label for group in shown.groups]
    sizes = {point.pictures for one in shown.series for point in one.points}
    assert [row.cells[0].text for row in shown.curve_table.rows] == [str(s) for s in sorted(sizes)]


def test_shapes_are_explained_only_where_drawn(findings, study):
    assert [kind for kind, _ in view(study).group_key] == ["member", "other", "neither"]
    groups = [group for group in study.groups if group.is_member]
    assert [kind for kind, _ in view(findings.make_study(groups=groups)).group_key] == ["member"]


def test_repetition_uses_the_settings_and_quotes_what_a_shell_would_obey(findings):
    model = findings.MODEL.model_copy(update={"name": "hf:./x; rm -rf ~"})
    first, second = view(findings.make_finding(model=model)).repeat
    assert "--model 'hf:./x; rm -rf ~'" in first
    assert "--tau 1 --alpha 0.05 --seed 7" in first
    assert second == "vlmaudit conclude RUN --protocol audit"


def test_a_table_of_votes_is_concluded_again_from_that_table(findings):
    shown = view(findings.make_finding(model=None))
    assert shown.repeat == (
        "vlmaudit conclude --votes VOTES --names NAMES --people PEOPLE --protocol audit --out RUN",
    )
    assert shown.provenance_table.rows[0].cells[1].text == (
        "none asked: concluded from a table of votes"
    )
