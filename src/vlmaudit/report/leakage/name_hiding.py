"""Names replaced in quoted text, in whatever form a model writes them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ahocorasick_rs import AhoCorasick, MatchKind

from vlmaudit.data.names import fold_name

GIVEN_NAME: Final = "[given name]"
"""Stands for a lone given name: many people bear it, so it is nobody's in particular."""
_GENERATIONS: Final = frozenset(("jr", "jr.", "sr", "sr.", "ii", "iii", "iv"))
# Names that are words as well: alone, they are only hidden where they are written as names.
_WORDS: Final = frozenset(
    (
        *("amber", "april", "art", "august", "baker", "bill", "black", "brown", "bush", "cook"),
        *("cross", "dawn", "day", "dick", "drew", "faith", "field", "fields", "fox", "frank"),
        *("grace", "grant", "gray", "green", "grey", "hall", "hill", "hope", "hunter", "iris"),
        *("jack", "joy", "june", "king", "lake", "long", "love", "mark", "max", "may", "miles"),
        *("page", "park", "parker", "pat", "pierce", "pine", "poll", "price", "ray", "rice"),
        *("rob", "rock", "rose", "ruby", "rusty", "sandy", "short", "sky", "small", "star"),
        *("stone", "sue", "summer", "swift", "violet", "ward", "watts", "west", "white", "will"),
        *("winter", "wood", "woods", "young"),
    )
)
_LEAST: Final = 3
"""Letters of a lone part of a name, from which it is hidden."""


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text without case, accents and double spaces, and where each of its signs came from."""

    text: str
    places: Sequence[int]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A piece of a text that gave way to something else."""

    start: int
    end: int
    by: str


class NameHider:
    """Finds the names of a study in texts, and puts pseudonyms in their places.

    Names are found without regard to case, accents and spacing: in full, reversed, with initials,
    written together, and by surname or given name alone. That hides too much sooner than too
    little: somebody else's surname that is a person's of the study goes as well.

    Args:
        called: Pseudonyms and names by identity.
    """

    def __init__(self, called: Mapping[str, tuple[str, str]]) -> None:
        self._by: dict[str, list[str]] = {}
        for identity, (pseudonym, name) in sorted(called.items()):
            for form in {*_forms(name), *_identity_forms(identity)}:
                known = self._by.setdefault(form, [])
                known += [pseudonym] if pseudonym not in known else []
        for _, name in called.values():
            for given in _given_names(name):
                self._by.setdefault(given, [GIVEN_NAME])
        self._written = {
            word for identity, (_, name) in called.items() for word in (identity, *name.split())
        }
        self._forms = sorted(self._by)
        self._search = AhoCorasick(self._forms, matchkind=MatchKind.Standard)

    def find(self, text: str, *, is_ours: bool = False) -> list[Replaced]:
        """What is to be replaced, in the text's order; no two pieces overlap.

        Args:
            text: What a model wrote, or a sentence of ours.
            is_ours: In our sentences a lone word is a name only as it is written in the study:
                Will and May are names, "will" and "may" are not.
        """
        folded = _fold(text)
        found = [
            (start, end, self._forms[form])
            for form, start, end in self._search.find_matches_as_indexes(
                folded.text, overlapping=True
            )
            if _stands_alone(folded.text, start, end)
        ]
        chosen: list[Replaced] = []
        # The first to begin, and of these the longest: a full name before its surname.
        for start, end, form in sorted(found, key=lambda match: (match[0], -match[1])):
            first = folded.places[start]
            last = folded.places[end] if end < len(folded.places) else len(text)
            # Accents and spaces after the last letter are not part of the name.
            last = first + len(text[first:last].rstrip())
            if chosen and first < chosen[-1].end:
                continue
            is_lone = " " not in form
            if is_lone and is_ours and text[first:last] not in self._written:
                continue
            if is_lone and form in _WORDS and text[first].islower():
                continue
            chosen.append(Replaced(first, last, " or ".join(self._by[form])))
        return chosen

    def hide(self, sentence: str) -> str:
        """A sentence of ours without names."""
        return replace(sentence, self.find(sentence, is_ours=True))


def replace(text: str, pieces: Iterable[Replaced]) -> str:
    """The text with its pieces replaced.

    >>> replace("Ada and Ada", [Replaced(0, 3, "A"), Replaced(8, 11, "B")])
    'A and B'
    """
    parts, place = [], 0
    for piece in pieces:
        parts += [text[place : piece.start], piece.by]
        place = piece.end
    return "".join([*parts, text[place:]])


def moved(place: int, pieces: Iterable[Replaced], *, is_end: bool) -> int:
    """Where a place of the old text is in the new one; within a piece, at that piece's border.

    >>> moved(8, [Replaced(0, 3, "A")], is_end=False), moved(2, [Replaced(0, 3, "A")], is_end=True)
    (6, 1)
    """
    shift = 0
    for piece in pieces:
        if piece.end <= place:
            shift += len(piece.by) - (piece.end - piece.start)
        elif piece.start < place:
            return piece.start + shift + (len(piece.by) if is_end else 0)
    return place + shift


def _forms(name: str) -> Iterable[str]:
    """The ways in which a name is written, folded."""
    words = [word for word in fold_name(name).split(" ") if word]
    while len(words) > 2 and words[-1] in _GENERATIONS:
        yield " ".join(words)
        words = words[:-1]
    if not words or not any(map(str.isalnum, "".join(words))):
        return
    if len("".join(words)) > 1:
        yield " ".join(words)
    if len(words) == 1:
        return
    first, last = words[0], words[-1]
    initials = [f"{word[0]}." for word in words[:-1]]
    yield f"{first} {last}"
    yield f"{last} {first}"
    yield f"{last}, {first}"
    yield f"{last}, {' '.join(words[:-1])}"
    yield "".join(words)
    yield f"{first}{last}"
    yield f"{first[0]} {last}"
    yield f"{''.join(initials)} {last}"
    yield f"{' '.join(initials)} {last}"
    yield f"{first[0]}. {last}"
    if len(last) >= _LEAST or not _is_cased(last[0]):
        yield last


def _identity_forms(identity: str) -> Iterable[str]:
    """An identity as it stands in a file's name, unless it is but a number or a letter."""
    folded = fold_name(identity)
    if len(folded) > 1 and not folded.isdecimal():
        yield folded


def _given_names(name: str) -> Iterable[str]:
    words = fold_name(name).split(" ")
    return (word for word in words[:-1] if len(word) >= _LEAST and word.isalpha())


@lru_cache(maxsize=4096)
def _fold_sign(sign: str) -> str:
    return " " if sign.isspace() or sign == "_" else fold_name(sign)


def _fold(text: str) -> _Folded:
    signs: list[str] = []
    places: list[int] = []
    for place, sign in enumerate(text):
        for folded in _fold_sign(sign):
            if folded == " " and signs and signs[-1] == " ":
                continue
            signs.append(folded)
            places.append(place)
    return _Folded("".join(signs), places)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a match does not go on as a longer word.

    Scripts without capitals often write no spaces, or join particles: there, no border is asked.
    """
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (
        (_is_wordlike(text[start]) and _is_wordlike(before))
        or (_is_wordlike(text[end - 1]) and _is_wordlike(after))
    )


def _is_cased(sign: str) -> bool:
    return sign.lower() != sign.upper()


def _is_wordlike(sign: str) -> bool:
    return bool(sign) and (_is_cased(sign) or sign.isdecimal())
