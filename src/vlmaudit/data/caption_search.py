"""Which captions name whom: a fast search that misses nothing, then an exact one of what it finds.

The fast search folds a batch of captions as a whole and looks for all names at once in its bytes
(Aho-Corasick). What it finds is read again, caption by caption, by the rule of the protocol, which
alone decides. So both rules may be as careful as they like: of web captions few name anybody.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import ahocorasick_rs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, UInt8

from vlmaudit.data.caption_folding import CaptionFolder, caption_of, texts_of
from vlmaudit.data.folding import fold_text
from vlmaudit.data.name_forms import full_forms
from vlmaudit.data.name_matching import Known
from vlmaudit.data.scripts import begins_word, ends_word, is_continuous
from vlmaudit.errors import InputError

Protocol = Literal["paper", "audit"]
Data = bytes | UInt8[np.ndarray, " bytes"]
"""UTF-8 of captions, one after the other."""
_LATIN: Final = np.array([chr(code).isalnum() and code < 128 for code in range(256)])

# What ASCII may hold that folding changes besides capitals: such captions are folded in full.
_IRREGULAR: Final = ("  ", "_", "`", "\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f")
_SPECIAL: Final = re.compile(r"[.^$*+?{}\[\]\\|()]")
_ANY: Final = "."


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """Who is named in a batch of captions.

    Attributes:
        captions: Places of captions in the batch, rising; a caption that names two people comes
            twice.
        names: Places of names in the list, rising within a caption.
        times: How often the caption names them.
    """

    captions: Int[np.ndarray, " mentions"]
    names: Int[np.ndarray, " mentions"]
    times: Int[np.ndarray, " mentions"]


class NameSearch:
    """Whole names and aliases as words, whatever their case and accents; the longest wins.

    "Ann Lee" does not count where "Mary Ann Lee" stands, if both are in the list. Names that are
    written alike are counted for each who bears them.
    """

    def __init__(self, people: Sequence[Known]) -> None:
        """Prepare the search.

        Args:
            people: Whose names; mentions give their places in this sequence.

        Raises:
            InputError: Nobody's name has a letter.
        """
        owners: dict[str, list[int]] = {}
        for place, person in enumerate(people):
            forms = {form for name in (person.name, *person.aliases) for form in full_forms(name)}
            for form in forms:
                owners.setdefault(form, []).append(place)
        if not owners:
            raise InputError("no name holds a letter or digit; nothing can be counted.")
        self._forms = tuple(sorted(owners))
        self._owners = tuple(tuple(owners[form]) for form in self._forms)
        self._exact = ahocorasick_rs.AhoCorasick(self._forms)
        encoded = [form.encode("utf-8", "surrogatepass") for form in self._forms]
        self._folded = _automaton(encoded)
        self._plain = _automaton([*encoded, *(one.encode() for one in _IRREGULAR)])
        self._lengths = np.array([len(form) for form in encoded])
        self._begins = np.array([_needs_edge(form[0]) for form in self._forms])
        self._ends = np.array([_needs_edge(form[-1]) for form in self._forms])
        self._folder = CaptionFolder()

    def find(self, batch: pa.Array) -> Named:
        """Who is named in a batch of captions.

        Args:
            batch: Strings without nulls, valid UTF-8.
        """
        lower = pc.ascii_lower(batch)
        data, starts = texts_of(lower)
        number, where = _matches(self._plain, data)
        is_form = number < len(self._forms)
        odd = pc.invert(pc.string_is_ascii(lower)).to_numpy(zero_copy_only=False).copy()
        odd[caption_of(where[~is_form], starts)] = True
        wanted = self._holding(data, starts, number[is_form], where[is_form]) & ~odd
        places = np.flatnonzero(odd)
        if len(places):
            folded, begins, unfolded = self._folder.fold(*texts_of(lower.take(pa.array(places))))
            held = self._holding(folded, begins, *_matches(self._folded, folded))
            wanted[places[held | unfolded]] = True
        return _read(batch, wanted, self.mentions)

    def mentions(self, caption: str) -> Counter[int]:
        """How often a caption names whom, by the rule."""
        folded = fold_text(caption)
        hits = self._exact.find_matches_as_indexes(folded.text, overlapping=True)
        named: Counter[int] = Counter()
        taken = bytearray(len(folded.text))
        for number, first, last in sorted(hits, key=_longest_first):
            if taken.find(1, first, last) >= 0:
                continue
            start, end = folded.span(first, last)
            before = caption[start - 2 : start - 1] if start > 1 else ""
            if not begins_word(folded.text, first, before):
                continue
            if not ends_word(folded.text, last, caption[end + 1 : end + 2]):
                continue
            taken[first:last] = b"\1" * (last - first)
            named.update(self._owners[number])
        return named

    def _holding(
        self,
        data: Data,
        starts: Int[np.ndarray, " ends"],
        number: Int[np.ndarray, " hits"],
        where: Int[np.ndarray, " hits"],
    ) -> Bool[np.ndarray, " captions"]:
        """Which captions hold a form that no Latin letter or digit goes on with on either side."""
        held = np.zeros(len(starts) - 1, dtype=bool)
        if not len(where):
            return held
        signs = np.frombuffer(data, dtype=np.uint8)
        caption, end = caption_of(where, starts), where + self._lengths[number]
        is_first, is_last = where == starts[caption], end == starts[caption + 1]
        before = _LATIN[signs[np.maximum(where - 1, 0)]] & ~is_first & self._begins[number]
        after = _LATIN[signs[np.minimum(end, len(signs) - 1)]] & ~is_last & self._ends[number]
        held[caption[~before & ~after & (end <= starts[caption + 1])]] = True
        return held


class PaperSearch:
    """The papers' own rule: pandas' ``str.contains(name)``.

    Case- and accent-sensitive, also within words, and a name is a regular expression: the dot of
    "Johannes B. Kerner" stands for any sign. Aliases are not looked for.
    """

    def __init__(self, people: Sequence[Known]) -> None:
        """Prepare the search.

        Args:
            people: Whose names; mentions give their places in this sequence.

        Raises:
            InputError: A name is no regular expression.
        """
        self._patterns = tuple(_compiled(person.name) for person in people)
        needles: dict[str, list[int]] = {}
        for place, person in enumerate(people):
            needles.setdefault(_needle(person.name), []).append(place)
        self._everywhere = tuple(needles.pop("", ()))
        self._owners = tuple(tuple(places) for places in needles.values())
        encoded = [needle.encode("utf-8", "surrogatepass") for needle in needles]
        self._lengths = np.array([len(needle) for needle in encoded], dtype=np.int64)
        self._needles = tuple(needles)
        self._automaton = _automaton(encoded) if encoded else None

    def find(self, batch: pa.Array) -> Named:
        """Who is named in a batch of captions.

        Args:
            batch: Strings without nulls, valid UTF-8.
        """
        wanted = np.full(len(batch), bool(self._everywhere))
        if self._automaton is not None and not self._everywhere:
            data, starts = texts_of(batch)
            number, where = _matches(self._automaton, data)
            caption = caption_of(where, starts)
            wanted[caption[where + self._lengths[number] <= starts[caption + 1]]] = True
        return _read(batch, wanted, self.mentions)

    def mentions(self, caption: str) -> Counter[int]:
        """How often a caption names whom, by the rule."""
        named: Counter[int] = Counter()
        owners = [
            owners
            for needle, owners in zip(self._needles, self._owners, strict=True)
            if needle in caption
        ]
        for place in (*self._everywhere, *(place for group in owners for place in group)):
            times = sum(1 for _ in self._patterns[place].finditer(caption))
            if times:
                named[place] = times
        return named


def name_search(people: Sequence[Known], protocol: Protocol) -> NameSearch | PaperSearch:
    """The search of a protocol.

    Raises:
        InputError: Names cannot be looked for; the message says which.
    """
    return NameSearch(people) if protocol == "audit" else PaperSearch(people)


def _compiled(name: str) -> re.Pattern[str]:
    try:
        return re.compile(name)
    except re.error as problem:
        raise InputError(
            f'name "{name}": no regular expression ({problem}), for which the paper takes names; '
            "use --protocol audit, or put a backslash before its special signs."
        ) from problem


def _needle(name: str) -> str:
    """What every text that a name's pattern fits must hold; empty where that is not known."""
    pieces = name.split(_ANY)
    if _SPECIAL.search("".join(pieces)):
        return ""
    return max(pieces, key=len)


def _automaton(forms: Sequence[bytes]) -> ahocorasick_rs.BytesAhoCorasick:
    # A table a state takes more memory than the usual kind, and is twice as fast.
    return ahocorasick_rs.BytesAhoCorasick(forms, implementation=ahocorasick_rs.Implementation.DFA)


def _matches(
    automaton: ahocorasick_rs.BytesAhoCorasick, data: Data
) -> tuple[Int[np.ndarray, " hits"], Int[np.ndarray, " hits"]]:
    """Which form begins where, with all that overlap."""
    hits = automaton.find_matches_as_indexes(
        np.frombuffer(data, dtype=np.uint8).data, overlapping=True
    )
    found = np.array(hits, dtype=np.int64).reshape(-1, 3)
    return found[:, 0], found[:, 1]


def _read(
    batch: pa.Array, wanted: Bool[np.ndarray, " captions"], rule: Callable[[str], Counter[int]]
) -> Named:
    chosen = np.flatnonzero(wanted)
    rows: list[tuple[int, int, int]] = []
    for place, text in zip(chosen.tolist(), batch.take(pa.array(chosen)).to_pylist(), strict=True):
        rows += [(place, name, times) for name, times in sorted(rule(text).items())]
    found = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Named(found[:, 0], found[:, 1], found[:, 2])


def _longest_first(hit: tuple[int, int, int]) -> tuple[int, int, int]:
    number, first, last = hit
    return first - last, first, number


def _needs_edge(sign: str) -> bool:
    """Whether a name that begins or ends so cannot have a Latin letter beside it."""
    return not is_continuous(sign)
