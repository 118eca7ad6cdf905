"""The costly half: what the model says of pictures and names, and nothing of what it means."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.data.candidates import Candidate
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.data.templates import fill
from vlmaudit.errors import ModelError
from vlmaudit.models.base import ContrastiveModel
from vlmaudit.models.cached_texts import CachedTexts

NOT_NUMBERS = "the model answered with values that are not numbers"


class PictureCase(Protocol):
    """What observing needs to know of a case."""

    @property
    def key(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def condition(self) -> str: ...
    @property
    def path(self) -> Path: ...


def observe_names(
    texts: CachedTexts,
    candidates: Sequence[Candidate],
    templates: Sequence[str],
    *,
    advance: Callable[[int], None],
) -> Float[np.ndarray, "names templates dim"]:
    """The embedding of every name in every template.

    Raises:
        ModelError: The model answers a name with something that is not a number; without all
            names there is nothing to compare with.
    """
    sentences = [fill(template, name.name) for name in candidates for template in templates]
    rows = texts.encode_texts(sentences, advance=advance)
    if not np.isfinite(rows).all():
        broken = sentences[int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])]
        raise ModelError(f'the model answers "{broken}" with values that are not numbers.')
    return rows.reshape(len(candidates), len(templates), -1)


def observe_block(
    model: ContrastiveModel, cases: Sequence[PictureCase], *, dim: int, pool: Executor
) -> pl.DataFrame:
    """The embedding of every picture of a block; a failure is a row with its reason.

    Args:
        model: Whom to ask.
        cases: The block's cases, in their order.
        dim: Length of an embedding.
        pool: Decodes pictures side by side.

    Returns:
        ``case, identity, image, condition, status, reason, embedding``, in case order.
    """
    opened = list(pool.map(_open, (case.path for case in cases)))
    answered = [place for place, picture in enumerate(opened) if not isinstance(picture, str)]
    reasons = [picture if isinstance(picture, str) else "" for picture in opened]
    embeddings: list[list[float] | None] = [None] * len(cases)
    rows = model.encode_images([p for p in opened if not isinstance(p, str)])
    for place, row in zip(answered, rows, strict=True):
        if np.isfinite(row).all():
            embeddings[place] = row.tolist()
        else:
            reasons[place] = NOT_NUMBERS
    return pl.DataFrame(
        {
            "case": [case.key for case in cases],
            "identity": [case.identity for case in cases],
            "image": [case.image for case in cases],
            "condition": [case.condition for case in cases],
            "status": ["failed" if reason else "answered" for reason in reasons],
            "reason": reasons,
            "embedding": pl.Series(embeddings, dtype=pl.Array(pl.Float32, dim)),
        }
    )


def _open(path: Path) -> Image | str:
    try:
        return open_picture(path)
    except PictureError as problem:
        return str(problem)
