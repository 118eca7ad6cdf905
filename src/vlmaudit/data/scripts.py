"""Where a word begins and ends, in scripts with and without blanks between words."""

import unicodedata
from typing import Final

_CONTINUOUS: Final = (
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u1000", "\u109f"),  # Burmese
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3005", "\u30ff"),  # kana
    ("\u3400", "\u9fff"),  # Han
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
# Hebrew and Arabic write "and", "in", "to", "of" as a letter at the front of the word.
_PROCLITICS: Final = frozenset("ובכלמשהوفبكل")


def is_continuous(sign: str) -> bool:
    """Whether a sign's script writes words without blanks between them."""
    return sign >= "\u0e00" and any(first <= sign <= last for first, last in _CONTINUOUS)


def is_letter(sign: str) -> bool:
    """Whether a sign continues a word: a letter, a digit, or a vowel sign."""
    return sign.isalnum() or (sign > "\u0300" and unicodedata.category(sign)[0] == "M")


def begins_word(text: str, start: int, original_before: str) -> bool:
    """Whether a name may begin at `start` of a folded text.

    Args:
        text: The folded text.
        start: Where the name begins.
        original_before: The sign before an apostrophe as it was written, if there is one:
            "d'Emma" is French, and "O'Brien" is one name.
    """
    if not start:
        return True
    before = text[start - 1]
    if is_letter(before):
        if is_continuous(before) or is_continuous(text[start]):
            return True
        return before in _PROCLITICS and (start == 1 or not is_letter(text[start - 2]))
    if before == "-":
        return start == 1 or not is_letter(text[start - 2])
    if before == "'":
        return not original_before.isupper()
    return True


def ends_word(text: str, end: int, original_after: str) -> bool:
    """Whether a name may end at `end` of a folded text.

    Args:
        text: The folded text.
        end: Behind the name's last sign.
        original_after: The sign behind a hyphen or apostrophe as it was written, if there is one:
            "Ann Lee-Jones" is somebody else, and "Ann Lee-like" is not.
    """
    if end == len(text):
        return True
    after = text[end]
    if is_letter(after):
        if _is_hangul(after):  # particles follow a name; a vowel or a final goes on its last sign
            return _is_hangul(text[end - 1]) and after < "\u1160"
        return is_continuous(after) or is_continuous(text[end - 1])
    return not (after in "'-" and original_after.isupper())


def _is_hangul(sign: str) -> bool:
    return "\u1100" <= sign <= "\u11ff"  # folding takes syllables apart
