"""Finds the names of people in what a model says.

A name counts where its words stand as words: case, accents and the setting of initials do not
matter, and a longer name wins over a shorter one in it. Less than the whole name is a grade of
its own, and so is more: "Michael B. Jordan" is not taken for Michael Jordan. What is read from the
text around a name is deliberately little, and errs towards not naming anybody; how often it errs is
measured on labelled answers (`audits.name_leakage.matcher_test`). It does not know the cases of
inflected names ("Ивана Петренко"), nor surnames alone in scripts without capitals.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import ahocorasick_rs

from vlmaudit.data.folding import Folded, fold_text, fold_word
from vlmaudit.data.known_words import common_words, known_names
from vlmaudit.data.name_forms import first_name, fold_form, full_forms, shortened_forms, surname
from vlmaudit.data.scripts import begins_word, ends_word
from vlmaudit.data.surroundings import (
    Surroundings,
    is_capital,
    is_common,
    is_name_like,
    is_place,
    is_title,
    look_around,
)
from vlmaudit.data.unknown_names import find_unknown_names

Grade = Literal["full", "alias", "initials", "surname", "other"]
"""How much of a name stands there; `other` is the whole name of somebody who is not studied."""

_BEST_FIRST: Final[tuple[Grade, ...]] = ("full", "alias", "other", "initials", "surname")
_WHERE: Final = frozenset({"in", "at", "near", "from", "around", "across"})
# Ray Pelham Jr. is somebody else than Ray Pelham.
_SUFFIX: Final = re.compile(r",? (?:[JS]r|II|III|IV)\b")


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whose name is looked for."""

    name: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a text.

    Attributes:
        name_ids: Whose name it can be: places among the people, and behind them among the other
            names. Several where people share it; none where no list has it.
        start: Where it begins in the text as it was given, in signs.
        end: Behind its last sign.
        grade: How much of the name it is.
        is_ambiguous: A word that means something else too, or a surname that people share.
    """

    name_ids: tuple[int, ...]
    start: int
    end: int
    grade: Grade
    is_ambiguous: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether somebody's whole name or alias stands there."""
        return self.grade in ("full", "alias", "other")


@dataclass(frozen=True, slots=True)
class Found:
    """The names in a text, from left to right, none within another; and the text folded."""

    mentions: tuple[Mention, ...]
    folded: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a form in the automaton stands for."""

    form: str
    grade: Grade
    name_ids: tuple[int, ...]
    needs_capital: bool

    @property
    def is_one_word(self) -> bool:
        return " " not in self.form


class NameMatcher:
    """Looks for all names at once."""

    def __init__(self, people: Sequence[Known], others: Sequence[str] = ()) -> None:
        """Prepare the search.

        Args:
            people: Those studied; a mention gives their places in this sequence.
            others: Names of others, who come after the people.
        """
        self.people = tuple(people)
        self._first_names = tuple(first_name(person.name) for person in self.people)
        self._entries = tuple(_entries(self.people, others))
        forms = [entry.form for entry in self._entries]
        self._automaton = ahocorasick_rs.AhoCorasick(forms) if forms else None

    def find(self, text: str) -> Found:
        """The names in a text; any text at all is taken."""
        folded = fold_text(text)
        hits: list[tuple[int, int, int]] = []
        if self._automaton is not None:
            hits = self._automaton.find_matches_as_indexes(folded.text, overlapping=True)
        mentions = self._read_all(folded, hits) if hits else []
        unknown = [
            Mention((), *span, "other") for span in find_unknown_names(_rest(text, mentions))
        ]
        if unknown:
            mentions = _longest([*mentions, *unknown], len(text)) if mentions else unknown
        return Found(tuple(mentions), folded.text)

    def _read_all(self, folded: Folded, hits: list[tuple[int, int, int]]) -> list[Mention]:
        """The hits that are names, the longest first and none that overlaps a longer one."""
        if len(hits) == 1:
            only = self._read(folded, *hits[0])
            return [only] if only else []
        taken = bytearray(len(folded.original))
        mentions: list[Mention] = []
        for number, first, last in sorted(hits, key=_by_length):
            start, end = folded.span(first, last)
            if taken.find(1, start, end) >= 0:
                continue
            mention = self._read(folded, number, first, last)
            if mention and taken.find(1, mention.start, mention.end) < 0:
                taken[mention.start : mention.end] = b"\1" * (mention.end - mention.start)
                mentions.append(mention)
        return sorted(mentions, key=_by_place)

    def _read(self, folded: Folded, number: int, first: int, last: int) -> Mention | None:
        """What a hit of the automaton is worth, if anything."""
        entry, text = self._entries[number], folded.original
        start, end = folded.span(first, last)
        if not begins_word(folded.text, first, text[start - 2 : start - 1] if start > 1 else ""):
            return None
        if not ends_word(folded.text, last, text[end + 1 : end + 2]):
            return None
        if entry.grade == "surname":
            return self._read_surname(entry, text, start, end)
        if not _is_written_as_a_name(entry, text, start, end):
            return None
        if entry.grade != "other" and _SUFFIX.match(text, end):
            return Mention((), start, end, "other")
        return Mention(entry.name_ids, start, end, entry.grade, entry.needs_capital)

    def _read_surname(self, entry: _Entry, text: str, start: int, end: int) -> Mention | None:
        if not is_capital(_last_word(text[start:end])):
            return None
        around = look_around(text, start, end)
        for word in around.words_before[1:]:  # another name stands between first name and surname
            ids = tuple(id for id in entry.name_ids if self._first_names[id] == fold_word(word))
            if ids and is_capital(word):
                return Mention(ids, text.rindex(word, 0, start), end, "initials")
        if not _is_surname_here(entry, around):
            return None
        return Mention(entry.name_ids, start, end, "surname", len(entry.name_ids) > 1)


def _entries(people: Sequence[Known], others: Sequence[str]) -> Iterator[_Entry]:
    """All forms of all names, each once, under the best grade that it has."""
    ids: dict[str, dict[Grade, list[int]]] = {}

    def note(form: str, grade: Grade, id: int) -> None:
        listed = ids.setdefault(form, {}).setdefault(grade, [])
        if id not in listed[-1:]:
            listed.append(id)

    for id, person in enumerate(people):
        for form in full_forms(person.name):
            note(form, "full", id)
        for alias in person.aliases:
            for form in full_forms(alias):
                note(form, "alias", id)
        for form in shortened_forms(person.name):
            note(form, "initials", id)
        if last := surname(person.name):
            note(last, "surname", id)
    for id, name in enumerate(others, start=len(people)):
        form = fold_form(name)
        if form and not ids.get(form, {}).keys() & {"full", "alias"}:
            note(form, "other", id)
    for form, graded in ids.items():
        grade = next(grade for grade in _BEST_FIRST if grade in graded)
        whole = set(graded.get("full", ())) | set(graded.get("alias", ()))
        name_ids = sorted(whole) if grade in ("full", "alias") else graded[grade]
        yield _Entry(form, grade, tuple(name_ids), _is_a_word(form))


def _is_a_word(form: str) -> bool:
    """Whether a form means something else in small letters: "rose", "the rock"."""
    words = form.split()
    return len(words) - (words[0] == "the") == 1 and words[-1] in common_words()


def _is_written_as_a_name(entry: _Entry, text: str, start: int, end: int) -> bool:
    """Whether case and neighbours allow that a whole or shortened name stands here."""
    if entry.grade == "initials":
        return is_capital(text[start]) and is_capital(_last_word(text[start:end].replace(".", " ")))
    if entry.is_one_word:
        return _may_stand_alone(entry, text, start, end)
    return not entry.needs_capital or is_capital(_last_word(text[start:end]))


def _last_word(name: str) -> str:
    return name.rsplit(maxsplit=1)[-1]


def _may_stand_alone(entry: _Entry, text: str, start: int, end: int) -> bool:
    """Whether a whole name of one word is no part of a longer name, or an ordinary word."""
    word = text[start:end]
    if not is_capital(word):
        return not entry.needs_capital
    if not entry.needs_capital and entry.form not in known_names().first:
        return True
    around = look_around(text, start, end)
    if is_name_like(around.word_after) or any(map(is_name_like, around.words_before[:1])):
        return False
    if entry.needs_capital and is_capital(around.word_after):
        return False
    return not (entry.needs_capital and around.begins_sentence and not around.stands_alone)


def _is_surname_here(entry: _Entry, around: Surroundings) -> bool:
    """Whether a capitalised surname is neither a part of another name nor a place or a word."""
    after = around.word_after
    if is_capital(after) and (entry.needs_capital or is_place(after) or not is_common(after)):
        return False
    if not around.words_before:
        return not (entry.needs_capital and around.begins_sentence)
    before = around.words_before[0]
    if is_title(before):
        return True
    if is_capital(before):
        return is_common(before) and not entry.needs_capital
    return fold_word(before) not in _WHERE


def _rest(text: str, mentions: Sequence[Mention]) -> str:
    """The text with other signs, as many, in place of the whole names found in it."""
    pieces: list[str] = []
    place = 0
    for mention in mentions:
        if mention.is_whole:
            pieces += [text[place : mention.start], ";" * (mention.end - mention.start)]
            place = mention.end
    return "".join([*pieces, text[place:]]) if pieces else text


def _longest(mentions: Sequence[Mention], length: int) -> list[Mention]:
    """The mentions without those that overlap a longer one; of equals the better known stays."""
    taken = bytearray(length)
    kept: list[Mention] = []
    for one in sorted(mentions, key=lambda one: (one.start - one.end, not one.name_ids)):
        if taken.find(1, one.start, one.end) < 0:
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
            kept.append(one)
    return sorted(kept, key=_by_place)


def _by_length(hit: tuple[int, int, int]) -> int:
    return hit[1] - hit[2]


def _by_place(mention: Mention) -> int:
    return mention.start
