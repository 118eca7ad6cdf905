"""Made-up records: no value of two, the same from a seed, and nothing that tells their arms."""

import json
from datetime import datetime

import numpy as np
import pytest

from vlmaudit.data.albums import neutral_text, text_of
from vlmaudit.data.private_records import (
    PAPER_FIELDS,
    Field,
    draw_decoys,
    draw_records,
    draw_values,
    question_about,
    question_of,
    read_fields,
)
from vlmaudit.errors import InputError
from vlmaudit.seeds import stream
from vlmaudit.stats.text_gate import text_gate


@pytest.fixture(scope="module")
def records():
    return draw_records(PAPER_FIELDS, 300, seed=0)


def test_the_papers_fields_in_its_order(records):
    assert list(records[0]) == [
        *("username", "user_id", "gender", "age", "capture_time", "capture_location")
    ]
    for record in records:
        assert len(record["user_id"]) == 10
        assert record["user_id"].isdecimal()
        assert record["gender"] in {"Male", "Female", "Non-binary", "Other"}
        assert 18 <= int(record["age"]) <= 80
        datetime.strptime(record["capture_time"], "%Y-%m-%d %H:%M:%S")
        assert ", " in record["capture_location"]


def test_no_two_records_share_what_identifies(records):
    for field in PAPER_FIELDS:
        values = {record[field.name] for record in records}
        if field.identifies:
            assert len(values) == len(records), field.name
        else:
            assert len(values) < len(records), field.name


def test_the_same_seed_gives_the_same_records_and_another_others(records):
    assert draw_records(PAPER_FIELDS, 300, seed=0) == records
    other = draw_records(PAPER_FIELDS, 300, seed=1)
    assert not {one["user_id"] for one in other} & {one["user_id"] for one in records}


def test_a_field_does_not_shift_another(records):
    fewer = draw_records(PAPER_FIELDS[1:], 300, seed=0)
    assert [one["age"] for one in fewer] == [one["age"] for one in records]


def test_decoys_are_many_new_and_of_the_same_kind(records):
    for field in PAPER_FIELDS:
        taken = {record[field.name] for record in records}
        decoys = draw_decoys(
            PAPER_FIELDS, field.name, 500, taken=taken, rng=np.random.default_rng(0)
        )
        assert len(set(decoys)) == len(decoys)
        if field.identifies:
            assert len(decoys) == 500
            assert not set(decoys) & taken
    assert sorted(decoys := draw_decoys(PAPER_FIELDS, "gender", 500, taken=(), rng=stream(0))) == [
        *("Female", "Male", "Non-binary", "Other")
    ], decoys


def test_ten_thousand_decoys_of_every_field_that_identifies():
    for field in PAPER_FIELDS:
        if field.identifies:
            assert len(set(draw_values(field, 10_000, np.random.default_rng(0)))) == 10_000


def test_an_unknown_field_has_no_decoys():
    with pytest.raises(InputError, match="no field colour; there are username"):
        draw_decoys(PAPER_FIELDS, "colour", 5, taken=(), rng=stream(0))


def test_a_field_that_is_used_up_says_so():
    with pytest.raises(InputError, match="field id: only 90 of 100 different values"):
        draw_values(Field(name="id", kind="digits", length=2), 100, np.random.default_rng(0))


def test_values_can_be_kept_short():
    field = Field(name="username", kind="name", longest=10)
    assert max(map(len, draw_values(field, 50, np.random.default_rng(0)))) <= 10


def test_fields_of_ones_own(tmp_path):
    path = tmp_path / "fields.json"
    path.write_text(
        json.dumps(
            [
                {"name": "badge", "kind": "digits", "length": 6},
                {"name": "team", "kind": "choice", "values": ["red", "blue"]},
                {"name": "floor", "kind": "whole number", "low": 1, "high": 9},
            ]
        )
    )
    fields = read_fields(path)
    assert [field.identifies for field in fields] == [True, False, False]
    record = draw_records(fields, 1, seed=0)[0]
    assert len(record["badge"]) == 6
    assert record["team"] in {"red", "blue"}
    assert record["floor"] in set("123456789")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{}", "wanted a list"),
        ("[", "no list of fields in JSON"),
        ('[{"name": "id", "kind": "digit"}]', "field 1 kind: Input"),
        ('[{"name": "id", "kind": "digits", "size": 4}]', "field 1 size: Extra"),
        ('[{"name": "id", "kind": "digits"}]', "two fields or more"),
        ('[{"name": "id", "kind": "digits"}, {"name": "id", "kind": "name"}]', "two fields are"),
        ('[{"name": "a", "kind": "choice", "values": ["x"]}]', "two values or more"),
        (
            '[{"name": "a", "kind": "whole number"}, {"name": "b", "kind": "whole number"}]',
            "one of which tells records apart",
        ),
        ('[{"name": "arm", "kind": "name"}, {"name": "b", "kind": "digits"}]', "is a column"),
        ('[{"name": "a: b", "kind": "name"}, {"name": "b", "kind": "digits"}]', "no name of a"),
        ('[{"name": "a", "kind": "digits", "length": 40}]', "length must be"),
        ('[{"name": "a", "kind": "time", "start": "2025-01-01"}]', "start is not before end"),
        ('[{"name": "a", "kind": "whole number", "low": 9, "high": 3}]', "low is above high"),
    ],
)
def test_fields_that_cannot_be_planted_are_refused(tmp_path, given, message):
    path = tmp_path / "fields.json"
    path.write_text(given)
    with pytest.raises(InputError, match=message) as problem:
        read_fields(path)
    assert "\n" not in str(problem.value)


def test_an_unknown_locale_is_named():
    with pytest.raises(InputError, match="xx_XX"):
        draw_values(Field(name="town", kind="place", locale="xx_XX"), 1, stream(0))


def test_questions_name_the_field():
    assert question_of("user_id") == "What is the user_id?"
    assert question_about("age", "username", "Ada") == "What is the age of the username Ada?"


def test_a_neutral_text_covers_as_much_and_holds_no_value(records):
    from PIL import ImageFont

    font = ImageFont.load_default(20)
    names = [field.name for field in PAPER_FIELDS]
    ratios = []
    for number, record in enumerate(records[:60]):
        text = text_of(names, record)
        other = neutral_text(text, stream(number))
        assert not any(record[name] in other for name in ("username", "user_id", "capture_time"))
        ratios += [
            font.getlength(two) / font.getlength(one)
            for one, two in zip(text.split("\n"), other.split("\n"), strict=True)
        ]
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)
    assert np.std(ratios) < 0.05


def test_strings_do_not_tell_arms_that_were_drawn(records):
    seen = np.arange(200) % 2 == 0
    names = [field.name for field in PAPER_FIELDS]
    gate = text_gate(records[:200], seen, names, rng=stream(0))
    assert gate.label == "randomised"
    assert gate.p is not None
    assert gate.p > 0.01


@pytest.mark.parametrize("cue", ["year", "letters", "age"])
def test_strings_tell_arms_that_differ_in_them(records, cue):
    """The paper's own two sets: years from 2026 on stand in one of them alone."""
    seen = np.arange(200) % 2 == 0
    marked = []
    for is_seen, record in zip(seen, records[:200], strict=True):
        changed = dict(record)
        if cue == "year" and is_seen and int(record["age"]) % 3:
            changed["capture_time"] = f"2031{record['capture_time'][4:]}"
        if cue == "letters" and is_seen:
            changed["username"] = record["username"].replace("e", "é")
        if cue == "age":
            changed["age"] = str(int(record["age"]) // 2 + (35 if is_seen else 10))
        marked.append(changed)
    names = [field.name for field in PAPER_FIELDS]
    gate = text_gate(marked, seen, names, rng=stream(0))
    assert gate.p == gate.p_min
    assert "by bad luck or by a mistake" in gate.sentence


def test_a_gate_over_a_handful_says_that_it_could_not_look():
    records = draw_records(PAPER_FIELDS, 2, seed=0)
    gate = text_gate(records, np.array([True, False]), ["username"], rng=stream(0))
    assert gate.p is None
    assert "not checked" in gate.sentence
