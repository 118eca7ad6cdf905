"""Conditions have one written form each, and it reads back as what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.data.conditions import STEPS, Condition, Step, parse_condition, parse_conditions
from vlmaudit.errors import InputError

BACKGROUNDS = ["white", "landscape", "own-background", "person-removed", "face-only"]
faces = st.one_of(
    st.integers(4, 64).map(lambda grid: Step("pixelated", float(grid))),
    st.integers(1, 400).map(lambda tenths: Step("blurred", max(0.5, tenths / 2))),
    st.just(Step("masked")),
)
backgrounds = st.sampled_from(BACKGROUNDS).map(Step)


@st.composite
def conditions(draw):
    steps = [
        *draw(st.lists(faces, max_size=1)),
        *draw(st.lists(backgrounds, max_size=1)),
        *draw(st.lists(st.just(Step("no-text")), max_size=1)),
    ]
    return Condition(tuple(draw(st.permutations(steps))))


@given(conditions())
def test_what_is_written_reads_back(condition):
    assert parse_condition(condition.text) == condition
    assert parse_condition(condition.text).text == condition.text


@given(st.lists(conditions(), max_size=5))
def test_a_list_holds_each_once_and_the_original_first(some):
    found = parse_conditions([one.text for one in some])
    assert found[0].text == "original"
    assert len(set(found)) == len(found)
    assert set(found) == {Condition(), *some}


@given(st.text(max_size=20))
def test_anything_else_is_refused_in_one_line(text):
    try:
        parse_condition(text)
    except InputError as problem:
        assert str(problem)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("white+white", "stands in it twice"),
        ("pixelated+masked", "cannot both be done"),
        ("original+white", "stands alone"),
        ("pixelated:3", "from 4 to 64, a whole number"),
        ("pixelated:4.5", "a whole number"),
        ("blurred", "such as blurred:8"),
        ("blurred:nan", "from 0.5 to 200"),
        ("white:3", "takes nothing behind a colon"),
        ("pixellated", "Did you mean pixelated?"),
        ("grey+white", "leaves nothing"),
        ("", "no such step"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(InputError, match=said):
        parse_condition(text)


def test_every_step_says_what_it_does():
    assert all(kind.words for kind in STEPS.values())
