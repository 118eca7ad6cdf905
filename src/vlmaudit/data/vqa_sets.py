"""Question-answering sets over pictures, by layout: conversations, plain rows, easy-vqa."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vlmaudit.data.paths import is_plain
from vlmaudit.errors import InputError

EASY_VQA: Final = "easy-vqa"
HELD_OUT_SPLITS: Final = frozenset({"test", "val", "valid", "validation", "dev", "eval"})
"""What sets call the part that nobody trains on."""

_ASKING: Final = frozenset({"human", "user"})
_ANSWERING: Final = frozenset({"gpt", "assistant", "chatgpt", "bot"})
_QWEN_PICTURE: Final = re.compile(r"(?:Picture \d+:\s*)?<img>(.*?)</img>\s*", re.DOTALL)
_LLAVA_PICTURE: Final = re.compile(r"\s*<image>\s*")
_WANTED: Final = (
    "a JSON list or lines of LLaVA's or Qwen's conversations, or of image, question, answer"
)


@dataclass(frozen=True, slots=True)
class VqaExample:
    """One picture with what is asked about it.

    Attributes:
        picture: The file.
        name: What the set calls it.
        turns: Questions with their answers, in order; at least one.
        choices: Answers to choose from for the first question; empty where the set has none.
        is_held_out: Whether the set counts it among its test or validation part.
    """

    picture: Path
    name: str
    turns: tuple[tuple[str, str], ...]
    choices: tuple[str, ...] = ()
    is_held_out: bool = False


@dataclass(frozen=True, slots=True)
class VqaSet:
    """A question-answering set.

    Attributes:
        name: How it is called in an album: no path of any machine.
        examples: In the set's order.
        left_out: Rows that could not be used, by reason.
    """

    name: str
    examples: tuple[VqaExample, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


class _UnusableError(Exception):
    """A row that cannot be used; the message is the reason that is counted."""


def read_vqa_set(questions: str, images: Path | None) -> VqaSet:
    """Read a set, whatever its layout.

    Args:
        questions: ``easy-vqa``, or a file.
        images: The folder to which the pictures' names are relative; the file's own if None.

    Raises:
        InputError: The file cannot be read, or no row of it can be used.
    """
    if questions == EASY_VQA:
        return _easy_vqa()
    path = Path(questions)
    if not is_plain(path):
        raise InputError(f"{path}: the name is no UTF-8, or begins with a ~; write it out.")
    if images is not None and not images.is_dir():
        raise InputError(f"{images}: no such folder of pictures (--images).")
    folder = path.parent if images is None else images
    examples: list[VqaExample] = []
    left_out: Counter[str] = Counter()
    for row in _rows(path):
        try:
            examples.append(_example(row, folder))
        except _UnusableError as reason:
            left_out[str(reason)] += 1
    if not examples:
        why = f" ({left_out.most_common(1)[0][0]})" if left_out else ""
        raise InputError(f"{path}: no row of it can be used{why}; wanted {_WANTED}.")
    return VqaSet(path.name, tuple(examples), dict(left_out))


def _rows(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except IsADirectoryError as problem:
        raise InputError(f"{path}: is a folder; wanted {_WANTED}.") from problem
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "no text in UTF-8"
        raise InputError(f"{path}: cannot be read ({reason}); wanted {_WANTED}.") from problem
    if text.lstrip().startswith("["):
        try:
            yield from json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise InputError(f"{path}: no JSON ({problem}).") from problem
        return
    # Not splitlines: it cuts at signs that may stand within a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise InputError(
                f"{path}:{number}: no JSON ({problem}); wanted {_WANTED}."
            ) from problem


def _example(row: object, folder: Path) -> VqaExample:
    if not isinstance(row, dict):
        raise _UnusableError("not an object")
    name = row.get("image")
    if isinstance(name, list):
        if len(name) != 1:
            raise _UnusableError("not one picture")
        name = name[0]
    if "conversations" in row:
        turns, within = _turns(row["conversations"])
        name = within if name is None else name
    else:
        turns = (_plain_turn(row),)
    if not isinstance(name, str) or not name.strip():
        raise _UnusableError("no picture")
    choices = row.get("choices") or ()
    if not isinstance(choices, list | tuple) or not all(isinstance(c, str) for c in choices):
        raise _UnusableError("choices that are no list of texts")
    return VqaExample(
        picture=_picture(name, folder),
        name=name,
        turns=turns,
        choices=tuple(choice.strip() for choice in choices),
        is_held_out=str(row.get("split", "")).lower() in HELD_OUT_SPLITS,
    )


def _plain_turn(row: Mapping[str, Any]) -> tuple[str, str]:
    question, answer = row.get("question"), row.get("answer")
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    if not isinstance(question, str) or not isinstance(answer, str):
        raise _UnusableError("no question and answer")
    if not question.strip() or not answer.strip():
        raise _UnusableError("an empty question or answer")
    return question.strip(), answer.strip()


def _turns(said: object) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """The turns of a conversation, and the picture that Qwen's format names within the first."""
    if not isinstance(said, Sequence) or isinstance(said, str) or len(said) < 2:
        raise _UnusableError("no conversation")
    name: str | None = None
    turns: list[tuple[str, str]] = []
    for asked, answered in zip(said[::2], said[1::2], strict=False):
        question, answer = _said(asked, _ASKING), _said(answered, _ANSWERING)
        named = _QWEN_PICTURE.findall(question)
        if len(named) > 1 or (named and name is not None):
            raise _UnusableError("not one picture")
        name = named[0].strip() if named else name
        question = _LLAVA_PICTURE.sub(" ", _QWEN_PICTURE.sub("", question)).strip()
        if not question or not answer.strip():
            raise _UnusableError("an empty question or answer")
        turns.append((question, answer.strip()))
    return tuple(turns), name


def _said(one: object, who: frozenset[str]) -> str:
    if not isinstance(one, dict) or one.get("from") not in who:
        raise _UnusableError("speakers that do not take turns")
    value = one.get("value")
    if not isinstance(value, str):
        raise _UnusableError("a turn without text")
    return value


def _picture(name: str, folder: Path) -> Path:
    """Where a named picture is: other machines' absolute paths are looked up by their last part."""
    path = Path(name)
    if not is_plain(path):
        raise _UnusableError("a picture whose name is no plain path")
    if not path.is_absolute():
        return folder / path
    return path if path.is_file() else folder / path.name


def _easy_vqa() -> VqaSet:
    try:
        import easy_vqa
    except ImportError as problem:
        raise InputError(
            f"--questions {EASY_VQA}: the package is not installed: pip install easy-vqa."
        ) from problem
    examples: list[VqaExample] = []
    for questions, pictures, is_held_out in (
        (easy_vqa.get_train_questions(), easy_vqa.get_train_image_paths(), False),
        (easy_vqa.get_test_questions(), easy_vqa.get_test_image_paths(), True),
    ):
        part = "test" if is_held_out else "train"
        examples += [
            VqaExample(
                picture=Path(pictures[number]),
                name=f"{part}/{number}",
                turns=((question, answer),),
                is_held_out=is_held_out,
            )
            for question, answer, number in zip(*questions, strict=True)
        ]
    return VqaSet(EASY_VQA, tuple(examples))
