"""One notion of "same name", and the candidates that are drawn beside the true ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.data.candidates import (
    Candidate,
    draw_decoys,
    draw_names,
    paper_pool,
    read_candidates,
    without,
)
from vlmaudit.data.names import fold_name
from vlmaudit.data.templates import IDIA_TEMPLATES, fill
from vlmaudit.errors import InputError
from vlmaudit.seeds import stream


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Adrianne León", "adrianne leon"),
        ("Conan O’Brien", "Conan_O'Brien"),
        ("Jean‑Luc  Picard", "Jean-Luc Picard"),
        ("STRASSE", "straße"),
        ("Łukasz Żółć", "lukasz zolc"),
        ("عَلِي", "علي"),  # right to left, with and without vowel signs
        ("Nguyễn", "Nguyễn"),  # composed and decomposed
    ],
)
def test_names_that_are_the_same(one, other):
    assert fold_name(one) == fold_name(other)


@pytest.mark.parametrize(("one", "other"), [("Will Smith", "Will Smithson"), ("Ann", "Anne")])
def test_names_that_differ(one, other):
    assert fold_name(one) != fold_name(other)


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(name):
    assert fold_name(fold_name(name)) == fold_name(name)


def test_the_templates_are_the_papers():
    assert len(IDIA_TEMPLATES) == len(set(IDIA_TEMPLATES)) == 21
    assert all(template.count("{name}") == 1 for template in IDIA_TEMPLATES)
    assert IDIA_TEMPLATES[0] == "{name}"
    assert "{name} in a suit" in IDIA_TEMPLATES
    assert fill("{name} at a gala", "A\\1 {name} (x)*") == "A\\1 {name} (x)* at a gala"


def test_decoys_fill_every_stratum_and_avoid_the_study():
    people = [Candidate("Ann Lee", "female", "en_US"), Candidate("Jan Smit", "male", "nl_NL")]
    decoys = draw_decoys(people, 250, pool="same-origin", seed=3)
    kinds = [(decoy.sex, decoy.origin) for decoy in decoys]
    assert kinds.count(("female", "en_US")) == kinds.count(("male", "nl_NL")) == 250
    folded = {fold_name(decoy.name) for decoy in decoys}
    assert len(folded) == 500
    assert not folded & {"ann lee", "jan smit"}
    assert decoys == draw_decoys(people, 250, pool="same-origin", seed=3)
    assert decoys != draw_decoys(people, 250, pool="same-origin", seed=4)


def test_a_global_pool_has_the_study_s_proportions():
    people = [Candidate(f"W{i}", "female", "de_DE") for i in range(3)] + [
        Candidate("M", "male", "de_DE")
    ]
    decoys = draw_decoys(people, 100, pool="global", seed=0)
    assert sum(decoy.sex == "female" for decoy in decoys) == 75


@pytest.mark.parametrize("origin", ["hu_HU", "ja_JP", "zh_CN", "ar_SA", "ru_RU", "es_MX"])
def test_names_of_many_origins(origin):
    names = draw_names(50, sex="female", origin=origin, rng=stream(0, origin))
    assert len(set(names)) == 50


def test_an_unknown_origin_is_named_with_a_hint():
    with pytest.raises(InputError, match=r'"de_DD".*Did you mean de_DE\?'):
        draw_names(1, sex="", origin="de_DD", rng=stream(0))


def test_a_locale_that_runs_out_says_how_many_it_has():
    with pytest.raises(InputError, match=r"lv_LV gave only \d+ of 30000 different female names"):
        draw_names(30_000, sex="female", origin="lv_LV", rng=stream(0))


def test_the_paper_s_pool_holds_the_study_and_half_of_each_sex():
    people = [Candidate(f"Study {i}") for i in range(10)]
    decoys = [Candidate(f"{sex} {i}", sex) for sex in ("female", "male") for i in range(40)]
    pool = paper_pool(people, decoys, size=50, seed=1)
    assert len(pool) == len(set(pool)) == 50
    assert pool[:10] == [person.name for person in people]
    assert sum(name.startswith("female") for name in pool) == 20


def test_a_pool_smaller_than_the_people_is_refused():
    people = [Candidate(f"Study {i}") for i in range(11)]
    with pytest.raises(InputError, match="smaller than the 11 people"):
        paper_pool(people, [], size=10, seed=0)


def test_too_few_decoys_are_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"needs 9 decoys.*--paper-pool"):
        paper_pool([Candidate("A")], [Candidate("B")], size=10, seed=0)


def test_candidates_from_files(tmp_path):
    plain = tmp_path / "names.txt"
    plain.write_text("Ann Lee\n\nANN LEE\nZoë (2)\n", encoding="utf-8")
    assert [candidate.name for candidate in read_candidates(plain)] == ["Ann Lee", "Zoë (2)"]
    table = tmp_path / "names.csv"
    table.write_text("name,sex,origin\nAnn Lee,female,en_US\n", encoding="utf-8")
    assert read_candidates(table) == [Candidate("Ann Lee", "female", "en_US")]
    assert without(read_candidates(table), ["ann LEE"]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nom\nAnn\n", ':1: no column "name"'),
        ("name,sex\nAnn,f\n", ':2: sex "f"'),
        ("name\n", "no names in it"),
        ("name\n\u200b\n", "no names in it"),
        ("name,sex\nLee, Ann,female\n", ":2: 2 cells wanted"),
        ('name\n"Ann\nBo\n', ":3: no CSV"),
    ],
)
def test_broken_candidate_tables(tmp_path, text, message):
    table = tmp_path / "names.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_candidates(table)
