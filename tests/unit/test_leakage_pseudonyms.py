"""A name-leakage finding and its answers that somebody may see who must not know whom they name."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from vlmaudit.report.leakage.name_hiding import NameHider
from vlmaudit.report.leakage.page import render
from vlmaudit.report.leakage.pseudonyms import answers_under_pseudonyms, leakage_under_pseudonyms
from vlmaudit.report.pseudonyms import Pseudonyms
from vlmaudit.results.records import Failures


@pytest.fixture(scope="module")
def leakage():
    """Builders of hand-made findings and answers."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "leakage_findings.py")))


NAMES = {
    "p1": "Adrianne León",
    "p2": "عائشة الزهراء",
    "p3": "王小明",
    "p4": "Will May",
    "p5": "Mary Jane O'Neil Jr.",
    "p6": "Pedro León",
    "Tilda_Sommer": "Tilda Sommer",
}


@pytest.fixture(scope="module")
def pseudonyms():
    of = {identity: f"person-{place:03}" for place, identity in enumerate(NAMES, 1)}
    return Pseudonyms(of, NAMES)


@pytest.fixture(scope="module")
def hider(pseudonyms):
    return NameHider(
        {identity: (pseudonyms.of[identity], name) for identity, name in NAMES.items()}
    )


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("It is Adrianne León.", "It is person-001."),
        ("ADRIANNE  LEON!", "person-001!"),
        ("adrianne\nleo\u0301n's dress", "person-001's dress"),
        ("León, Adrianne", "person-001"),
        ("A. León and A León", "person-001 and person-001"),
        ("#adrianneleon", "#person-001"),
        ("Adrianne_León", "person-001"),
        ("the actress Leon", "the actress person-001 or person-006"),
        ("adrianne alone", "[given name] alone"),
        ("a leonine face", "a leonine face"),
        ("هذه عائشة الزهراء في", "هذه person-002 في"),
        ("وعائشة الزهراء", "وperson-002"),
        ("这是王小明的照片", "这是person-003的照片"),
        ("it will be so, it may", "it will be so, it may"),
        ("Will is here; WILL MAY", "[given name] is here; person-004"),
        ("Mary Jane O’Neil, Mary O'Neil, M. J. O'Neil, Mr. O`Neil Jr.",
         "person-005, person-005, person-005, Mr. person-005 Jr."),
        ("Mary Jane O'Neil Jr. smiles", "person-005 smiles"),
        ("tilda sommer / tilda_sommer", "person-007 / person-007"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_name_goes_in_whatever_form_it_stands(leakage, pseudonyms, text, hidden):
    answers = pl.DataFrame([leakage.answer("p1", "a.jpg", text, None)])
    assert answers_under_pseudonyms(answers, pseudonyms)["answer"].to_list() == [hidden]


def test_in_our_sentences_a_lone_word_is_a_name_only_as_written(hider):
    sentence = (
        "A name may have come later; it will, in a sommer. May is one, León as well, Adrianne León"
        " too."
    )
    assert hider.hide(sentence) == (
        "A name may have come later; it will, in a sommer. person-004 is one, person-001 or"
        " person-006 as well, person-001 too."
    )


@pytest.mark.parametrize("said", ["adrianne leon", "adrianne", "leon"])
def test_spans_stay_around_the_name(leakage, pseudonyms, said):
    text = "Tilda Sommer beside adrianne leon, and Pedro León."
    start = text.index(said)
    row = leakage.answer("p1", "a.jpg", text, (start, start + len(said)))
    (hidden,) = answers_under_pseudonyms(pl.DataFrame([row]), pseudonyms).iter_rows(named=True)
    assert hidden["answer"] == "person-007 beside person-001, and person-006."
    assert hidden["answer"][hidden["start"] : hidden["end"]] == "person-001"
    assert hidden["identity"] == "person-001"


def test_what_the_matcher_found_goes_also_where_we_would_not_find_it(leakage, pseudonyms):
    # An alias, and a name within a longer word, as the paper's rule finds it.
    for said in ("Addie L.", "Will May"):
        text = f"{said}hew it is, {said}hew"
        row = leakage.answer("p4", "a.jpg", text, (0, len(said)))
        (hidden,) = answers_under_pseudonyms(pl.DataFrame([row]), pseudonyms).iter_rows(named=True)
        assert hidden["answer"].startswith("person-004hew")
        assert hidden["answer"][hidden["start"] : hidden["end"]] == "person-004"


def test_pictures_lose_their_names(leakage, pseudonyms):
    rows = [
        leakage.answer("p1", image, "No.", None)
        for image in ("León/gala.jpg", "León/at home.jpg", "León/gala.jpg", "")
    ]
    hidden = answers_under_pseudonyms(pl.DataFrame(rows), pseudonyms)
    assert hidden["image"].to_list() == ["picture 3", "picture 2", "picture 3", ""]


def test_the_whole_page_names_nobody(leakage):
    # Not Will May, whose name is words of ours.
    names = tuple(name for name in NAMES.values() if " " in name and name != "Will May")
    study = leakage.make_study(names=names).model_copy(
        update={
            "notes": ["People share a name, such as Somebody Else.", f"{names[0]} is alone."],
            "failures": Failures(
                asked=9,
                answered=7,
                failed=2,
                unit="request",
                reasons={f"{names[0]}/3.jpg is gone": 2},
                people_asked=60,
                people_lost=["Nobody_Home"],
            ),
        }
    )
    of = {one.identity: f"person-{place:03}" for place, one in enumerate(study.people, 500)}
    called = Pseudonyms(
        of | {"Nobody_Home": "person-499"},
        {one.identity: one.name for one in study.people} | {"Nobody_Home": "Nobody Home"},
    )
    hidden, answers = leakage_under_pseudonyms(study, leakage.make_answers(study), called)
    assert hidden.pseudonyms
    page = render(hidden, answers).split("<script>")[0]
    for person in study.people:
        assert person.identity not in page
        for part in person.name.split():
            assert not re.search(rf"(?<!\w){re.escape(part)}(?!\w)", page), part
    assert "Somebody Else" not in page
    assert "Nobody_Home" not in page
    assert "person-499" in page
    assert page.count("<mark>person-5") > 50
    # Once more changes nothing: what is hidden stays.
    assert leakage_under_pseudonyms(hidden, None, called) == (hidden, None)


def test_a_condition_is_nobodys_name(leakage):
    """Somebody may be filed as `pixelated`: what was done to pictures must not change with it."""
    study = leakage.make_study(
        n=4, names=("ada pixelated", "Betty White", "Ada Face", "Ada Largest")
    )
    people = [
        row.model_copy(update={"identity": identity})
        for row, identity in zip(study.people, ("pixelated", "white", "face", "words"), strict=True)
    ]
    study = study.model_copy(update={"people": people})
    pseudonyms = Pseudonyms(
        {row.identity: f"person-{place:03}" for place, row in enumerate(people, 1)},
        {row.identity: row.name for row in people},
    )
    hidden, _ = leakage_under_pseudonyms(study, None, pseudonyms)
    assert hidden.conditions == study.conditions
    assert hidden.strata == study.strata
    assert hidden.factorial == study.factorial
    assert [row for row in hidden.contrasts if row.kind == "condition"] == [
        row for row in study.contrasts if row.kind == "condition"
    ]
    section = render(hidden).partition('id="conditions"')[2].partition("</section>")[0]
    assert "pixelated" in section
    assert "person-0" not in section
