"""Many captions folded at once, exactly as `folding.fold_text` folds one."""

from typing import Final

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, UInt8

from vlmaudit.data.folding import fold_text

_BLANK: Final = ord(" ")
_UNDERSCORE: Final = np.uint8(ord("_"))
"""Behind it stands the backtick; all else of ASCII that folding changes comes before the blank."""
_FIRST_OF_SEVERAL: Final = 0xC0
"""Bytes from here on begin a sign of several bytes."""
_MOST_CODES: Final = 0x110000


def texts_of(batch: pa.Array) -> tuple[bytes, Int[np.ndarray, " ends"]]:
    """The bytes of all captions one after the other, and where each begins; the last end too."""
    wide = batch if pa.types.is_large_string(batch.type) else batch.cast(pa.large_string())
    if not len(wide):
        return b"", np.zeros(1, dtype=np.int64)
    _, where, data = wide.buffers()
    starts = np.frombuffer(where, dtype=np.int64)[wide.offset : wide.offset + len(wide) + 1]
    if data is None:
        return b"", starts - starts[0]
    return data.slice(int(starts[0]), int(starts[-1] - starts[0])), starts - starts[0]


class CaptionFolder:
    """Folds captions that hold more than small letters, signs and single blanks of ASCII.

    Nearly all folded signs are no longer than what they replace, and those are written in place:
    the few captions that hold another sign are folded one by one. What a sign folds to is asked of
    `fold_text`, once for every sign that is met.
    """

    def __init__(self) -> None:
        """Begin with no sign known."""
        self._known = np.zeros(_MOST_CODES, dtype=bool)
        self._longer = np.zeros(_MOST_CODES, dtype=bool)
        self._folded = np.zeros((_MOST_CODES, 4), dtype=np.uint8)
        self._lengths = np.zeros(_MOST_CODES, dtype=np.uint8)
        ascii_signs = [fold_text(f"x{chr(code)}x").text[1:-1] for code in range(128)]
        self._bytes = np.array(list(map(ord, ascii_signs)), dtype=np.uint8)

    def fold(
        self, data: bytes, starts: Int[np.ndarray, " ends"]
    ) -> tuple[
        UInt8[np.ndarray, " bytes"], Int[np.ndarray, " ends"], Bool[np.ndarray, " captions"]
    ]:
        """Captions folded.

        Args:
            data: UTF-8 of all captions, one after the other, capitals of ASCII made small; it must
                be valid.
            starts: Where each begins, and the end of the last.

        Returns:
            The same of the folded captions, and which could not be folded so: of these nothing
            that is returned is to be used.
        """
        given = np.frombuffer(data, dtype=np.uint8)
        folded = given.copy()
        odd_signs = np.flatnonzero((given < _BLANK) | ((given - _UNDERSCORE) <= 1))
        folded[odd_signs] = self._bytes[given[odd_signs]]
        several = np.flatnonzero(given >= 0x80)
        first = several[given[several] >= _FIRST_OF_SEVERAL]
        codes, sizes = _codes(given, first)
        self._learn(codes)
        lengths = self._lengths[codes]
        gone = []
        for place in range(4):
            has = sizes > place
            within = first[has] + place
            folded[within] = self._folded[codes[has], place]
            gone.append(within[lengths[has] <= place])
        odd = np.zeros(len(starts) - 1, dtype=bool)
        odd[caption_of(first[self._longer[codes]], starts)] = True
        folded, starts = _without(np.sort(np.concatenate(gone)), folded, starts)
        is_blank = folded == _BLANK
        is_second = is_blank[1:] & is_blank[:-1]
        if is_second.any():
            second = np.flatnonzero(is_second) + 1
            folded, starts = _without(second[~np.isin(second, starts)], folded, starts)
        return folded, starts, odd

    def _learn(self, codes: Int[np.ndarray, " signs"]) -> None:
        for code in np.unique(codes[~self._known[codes]]).tolist():
            sign = chr(code)
            piece = fold_text(f"x{sign}x").text[1:-1].encode("utf-8", "surrogatepass")
            self._known[code] = True
            self._longer[code] = len(piece) > len(sign.encode("utf-8", "surrogatepass"))
            if not self._longer[code]:
                self._lengths[code] = len(piece)
                self._folded[code, : len(piece)] = list(piece)


def _codes(
    given: UInt8[np.ndarray, " bytes"], first: Int[np.ndarray, " signs"]
) -> tuple[Int[np.ndarray, " signs"], Int[np.ndarray, " signs"]]:
    """The signs of several bytes that begin at `first`, as numbers, and how many bytes each has."""
    lead = given[first].astype(np.int64)
    sizes = 2 + (lead >= 0xE0).astype(np.int64) + (lead >= 0xF0)
    codes = lead & np.array([0, 0, 0x1F, 0x0F, 0x07])[sizes]
    for place in (1, 2, 3):
        has = sizes > place
        codes[has] = (codes[has] << 6) | (given[first[has] + place] & 0x3F)
    return codes, sizes


def _without(
    gone: Int[np.ndarray, " gone"],
    data: UInt8[np.ndarray, " bytes"],
    starts: Int[np.ndarray, " ends"],
) -> tuple[UInt8[np.ndarray, " left"], Int[np.ndarray, " ends"]]:
    """The bytes but some, of which the places rise, and where captions then begin."""
    return np.delete(data, gone), starts - np.searchsorted(gone, starts)


def caption_of(
    places: Int[np.ndarray, " places"], starts: Int[np.ndarray, " ends"]
) -> Int[np.ndarray, " places"]:
    """Which caption each byte belongs to; empty captions have none."""
    return np.searchsorted(starts, places, side="right") - 1
