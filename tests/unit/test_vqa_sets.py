"""Question-answering sets are read by layout; what cannot be used is counted, never guessed."""

import json
import sys
import types
from pathlib import Path

import pytest

from vlmaudit.data.vqa_sets import read_vqa_set
from vlmaudit.errors import InputError

LLAVA = {
    "id": "1",
    "image": "coco/1.jpg",
    "conversations": [
        {"from": "human", "value": "<image>\nWhat is it?"},
        {"from": "gpt", "value": "A cat."},
        {"from": "human", "value": "Which colour?"},
        {"from": "gpt", "value": "Grey."},
    ],
}
QWEN = {
    "id": "identity_0",
    "conversations": [
        {"from": "user", "value": "Picture 1: <img>coco/1.jpg</img>\nWhat is it?"},
        {"from": "assistant", "value": "A cat."},
        {"from": "user", "value": "Which colour?"},
        {"from": "assistant", "value": "Grey."},
    ],
}
PLAIN = {"image": "coco/1.jpg", "question": "What is it?", "answer": "A cat."}


def write(folder, rows, *, lines=False, name="set.json"):
    path = folder / name
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=2)
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("row", [LLAVA, QWEN], ids=["llava", "qwen"])
def test_conversations_of_both_formats_in_lists_and_lines(tmp_path, row, lines):
    read = read_vqa_set(write(tmp_path, [row], lines=lines), None)
    assert read.name == "set.json"
    assert read.left_out == {}
    (example,) = read.examples
    assert example.picture == tmp_path / "coco/1.jpg"
    assert example.name == "coco/1.jpg"
    assert example.turns == (("What is it?", "A cat."), ("Which colour?", "Grey."))


def test_the_picture_may_stand_behind_the_question(tmp_path):
    row = {**LLAVA, "conversations": [dict(one) for one in LLAVA["conversations"]]}
    row["conversations"][0]["value"] = "What is it?\n<image>"
    assert read_vqa_set(write(tmp_path, [row]), None).examples[0].turns[0][0] == "What is it?"


def test_plain_rows_with_choices_and_parts(tmp_path):
    rows = [
        {**PLAIN, "choices": ["A cat.", "A dog."], "split": "train"},
        {**PLAIN, "image": "2.jpg", "answer": 3, "split": "Val"},
    ]
    images = tmp_path / "elsewhere"
    images.mkdir()
    first, second = read_vqa_set(write(tmp_path, rows, lines=True), images).examples
    assert (first.choices, first.is_held_out) == (("A cat.", "A dog."), False)
    assert (second.turns[0][1], second.is_held_out) == ("3", True)
    assert second.picture == images / "2.jpg"


def test_absolute_paths_of_another_machine_are_looked_up_by_name(tmp_path):
    rows = [{**PLAIN, "image": "/somebody/else/1.jpg"}]
    assert read_vqa_set(write(tmp_path, rows), None).examples[0].picture == tmp_path / "1.jpg"


def conversation(*said):
    return {
        "image": "1.jpg",
        "conversations": [{"from": who, "value": value} for who, value in said],
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("text", "not an object"),
        ({"question": "a?", "answer": "b"}, "no picture"),
        ({**PLAIN, "image": ["1.jpg", "2.jpg"]}, "not one picture"),
        ({"image": "1.jpg", "question": "a?"}, "no question and answer"),
        ({**PLAIN, "answer": " "}, "an empty question or answer"),
        ({**PLAIN, "answer": True}, "no question and answer"),
        ({**PLAIN, "choices": "abc"}, "choices that are no list of texts"),
        ({"image": "1.jpg", "conversations": "none"}, "no conversation"),
        (conversation(("human", "a?"), ("human", "b")), "speakers that do not take turns"),
        (conversation(("human", "a?"), ("gpt", None)), "a turn without text"),
        (conversation(("human", "<image>\n"), ("gpt", "b")), "an empty question or answer"),
        ({**PLAIN, "image": "a\0b"}, "a picture whose name is no plain path"),
        (
            conversation(("user", "<img>1</img><img>2</img>a?"), ("assistant", "b")),
            "not one picture",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_counted(tmp_path, row, reason):
    read = read_vqa_set(write(tmp_path, [PLAIN, row]), None)
    assert len(read.examples) == 1
    assert read.left_out == {reason: 1}
    with pytest.raises(InputError, match="no row of it can be used"):
        read_vqa_set(write(tmp_path, [row]), None)


def test_the_line_of_damaged_json_is_named(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(PLAIN) + '\n\n{"image": ')
    with pytest.raises(InputError, match=r"set\.jsonl:3: no JSON"):
        read_vqa_set(str(path), None)


@pytest.mark.parametrize("text", ["", "[]", "[1", "\xff\xfe"])
def test_a_wrong_file_is_one_clear_line(tmp_path, text):
    path = tmp_path / "set.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as problem:
        read_vqa_set(str(path), None)
    assert str(path) in str(problem.value)
    assert "\n" not in str(problem.value)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_vqa_set(str(tmp_path / "none.json"), None)
    with pytest.raises(InputError, match="is a folder"):
        read_vqa_set(str(tmp_path), None)
    with pytest.raises(InputError, match="no such folder of pictures"):
        read_vqa_set(write(tmp_path, [PLAIN]), tmp_path / "none")


def test_easy_vqa_has_its_own_test_part():
    pytest.importorskip("easy_vqa", reason="the package easy-vqa is not installed")
    read = read_vqa_set("easy-vqa", None)
    assert read.name == "easy-vqa"
    assert len(read.examples) == 38_575 + 9_673
    assert sum(one.is_held_out for one in read.examples) == 9_673
    assert read.examples[0].picture.is_file()
    # Train and test number their pictures alike; they are not the same pictures.
    assert len({one.picture for one in read.examples}) == 5_000
    assert len({one.name for one in read.examples}) == 5_000


def test_easy_vqa_says_what_to_install_where_it_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "easy_vqa", None)
    with pytest.raises(InputError, match="pip install easy-vqa"):
        read_vqa_set("easy-vqa", None)


def test_easy_vqa_numbers_are_looked_up(monkeypatch):
    fake = types.SimpleNamespace(
        get_train_questions=lambda: (["a?"], ["b"], [7]),
        get_train_image_paths=lambda: {7: "/x/7.png"},
        get_test_questions=lambda: ([], [], []),
        get_test_image_paths=dict,
    )
    monkeypatch.setitem(sys.modules, "easy_vqa", fake)
    (example,) = read_vqa_set("easy-vqa", None).examples
    assert (example.picture, example.turns) == (Path("/x/7.png"), (("a?", "b"),))
