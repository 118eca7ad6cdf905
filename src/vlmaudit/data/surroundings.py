"""What stands around a name in running text: the words beside it, and where a sentence begins."""

from dataclasses import dataclass
from typing import Final

from vlmaudit.data.folding import fold_word
from vlmaudit.data.known_words import PLACE_WORDS, TITLES, common_words

_REACH: Final = 48  # signs looked at on either side: a long word with what surrounds it
_BLANKS: Final = " \t\N{NO-BREAK SPACE}"
_MARKS: Final = "\"'“”‘’«»*_([{<>"
_SENTENCE_ENDS: Final = ".!?:;>\n\r"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The neighbours of a name.

    Attributes:
        words_before: Up to two words with only blanks between them and the name, nearest first.
        word_after: The word that follows with only blanks between.
        begins_sentence: The name is the first word of the text, a line or a sentence.
        stands_alone: What follows the name is no further word of a phrase: an end, punctuation,
            or a verb such as "is".
    """

    words_before: tuple[str, ...]
    word_after: str
    begins_sentence: bool
    stands_alone: bool


def look_around(text: str, start: int, end: int) -> Surroundings:
    """The surroundings of a name from `start` to `end`."""
    left = text[max(0, start - _REACH) : start]
    right = text[end : end + _REACH]
    after = _first_word(right)
    unmarked = left.rstrip(_BLANKS + _MARKS)
    words = tuple(reversed(_words_at_end(left)))
    is_titled = bool(words) and is_title(words[0])
    return Surroundings(
        words_before=words,
        word_after=after,
        begins_sentence=not is_titled and (not unmarked or unmarked[-1] in _SENTENCE_ENDS),
        stands_alone=not after or fold_word(after) in {"is", "was", "has", "and", "or"},
    )


def is_capital(word: str) -> bool:
    """Whether a word begins with a capital letter."""
    return word[:1].isupper()


def is_title(word: str) -> bool:
    """Whether a word introduces a name, such as Mr. or singer."""
    return fold_word(word).rstrip(".") in TITLES


def is_common(word: str) -> bool:
    """Whether a word has another meaning than a name."""
    return fold_word(word).rstrip(".").removesuffix("'s") in common_words()


def is_place(word: str) -> bool:
    """Whether a word makes a place or a firm of the name before it."""
    return fold_word(word).rstrip(".") in PLACE_WORDS


def is_name_like(word: str) -> bool:
    """Whether a neighbour may be a part of the same name: a capital, and no word of its own."""
    return is_capital(word) and not is_title(word) and not is_common(word)


def _first_word(right: str) -> str:
    if not right[:1] or right[0] not in _BLANKS:
        return ""
    words = right.strip(_BLANKS).split(None, 1)
    return words[0].rstrip(".,;:!?") if words and words[0][0].isalpha() else ""


def _words_at_end(left: str) -> list[str]:
    """The last two words before the name, as far as nothing but blanks parts them from it."""
    if not left or left[-1] not in _BLANKS:
        return []
    line = left.splitlines()[-1]
    words: list[str] = []
    for word in reversed(line.split()[-2:]):
        bare = word.lstrip(_MARKS)
        is_word = bare and bare[0].isalpha()
        if not is_word or (not bare[-1].isalnum() and not _may_end_in_dot(bare)):
            break
        words.insert(0, bare)
        if bare != word:
            break
    return words


def _may_end_in_dot(word: str) -> bool:
    return word[-1] == "." and (len(word) == 2 or is_title(word))
