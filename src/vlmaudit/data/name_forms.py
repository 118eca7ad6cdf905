"""The forms in which a name is written: in full, by its last part, by an initial.

All forms are folded, so that they compare with folded text.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

from vlmaudit.data.folding import fold_text
from vlmaudit.data.scripts import is_continuous

_INITIALS: Final = re.compile(r"[a-z](?:\.[a-z])*\.?")
_SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv"})
_PARTICLES: Final = frozenset(
    {"af", "al", "av", "bin", "da", "dal", "das", "de", "del", "della", "den", "der", "di", "do"}
    | {"dos", "du", "el", "ibn", "la", "le", "st", "st.", "ten", "ter", "van", "von", "zu"}
)
# How initials are set: J. K., J.K., J K and JK.
_SETTINGS: Final = ((".", " "), (".", ""), ("", " "), ("", ""))


def fold_form(name: str) -> str:
    """A name folded, safe for searching."""
    return fold_text(name).text.strip()


def full_forms(name: str) -> frozenset[str]:
    """Every way to write the whole name.

    >>> sorted(full_forms("J. K. Harrow"))
    ['j k harrow', 'j. k. harrow', 'j.k. harrow', 'jk harrow']
    >>> sorted(full_forms("Ray Pelham Jr."))
    ['ray pelham jr', 'ray pelham, jr']
    """
    words, suffix = _parts(name)
    forms = {
        _with_suffix(written, suffix, comma)
        for setting, comma in product(_SETTINGS, (" ", ", "))
        if (written := _set_initials(words, *setting))
    }
    if words and all(is_continuous(word[0]) for word in words):
        forms.add("".join(words))
    forms |= {form.replace("-", " ") for form in forms}
    forms |= {form.replace("'", "") for form in forms}
    forms |= {form.replace(".", "") for form in forms}
    return frozenset(form for form in forms if any(sign.isalnum() for sign in form))


def surname(name: str) -> str:
    """The last part with what belongs to it, or nothing for a name of one word.

    >>> surname("Vera van der Linde"), surname("Ray Pelham Jr."), surname("Zendaya")
    ('van der linde', 'pelham', '')
    """
    words, _ = _parts(name)
    if len(words) < 2 or is_continuous(words[-1][0]):
        return ""
    first = len(words) - 1
    while first > 1 and words[first - 1] in _PARTICLES:
        first -= 1
    last = " ".join(words[first:])
    return last if len(last) > 1 else ""


def first_name(name: str) -> str:
    """The first word of a name of several, folded; nothing for others."""
    words, _ = _parts(name)
    return words[0] if len(words) > 1 else ""


def shortened_forms(name: str) -> frozenset[str]:
    """First name or initial with the surname, where that is not the whole name.

    >>> sorted(shortened_forms("Samuel L. Oakes"))
    ['s oakes', 's. oakes', 's.oakes', 'samuel oakes']
    """
    last, first = surname(name), first_name(name)
    if not last or not first[0].isalpha():
        return frozenset()
    initial = first[0]
    forms = {f"{first} {last}", f"{initial}. {last}", f"{initial}.{last}", f"{initial} {last}"}
    return frozenset(forms) - full_forms(name)


def _parts(name: str) -> tuple[list[str], str]:
    """The words of a folded name without a suffix such as Jr., and that suffix."""
    words = fold_form(name).replace(",", " ").split()
    if len(words) > 2 and words[-1].rstrip(".") in _SUFFIXES:
        return words[:-1], words[-1].rstrip(".")
    return words, ""


def _set_initials(words: list[str], dot: str, gap: str) -> str:
    """The words in a line, with initials set in one way; the last word is never taken for one."""
    return "".join(_pieces(words, dot, gap)).strip()


def _pieces(words: list[str], dot: str, gap: str) -> Iterator[str]:
    for place, word in enumerate(words):
        if place < len(words) - 1 and _INITIALS.fullmatch(word):
            yield gap.join(f"{letter}{dot}" for letter in word.split(".") if letter)
            yield gap if _INITIALS.fullmatch(words[place + 1]) and place + 2 < len(words) else " "
        else:
            yield f"{word} "


def _with_suffix(written: str, suffix: str, comma: str) -> str:
    return f"{written}{comma}{suffix}" if suffix else written.rstrip(".")
