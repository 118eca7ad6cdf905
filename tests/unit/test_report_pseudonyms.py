"""A finding that somebody may see who must not know whom it is about."""

import csv
import io
import json
import stat

import pytest
from rich.console import Console

from vlmaudit.audits.identity_inference.run import to_json
from vlmaudit.errors import RunError
from vlmaudit.report.html import render, write_report
from vlmaudit.report.pseudonyms import (
    FILE,
    Pseudonyms,
    draw_pseudonyms,
    kept_pseudonyms,
    under_pseudonyms,
)
from vlmaudit.report.text import print_finding
from vlmaudit.results.records import Failures, Gate

HOSTILE = "<script>alert(1)</script>"
NAMES = (
    HOSTILE,
    "عائشة الزهراء",
    "Sinéad O'Connor",
    "x" * 200,
    "王小明",
    "Adrianne León",
    "Dr. (Who) [a-z]*",
)


@pytest.fixture
def study(findings):
    """Forty people, seven of whom have names that are not easily replaced."""
    whole = findings.make_study(names=NAMES)
    people = [
        one.model_copy(update={"identity": f"{one.name.replace(' ', '_')}-{place}"})
        for place, one in enumerate(whole.people[:40])
    ]
    lost = "Nobody_Home"
    return whole.model_copy(
        update={
            "people": people,
            "comparison": findings.comparison(people),
            "failures": Failures(
                asked=9,
                answered=7,
                failed=2,
                reasons={f"{NAMES[2]}/3.jpg is gone": 1, "truncated": 1},
                people_asked=40,
                people_lost=[lost],
            ),
        }
    )


def everything(finding):
    """All that is shown or handed on of a finding."""
    out = io.StringIO()
    print_finding(finding, Console(file=out, width=200))
    # Escaped and as it is: whoever reads the source must find nothing either.
    return "\n".join((render(finding), out.getvalue(), to_json(finding)))


def words(finding):
    return {one.identity for one in finding.people} | {one.name for one in finding.people}


def test_no_name_and_no_identity_is_left_anywhere(study):
    shown = everything(under_pseudonyms(study, draw_pseudonyms(study)))
    for name in [*words(study), "Nobody_Home"]:
        for written in (name, json.dumps(name)[1:-1], name.replace("<", "&lt;")):
            assert written not in shown


def test_sentences_notes_reasons_and_the_model_s_name_are_gone_through(study):
    told = study.model_copy(
        update={
            "sentence": f"{NAMES[2]} is tied, and SINEAD O'CONNOR too; Adrianne_Leon is not.",
            "gates": [Gate(name=NAMES[5], passed=None, sentence=f"not for {NAMES[4]}.")],
            "notes": [f"{NAMES[6]}: 3 of 40."],
            "model": study.model.model_copy(update={"name": f"hf:{NAMES[5]}-clip"}),
        }
    )
    called = draw_pseudonyms(told)
    of = {row.name: called.of[row.identity] for row in told.people}
    hidden = under_pseudonyms(told, called)
    sinead, adrianne = of[NAMES[2]], of[NAMES[5]]
    assert hidden.sentence == f"{sinead} is tied, and {sinead} too; {adrianne} is not."
    assert hidden.gates[0].name == adrianne
    assert hidden.gates[0].sentence == f"not for {of[NAMES[4]]}."
    assert hidden.notes == [f"{of[NAMES[6]]}: 3 of 40."]
    assert hidden.model.name == f"hf:{adrianne}-clip"
    assert hidden.failures.reasons == {f"{sinead}/3.jpg is gone": 1, "truncated": 1}


def test_examples_and_namesakes_go_also_where_they_are_nobody_of_the_study(study):
    told = study.model_copy(
        update={
            "notes": [
                "3 folders are not in people.csv and were left out, such as Tatyana_M._Ali.",
                "Controls: c01 and c02 bear the same name: it counts as right for each of them.",
            ]
        }
    )
    assert under_pseudonyms(told, draw_pseudonyms(told)).notes == [
        "3 folders are not in people.csv and were left out.",
        "Controls: Several people bear the same name: it counts as right for each of them.",
    ]


def test_everybody_has_one_pseudonym_whose_order_tells_nothing(study):
    called = draw_pseudonyms(study)
    assert sorted(called.of.values()) == [f"person-{place:03d}" for place in range(1, 42)]
    by_identity = [called.of[identity] for identity in sorted(called.of)]
    assert by_identity != sorted(by_identity)
    assert by_identity != sorted(by_identity, reverse=True)
    hidden = under_pseudonyms(study, called)
    # Rows stand in the pseudonyms' order, so that their places tell nothing either.
    assert [row.identity for row in hidden.people] == sorted(row.identity for row in hidden.people)
    assert all(row.identity == row.name for row in hidden.people)


def test_the_same_finding_gives_the_same_pseudonyms_and_another_seed_others(study):
    assert draw_pseudonyms(study) == draw_pseudonyms(study)
    other = study.model_copy(update={"settings": study.settings | {"seed": 8}})
    assert draw_pseudonyms(other) != draw_pseudonyms(study)


def test_who_knows_the_people_and_the_seed_cannot_draw_them_again(study):
    row = study.people[0]
    other = [row.model_copy(update={"z": (row.z or 0) + 0.01}), *study.people[1:]]
    assert draw_pseudonyms(study.model_copy(update={"people": other})) != draw_pseudonyms(study)


def test_nothing_but_names_changes(study):
    called = draw_pseudonyms(study)
    hidden = under_pseudonyms(study, called)
    rows = {row.identity: row for row in hidden.people}
    for row in study.people:
        seen = rows[called.of[row.identity]]
        assert row.model_dump(exclude={"identity", "name"}) == (
            seen.model_dump(exclude={"identity", "name"})
        )
    for field in ("estimates", "tests", "groups", "curve", "occurrences", "claims", "confusions"):
        assert getattr(hidden, field) == getattr(study, field)
    for before, after in zip(
        study.comparison.differences, hidden.comparison.differences, strict=True
    ):
        assert sorted(called.of[one] for one in before.people) == after.people
    assert hidden.pseudonyms
    assert under_pseudonyms(hidden, called) == hidden


def test_the_page_says_that_these_are_pseudonyms(study):
    hidden = under_pseudonyms(study, draw_pseudonyms(study))
    assert "who is who is kept with the run" in render(hidden)
    assert "It names people" not in render(hidden)


@pytest.mark.parametrize(
    ("identities", "sentence"),
    [
        (["1", "2", "40"], "1 of 40 people, or 2.5 %, has a p of .05."),
        (["a", "p", "of"], "1 of 40 people, or 2.5 %, has a p of .05."),
    ],
)
def test_identities_that_are_our_own_words_spoil_no_sentence(findings, identities, sentence):
    people = [findings.person(one, name=f"Name {place}") for place, one in enumerate(identities)]
    finding = findings.make_finding(people=people, sentence=sentence)
    hidden = under_pseudonyms(finding, draw_pseudonyms(finding))
    assert hidden.sentence == sentence
    assert {row.identity for row in hidden.people} == {"person-001", "person-002", "person-003"}


def test_numbers_as_identities_are_hidden_where_people_are_listed(findings):
    failures = Failures(asked=3, answered=2, failed=1, people_asked=1, people_lost=["7", "12"])
    people = [findings.person("3", name="Ada Lovelace")]
    finding = findings.make_finding(people=people, failures=failures)
    hidden = under_pseudonyms(finding, draw_pseudonyms(finding))
    called = {hidden.people[0].identity, *hidden.failures.people_lost}
    assert called == {"person-001", "person-002", "person-003"}


def test_somebody_called_like_a_verdict_leaves_the_verdict(findings):
    people = [
        findings.person(name, name=name) for name in ("found", "audit", "dose", "TPR", "people")
    ]
    finding = findings.make_study().model_copy(update={"people": people, "comparison": None})
    hidden = under_pseudonyms(finding, draw_pseudonyms(finding))
    assert (hidden.verdict, hidden.protocol) == ("found", "audit")


def test_namesakes_are_told_apart_in_rows_and_both_meant_in_sentences(findings):
    people = [findings.person(one, name="Ada Lovelace") for one in ("ada-1", "ada-2")]
    finding = findings.make_finding(people=people, sentence="Ada Lovelace is tied.")
    hidden = under_pseudonyms(finding, draw_pseudonyms(finding))
    assert hidden.sentence == "person-001 or person-002 is tied."
    assert len({row.name for row in hidden.people}) == 2


def test_identities_that_look_like_pseudonyms_are_replaced_once(findings):
    people = [findings.person(f"person-{place:03d}", name=f"N. {place}") for place in range(1, 31)]
    said = "person-001, person-002 and person-003 differ."
    finding = findings.make_finding(people=people, sentence=said)
    called = draw_pseudonyms(finding)
    assert under_pseudonyms(finding, called).sentence == (
        "{}, {} and {} differ.".format(*(called.of[f"person-00{place}"] for place in (1, 2, 3)))
    )


# What is kept


def test_the_list_is_kept_for_its_owner_alone(study, tmp_path):
    called = kept_pseudonyms(study, tmp_path / "private")
    path = tmp_path / "private" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    assert {row["identity"]: row["pseudonym"] for row in rows} == called.of
    assert {row["identity"]: row["name"] for row in rows} == called.names
    assert called.names[study.people[1].identity] == NAMES[1]


def test_pseudonyms_stay_when_others_come_or_numbers_change(study, findings, tmp_path):
    before = kept_pseudonyms(study, tmp_path)
    changed = [row.model_copy(update={"z": 1.0}) for row in study.people[5:]]
    newcomer = findings.person("newcomer", name="New Comer")
    after = kept_pseudonyms(study.model_copy(update={"people": [*changed, newcomer]}), tmp_path)
    assert after.of == before.of | {"newcomer": "person-042"}
    # Who left keeps name and pseudonym: an older page may show them still.
    assert after.names == before.names | {"newcomer": "New Comer"}


@pytest.mark.parametrize("content", ["", "identity,name\n", "\x00", "a,b\n1,2\n"])
def test_a_damaged_list_is_never_silently_drawn_anew(study, tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(RunError, match="not a list of pseudonyms"):
        kept_pseudonyms(study, tmp_path)


def test_figures_name_nobody_under_any_name(study, tmp_path):
    write_report(study, tmp_path)
    for path in (tmp_path / "figures").glob("*.svg"):
        text = path.read_text("utf-8")
        assert not any(name in text for name in words(study))
        assert "person-" not in text


def test_people_without_a_name_of_letters_are_still_called_something(findings):
    finding = findings.make_finding(people=[findings.person("…", name="—")], sentence="Well — so.")
    hidden = under_pseudonyms(finding, Pseudonyms({"…": "person-001"}, {"…": "—"}))
    assert hidden.people[0].name == "person-001"
