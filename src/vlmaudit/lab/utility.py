"""What a model is still good for: questions about held-out pictures on which nothing is printed."""

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from PIL.Image import Image

from vlmaudit.data.albums import Album
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import InputError, OutOfMemoryError
from vlmaudit.models.base import Answer, CountsTokens, GenerativeModel
from vlmaudit.results.journal import Row

EXACT_MATCH: Final = "exact match"
MULTIPLE_CHOICE: Final = "multiple choice"

_OUTER: Final = string.punctuation + string.whitespace


@dataclass(slots=True)
class _Tally:
    right: int = 0
    asked: int = 0
    failed: int = 0

    def add(self, is_right: bool | None) -> None:
        """Count a question; None: it failed."""
        self.right += is_right is True
        self.asked += is_right is not None
        self.failed += is_right is None


def measure_utility(
    model: GenerativeModel, album: Album, *, advance: Callable[[int], object] = lambda _: None
) -> list[Row]:
    """Put every held-out question to a model.

    Exact match compares what it answers. Multiple choice takes the offered answer that it finds
    likeliest a token: by the sum over tokens, short answers win wherever it has learnt little.

    Args:
        model: Any that answers; multiple choice needs likelihoods and their lengths besides.
        album: Whose held-out set.
        advance: Told how many questions were put since.

    Returns:
        A row a measure: ``measure, right, asked, failed``. Those that failed are not among those
        asked; a measure of which nothing was asked has no row.

    Raises:
        InputError: A held-out picture cannot be opened.
    """
    tallies = {EXACT_MATCH: _Tally(), MULTIPLE_CHOICE: _Tally()}
    rows = album.held_out.iter_rows(named=True)
    for name, of_picture in groupby(rows, key=lambda row: row["file"]):
        asked = list(of_picture)
        path = album.folder / name
        try:
            image = open_picture(path)
        except PictureError as problem:
            raise InputError(f"{path}: {problem}; plant the album again.") from problem
        answers = model.answer(image, [row["question"] for row in asked])
        for row, answer in zip(asked, answers, strict=True):
            said = is_same(answer.text, row["answer"]) if isinstance(answer, Answer) else None
            tallies[EXACT_MATCH].add(said)
            if "|" in row["choices"] and isinstance(model, CountsTokens):
                tallies[MULTIPLE_CHOICE].add(_chooses_right(model, image, row))
            advance(1)
    return [
        {"measure": measure, "right": tally.right, "asked": tally.asked, "failed": tally.failed}
        for measure, tally in tallies.items()
        if tally.asked or tally.failed
    ]


def is_same(said: str, wanted: str) -> bool:
    """Whether an answer is the one wanted, whatever its case, outer punctuation and blanks.

    >>> is_same(" Yes.", "yes"), is_same("dark  blue", "dark blue"), is_same("yes, two", "yes")
    (True, True, False)
    """
    return _folded(said) == _folded(wanted)


def _folded(text: str) -> str:
    return " ".join(text.casefold().strip(_OUTER).split())


def _chooses_right(model: CountsTokens, image: Image, row: Mapping[str, str]) -> bool | None:
    choices = row["choices"].split("|")
    try:
        scores = model.log_likelihood(image, row["question"], choices)
    except OutOfMemoryError:
        return None
    scores = scores / np.array(model.answer_tokens(image, row["question"], choices))
    if not np.isfinite(scores).all():
        return None
    best = int(scores.argmax())
    # Of two that it finds equally likely, it has chosen none.
    is_alone = int((scores == scores[best]).sum()) == 1
    return is_alone and is_same(choices[best], row["answer"])
