"""Names of people of whom no list tells: a known first name with a capitalised word after it.

Made for precision. It knows Latin letters only, and misses names in small letters and first names
that Faker's lists lack.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from vlmaudit.data.folding import fold_word
from vlmaudit.data.known_words import (
    NO_PERSONS,
    PLACE_BEGINNINGS,
    PLACE_WORDS,
    common_words,
    known_names,
)

_CAPITALS: Final = "".join(chr(code) for code in range(0x250) if chr(code).isupper())
_WORD: Final = re.compile(r"[^ ]+")
_PARTICLE: Final = "(?:de|del|della|di|da|dos|du|van|von|der|den|la|le|el|al|bin)"
_MOST_WORDS: Final = 3
_FARTHEST: Final = 8  # words looked at behind a first name, particles included
_TITLES: Final = frozenset(
    {"mr", "mrs", "ms", "dr", "president", "chancellor", "senator", "queen", "king", "prince"}
    | {"princess", "pope", "sir", "dame"}
)
# Known by the last name with a title, and rare enough to be missing in Faker's lists.
_HEADS_OF_STATE: Final = frozenset({"biden", "macron", "obama", "putin", "trump", "zelensky"})


def find_unknown_names(text: str) -> Iterator[tuple[int, int]]:
    """Where names of people seem to stand, from left to right.

    >>> text = "Mary Whitcomb walks along Victoria Street with Queen Mary."
    >>> [text[start:end] for start, end in find_unknown_names(text)]
    ['Mary Whitcomb', 'Mary']
    """
    runs = _runs_of("A-Z" if text.isascii() else _CAPITALS)
    for run in runs.finditer(text):
        start = run.start()
        words = [(start + word.start(), word.group()) for word in _WORD.finditer(run.group())]
        yield from _names_among(words)


@functools.cache
def _runs_of(capitals: str) -> re.Pattern[str]:
    """Capitalised words with nothing but blanks and particles between them.

    The dot of "J.", "Mr." or "St." belongs to the word. Each word can be read in one way only, so
    a run costs as many steps as it has signs.
    """
    rest = r"(?:(?:rs?|[st])?\.|[\w'’-]*)"
    first = rf"[{capitals}](?<![\w'’.-].)"
    return re.compile(rf"{first}{rest}(?: +(?:{_PARTICLE} +)*[{capitals}]{rest})+")


def _names_among(words: Sequence[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    place = 0
    while place < len(words) - 1:
        length = _length_of_name(words, place)
        if length:
            last_start, last = words[place + length - 1]
            yield words[place][0], last_start + len(_without_genitive(last))
        elif _is_titled(words, place):
            start, name = words[place + 1]
            yield start, start + len(_without_genitive(name))
            length = 2
        place += max(length, 1)


def _length_of_name(words: Sequence[tuple[int, str]], place: int) -> int:
    """How many words from `place` on are a person's name; 0 for none."""
    first = fold_word(words[place][1])
    known = known_names()
    if first not in known.first and first.partition("-")[0] not in known.first:
        return 0
    if place and fold_word(words[place - 1][1]).rstrip(".") in PLACE_BEGINNINGS:
        return 0
    named = [first]
    capitals = 1
    following = ""
    for _, word in words[place + 1 : place + 1 + _FARTHEST]:
        folded = fold_word(_without_genitive(word)).rstrip(".")
        is_particle = word[0].islower()
        if capitals == _MOST_WORDS or not (is_particle or _may_be_last(folded)):
            following = folded
            break
        named.append(folded)
        capitals += not is_particle
    while len(named) > 1 and words[place + len(named) - 1][1][0].islower():
        named.pop()  # a particle with nothing behind it
    is_place = any(word in PLACE_WORDS for word in (*named[1:], following))
    if len(named) == 1 or is_place or "_".join(named[:2]) in NO_PERSONS:
        return 0
    # "April", "Will" and "Grace" are words first: only a known last name makes them a name.
    return 0 if first in common_words() and named[-1] not in known.last else len(named)


def _may_be_last(folded: str) -> bool:
    """Whether a capitalised word after a first name is a last name rather than a word."""
    is_word = folded in common_words() or folded in PLACE_WORDS
    return not is_word or folded in known_names().last


def _is_titled(words: Sequence[tuple[int, str]], place: int) -> bool:
    """Whether a title stands at `place`, and a name alone after it."""
    if fold_word(words[place][1]).rstrip(".") not in _TITLES:
        return False
    if _length_of_name(words, place + 1):
        return False
    name, following = (
        *(fold_word(_without_genitive(word)) for _, word in words[place + 1 : place + 3]),
        "",
    )[:2]
    known = known_names()
    is_known = any(name in names for names in (known.first, known.last, _HEADS_OF_STATE))
    return is_known and name not in common_words() and following not in PLACE_WORDS


def _without_genitive(word: str) -> str:
    return word[:-2] if word.endswith(("'s", "’s")) else word.rstrip("'’-")
