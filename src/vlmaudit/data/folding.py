"""Running text folded as names are, with the way back to where every sign stood."""

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from vlmaudit.data.names import fold_name

# What folding does to ASCII besides small letters; the rest of it stays.
_ASCII: Final = str.maketrans(
    {"`": "'", "_": " "} | dict.fromkeys("\t\n\v\f\r\x1c\x1d\x1e\x1f", " ")
)
_NO_LETTER: Final = "\N{REPLACEMENT CHARACTER}"
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class _FoldedSigns(dict[str, str]):
    """What each sign folds to: nothing for an accent, several letters for a ligature."""

    def __missing__(self, sign: str) -> str:
        folded = self[sign] = fold_name(f"x{without_surrogates(sign)}x")[1:-1]
        return folded


_FOLDED: Final = _FoldedSigns()


def without_surrogates(text: str) -> str:
    """The text with another sign for each half of a surrogate pair, which no search takes."""
    return text if text.isascii() else _SURROGATES.sub(_NO_LETTER, text)


@dataclass(frozen=True, slots=True)
class Folded:
    """A text as names are compared, single blanks between words.

    Attributes:
        original: The text as it was.
        text: The same folded; blanks at its ends are kept, as one.
        places: For each sign of `text` where its sign stands in `original`; None where nothing
            moved, as in nearly all English text.
    """

    original: str
    text: str
    places: tuple[int, ...] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where signs `start` to `end` of the folded text stand in the original.

        Accents that follow the last letter as signs of their own belong to it.
        """
        if self.places is None:
            return start, end
        first, last = self.places[start], self.places[end - 1] + 1
        while last < len(self.original) and unicodedata.category(self.original[last]) == "Mn":
            last += 1
        return first, last


def fold_text(text: str) -> Folded:
    """Fold a text sign by sign, exactly as `fold_name` folds a name.

    >>> folded = fold_text("Hier: Jürgen  WEIẞ!")
    >>> folded.text, folded.span(6, 18)
    ('hier: jurgen weiss!', (6, 18))
    """
    if text.isascii():
        plain = text.lower().translate(_ASCII)
        if "  " not in plain:
            return Folded(text, plain)
    pieces = [_FOLDED[sign] for sign in text]
    joined = "".join(pieces)
    if len(joined) == len(text) and "  " not in joined and "" not in pieces:
        return Folded(text, joined)
    signs: list[str] = []
    places: list[int] = []
    for place, piece in enumerate(pieces):
        for sign in piece:
            if sign == " " and signs and signs[-1] == " ":
                continue
            signs.append(sign)
            places.append(place)
    return Folded(text, "".join(signs), tuple(places))


@functools.lru_cache(maxsize=1 << 16)
def fold_word(word: str) -> str:
    """`fold_name`, remembered: texts have few different words."""
    return fold_name(word)
