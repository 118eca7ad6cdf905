"""Whether a person's name stands in text that was read in a picture."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vlmaudit.data.folding import fold_text
from vlmaudit.data.scripts import is_continuous

Rule = Literal["paper", "audit"]
RULES: Final[tuple[Rule, ...]] = ("paper", "audit")

PAPER_PIECE: Final = 5
"""Characters of a name that make a piece of it (Caldarella et al. 2024, section 4.1)."""
_WORD: Final = re.compile(r"(?:[^\W_]|\|)+")
_LEAST_WHOLE: Final = 3
"""Letters of a whole name that stands by itself, such as "Sia"; two where words have no blanks."""
_LEAST_ALONE: Final = 4
"""Letters of a part of a name that says who it is by itself; "Ann" and "Lee" only together do."""
_LEAST_FUZZY: Final = 6
"""Letters from which one may be misread, and twice as many from which two may."""
_LEAST_SHARE: Final = 0.6
"""Of a word that a piece makes up at the least: "Christ" is no Christopher."""
# What readers take for one another, as one sign each.
_ALIKE: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "8": "b"})


@dataclass(frozen=True, slots=True)
class NameRead:
    """A name that can be read.

    Attributes:
        part: What of the name, folded.
        read: What stood in the picture.
    """

    part: str
    read: str


def find_name(names: Sequence[str], texts: Sequence[str], rule: Rule) -> NameRead | None:
    """Whether one of these names can be read; None if not.

    ``paper``: any five characters of the name, blanks included, stand in a line, in capitals or
    not. Accents, a letter misread, and a name over two lines are missed; and of Ada Lovelace
    "a lov" is read in "a love story". ``audit``: see `_find_by_audit`.

    >>> find_name(["Beyoncé Knowles"], ["BEYONCE"], "audit")
    NameRead(part='beyonce', read='BEYONCE')
    >>> find_name(["Beyoncé Knowles"], ["Beyonce"], "paper").part
    'beyon'

    Args:
        names: The name, and aliases.
        texts: The lines that were read, from top to bottom.
        rule: What counts as reading it.
    """
    find = {"paper": _find_by_paper, "audit": _find_by_audit}[rule]
    return next((found for name in names if (found := find(name, texts)) is not None), None)


def _find_by_paper(name: str, texts: Sequence[str]) -> NameRead | None:
    small = name.lower()
    for start in range(len(small) - PAPER_PIECE + 1):
        piece = small[start : start + PAPER_PIECE]
        for text in texts:
            if piece in text.lower():
                return NameRead(piece, text)
    return None


def _find_by_audit(name: str, texts: Sequence[str]) -> NameRead | None:
    """By words as names are compared: accents dropped, and letters that readers mix up made one.

    Read is a name of which a part of four letters or more stands as a word, one or two letters
    misread where it is long; of which most of a part stands, such as where the picture ends; or
    whose letters stand one after the other, over blanks and lines. Parts of two or three letters
    count if all of the name is there, and so does a short name of one word. A part that is a word
    as well ("Young") drops a picture too often rather than too seldom; numbers are no words.
    """
    shown = dict(_words(name))
    parts = list(shown)
    whole = "".join(parts)
    shown[whole] = " ".join(shown.values())
    written = [(word, read) for read in texts for word, _ in _words(read)]
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _LEAST_ALONE:
            for word, read in written:
                if _is_read(part, word):
                    return NameRead(shown[part], read)
    words = {word for word, _ in written}
    is_there = whole in words or words.issuperset(parts)
    if is_there and len(whole) >= _LEAST_WHOLE:
        return NameRead(shown[whole], " / ".join(texts))
    run_on = "".join(word for word, _ in written)
    for piece in (whole, *parts):
        if len(piece) >= _least_run_on(piece) and piece in run_on:
            return NameRead(shown[piece], " / ".join(texts))
    return None


def _least_run_on(piece: str) -> int:
    """Letters from which a piece counts between other letters."""
    return 2 if piece and all(map(is_continuous, piece)) else _LEAST_FUZZY


def _words(text: str) -> Iterator[tuple[str, str]]:
    """The words of a text as they are compared, and as they stand; numbers are none."""
    folded = fold_text(text).text.replace("'", "")
    for word in _WORD.findall(folded):
        if any(map(str.isalpha, word)):
            yield word.translate(_ALIKE).replace("rn", "m").replace("vv", "w"), word


def _is_read(part: str, word: str) -> bool:
    if part in word and len(part) >= _LEAST_SHARE * len(word):
        return True
    if len(word) >= PAPER_PIECE and word in part and len(word) >= _LEAST_SHARE * len(part):
        return True
    allowed = min(2, len(part) // _LEAST_FUZZY)
    return allowed > 0 and _edits(part, word, allowed) <= allowed


def _edits(one: str, other: str, most: int) -> int:
    """Letters to change, add or leave out (Levenshtein 1966); more than `most` if that is more.

    >>> _edits("knowles", "knovvles", 2), _edits("lovelace", "lowelase", 2)
    (2, 2)
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        diagonal, row[0] = row[0], place
        for column, against in enumerate(other, start=1):
            changed = diagonal + (letter != against)
            diagonal = row[column]
            row[column] = min(changed, row[column] + 1, row[column - 1] + 1)
    return row[-1]
