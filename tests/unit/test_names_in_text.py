"""When a person's name can be read in a picture: by the paper's rule, and by ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.imaging.names_in_text import _edits, find_name


@pytest.mark.parametrize(
    ("name", "lines", "paper", "audit"),
    [
        ("Ada Lovelace", ["LOVELACE 7"], True, True),
        ("Ada Lovelace", ["a love story"], True, False),
        ("Ada Lovelace", ["Ada", "Lovelace"], True, True),
        ("Beyoncé Knowles", ["KNOWLES"], True, True),
        ("Zoë Šimić", ["SIMIC"], False, True),
        ("Adrianne León", ["Leon"], False, True),
        ("Ann Lee", ["Ann", "Lee"], False, True),
        ("Ann Lee", ["Ann went home"], False, False),
        ("Ada Lovelace", ["L0VELACE"], True, True),
        ("Ada Lovelace", ["Lovelaee"], True, True),
        ("Ada Lovelace", ["LOVE", "LACE"], False, True),
        ("Ada Lovelace", ["L o v e l a c e"], False, True),
        ("Bernard Morn", ["MOM"], False, False),
        ("Clara Turner", ["TUMER"], False, True),
        ("Bill Wills", ["the windmills"], False, False),
        ("Tom Illsworth", ["hillsworthy"], True, True),
        ("Christopher Dunn", ["Christmas"], True, False),
        ("Christopher Dunn", ["CHRISTOPH"], True, True),
        ("Zendaya", ["ZENDAYA"], True, True),
        ("Conor O'Brien", ["OBRIEN"], True, True),
        ("Sia", ["SIA"], False, True),
        ("Sia", ["Russia"], False, False),
        ("Li Na", ["LINA"], False, True),
        ("Jay-Z", ["JAYZ"], False, True),
        ("李小龙", ["电影李小龙主演"], False, True),
        ("李小龙", ["李小", "明"], False, False),
        ("Bill Oslo", ["8111", "05 10"], False, False),
        ("Bill Oslo", ["B1LL"], False, True),
        ("Li", ["11"], False, False),
        ("Ada Lovelace", [], False, False),
        ("Ada Lovelace", ["8", "?!", ""], False, False),
    ],
)
def test_what_counts_as_reading_a_name(name, lines, paper, audit):
    assert (find_name([name], lines, "audit") is not None) == audit
    assert (find_name([name], lines, "paper") is not None) == paper


def test_an_alias_counts_as_the_name_does():
    found = find_name(["Dwayne Johnson", "The Rock"], ["THE ROCK"], "audit")
    assert found.read == "THE ROCK"
    assert find_name(["Dwayne Johnson"], ["THE ROCK"], "audit") is None


def test_it_says_what_was_read_as_what():
    found = find_name(["Ada Lovelace"], ["nothing", "LOVELACE 7"], "audit")
    assert (found.part, found.read) == ("lovelace", "LOVELACE 7")
    assert find_name(["Zoë Šimić"], ["Z. SIMIC"], "audit").part == "simic"
    assert find_name(["Li Na"], ["Li", "Na"], "audit").part == "li na"
    found = find_name(["Ada Lovelace"], ["nothing", "LOVELACE 7"], "paper")
    assert (found.part, found.read) == ("lovel", "LOVELACE 7")


words = st.text("abcdef", max_size=7)


@given(words, words)
def test_edits_are_those_of_the_textbook(one, other):
    def distance(first, second):
        if not first or not second:
            return len(first) + len(second)
        return min(
            distance(first[1:], second) + 1,
            distance(first, second[1:]) + 1,
            distance(first[1:], second[1:]) + (first[0] != second[0]),
        )

    assert _edits(one[:5], other[:5], 9) == distance(one[:5], other[:5])


@given(st.lists(st.text(max_size=30), max_size=4), st.sampled_from(["paper", "audit"]))
def test_anything_may_be_read_in_a_picture(lines, rule):
    find_name(["Ada Lovelace", "李小龙", "محمد"], lines, rule)
