"""Whether what is printed can be read, at the size at which a model is shown it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from vlmaudit.imaging.seams import TextReader


@dataclass(frozen=True, slots=True)
class Legibility:
    """What a reader made of a sample of printed pictures.

    Attributes:
        pictures: How many it was shown.
        values: How many values stand on them.
        read: How many of these it read without a mistake, but for blanks, signs and case.
        reader: Who read.
        why: Why nobody read; empty if somebody did.
    """

    pictures: int
    values: int
    read: int | None
    reader: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """What album.json says."""
        return asdict(self)


def read_back(
    printed: Sequence[tuple[Image.Image, Mapping[str, str]]],
    reader: TextReader,
    *,
    input_side: int,
    advance: Callable[[int], object] = lambda _: None,
) -> Legibility:
    """Show a reader printed pictures, scaled as a model scales them.

    Args:
        printed: Pictures, each with the values that stand on it by field.
        reader: Who reads.
        input_side: Pixels to which a longer side is scaled down.
        advance: Told of every picture that was read.
    """
    values = read = 0
    for picture, wanted in printed:
        shown = picture.copy()
        shown.thumbnail((input_side, input_side), Image.Resampling.BICUBIC)
        text = _plain(" ".join(line.text for line in reader.read(np.asarray(shown))))
        values += len(wanted)
        read += sum(1 for value in wanted.values() if _plain(value) in text)
        advance(1)
    return Legibility(len(printed), values, read, reader.name, "")


def not_read(why: str) -> Legibility:
    """What is said where nobody could read."""
    return Legibility(0, 0, None, "", why)


def _plain(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())
