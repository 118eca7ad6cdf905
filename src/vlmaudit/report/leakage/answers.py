"""Quoted answers: cut to what a page can hold, harmless, with the matched name apart."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from markupsafe import escape

from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.report.leakage.outcomes import OUTCOMES, OutcomeLook, look_of
from vlmaudit.report.leakage.wording import group_words, prompt_words
from vlmaudit.results.numbers import count, counted, visible

COLUMNS: Final = (
    *("identity", "image", "condition", "prompt", "outcome", "answer", "start", "end"),
)
"""Of the table of answers; start and end count characters of `answer`, null where none matched."""
MOST: Final = 2000
"""Answers in a page."""
LONGEST: Final = 600
"""Characters of an answer that are quoted."""
_AROUND: Final = 440
"""Bytes of page around an answer, at most; a test measures it."""
_REORDERING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROLS: Final = 0x2400
"""Where Unicode has pictures of the control characters."""


@dataclass(frozen=True, slots=True)
class AnswerView:
    """An answer as it is quoted: what stands before the matched name, the name, and the rest.

    Attributes:
        outcome: The outcome's key, by which answers are chosen.
        look: The outcome's words and colour.
        empty: What is said in place of an answer without any text.
        note: What was left out.
    """

    name: str
    identity: str
    image: str
    condition: str
    prompt: str
    asked: str
    outcome: str
    look: OutcomeLook
    before: str
    matched: str
    after: str
    empty: str
    note: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose answers by: its value, and how it is called."""

    value: str
    words: str


@dataclass(frozen=True, slots=True)
class AnswersView:
    """The answers of the page, what to choose them by, and what is left out."""

    rows: tuple[AnswerView, ...]
    outcomes: tuple[Choice, ...]
    prompts: tuple[Choice, ...]
    conditions: tuple[Choice, ...]
    summary: str
    notes: tuple[str, ...]


NO_ANSWERS: Final = AnswersView((), (), (), (), "", ())


def answers_view(finding: Finding, answers: pl.DataFrame | None, budget: int) -> AnswersView:
    """The answers that fit into so many bytes of page, in the order of their table.

    Args:
        finding: Whose people they are about.
        answers: One row an answer, with the columns of `COLUMNS`.
        budget: Bytes that they may take altogether.
    """
    if answers is None or answers.is_empty():
        return NO_ANSWERS
    names = {person.identity: person.name for person in finding.people}
    rows = []
    for row in answers.head(MOST).select(COLUMNS).iter_rows(named=True):
        shown = _answer(row, names)
        budget -= weight(shown)
        if budget < 0:
            break
        rows.append(shown)
    shortened = sum(bool(row.note) for row in rows)
    return AnswersView(
        rows=tuple(rows),
        outcomes=tuple(
            Choice(key, look.words)
            for key, look in OUTCOMES.items()
            if any(row.outcome == key for row in rows)
        ),
        prompts=tuple(_prompt_choices(rows)),
        conditions=tuple(Choice(one, one) for one in dict.fromkeys(row.condition for row in rows)),
        summary=f"Show {counted(len(rows), 'answer', 'answers')}",
        notes=tuple(_notes(finding, len(rows), answers.height, shortened)),
    )


def _notes(finding: Finding, shown: int, given: int, shortened: int) -> Iterable[str]:
    total = sum(row.n for row in finding.rates)
    if shown < max(given, total):
        yield (
            f"{count(shown)} of {counted(max(given, total), 'answer', 'answers')}: those that give"
            " a name first, then some drawn at random. Shares must not be read from them; all"
            " outcomes stand in outcomes.parquet."
        )
    if shown < min(given, MOST):
        yield (
            f"The page is full: {count(min(given, MOST) - shown)} answers that were chosen for it"
            " are left out."
        )
    if shortened:
        yield f"{counted(shortened, 'answer is', 'answers are')} shortened."


def weight(row: AnswerView) -> int:
    """Bytes of page that an answer takes, at most.

    Its outcome, prompt and condition stand twice in it, for a reader and for the filter.
    """
    texts = (row.name, row.identity, row.image, row.asked, row.before, row.matched, row.after)
    twice = (row.outcome, row.condition, row.prompt)
    return _AROUND + sum(map(_bytes, (*texts, *twice, *twice, row.note)))


def _bytes(text: str) -> int:
    return len(str(escape(text)).encode())


def _prompt_choices(rows: Sequence[AnswerView]) -> Iterable[Choice]:
    prompts = sorted({row.prompt for row in rows})
    for group in dict.fromkeys(prompt.partition("/")[0] for prompt in prompts):
        mine = [prompt for prompt in prompts if prompt.partition("/")[0] == group]
        yield Choice(f"{group}/", f"{group_words(group)} (all)")
        for prompt in mine:
            words = prompt_words(prompt)
            yield Choice(prompt, f"{prompt}{f': {words}' if words else ''}")


def _answer(row: Mapping[str, object], names: Mapping[str, str]) -> AnswerView:
    identity, outcome = _text(row["identity"]), _text(row["outcome"])
    prompt = visible(_text(row["prompt"]))
    before, matched, after, note = _cut(_text(row["answer"]), row["start"], row["end"])
    name = visible(names.get(identity, "")) or visible(identity) or "nobody"
    return AnswerView(
        name=name,
        identity="" if visible(identity) == name else visible(identity),
        image=visible(_text(row["image"])),
        condition=visible(_text(row["condition"])),
        prompt=prompt,
        asked=prompt_words(prompt),
        outcome=visible(outcome),
        look=look_of(outcome),
        before=harmless(before),
        matched=harmless(matched),
        after=harmless(after),
        empty="" if before or matched or after else _EMPTY.get(outcome, "The answer is empty."),
        note=note,
    )


_EMPTY: Final = {"failed": "There is no answer."}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _cut(text: str, start: object, end: object) -> tuple[str, str, str, str]:
    """What is quoted before, at and after the matched span, and what is said of the rest."""
    begin, stop = 0, 0
    if isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text):
        begin, stop = start, end
    matched = text[begin:stop]
    if len(text) <= LONGEST:
        return text[:begin], matched, text[stop:], ""
    if len(matched) > LONGEST // 2:
        matched = f"{matched[: LONGEST // 2]}…"
    left = LONGEST - len(matched)
    first = max(0, min(begin - left // 2, len(text) - (stop - begin) - left))
    last = min(len(text), stop + left - (begin - first))
    before = ("… " if first else "") + text[first:begin]
    after = text[stop:last] + (" …" if last < len(text) else "")
    return before, matched, after, f"Shortened: the answer has {count(len(text))} characters."


def harmless(text: str) -> str:
    r"""An answer's text with what would act on the page made visible; lines stay lines.

    >>> harmless("A\x1b[31m\n\n\n\nB\u202e")
    'A␛[31m\n\nB�'
    """
    text = re.sub(r"[^\S\n]+", " ", text.replace("\r\n", "\n"))
    text = re.sub(r"\n\s*\n", "\n\n", text)
    return "".join(map(_harmless, text))


def _harmless(sign: str) -> str:
    if sign == "\n":
        return sign
    if sign in _REORDERING:
        return "\ufffd"
    category = unicodedata.category(sign)
    if category == "Cc":
        return chr(_CONTROLS + ord(sign)) if ord(sign) < 0x20 else "\ufffd"
    return "\ufffd" if category == "Cs" else sign
