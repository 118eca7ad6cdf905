"""A contrastive model under test, with what it said of the drawn inputs."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.models import drawn_inputs
from vlmaudit.models.base import ContrastiveModel, Inspectable
from vlmaudit.models.memory import PICTURES_A_BATCH, TEXTS_A_BATCH
from vlmaudit.models.vectors import TOLERANCES

Rows = Float[np.ndarray, "rows dim"]


class Subject:
    """Keeps every embedding that the model gives, so that each of them can be looked at.

    Attributes:
        model: The model itself.
        limit: How far rounding may move an embedding (distance).
        pictures: The drawn pictures.
        texts: The drawn texts.
        picture_rows: What the model said of them, in one call.
        text_rows: Likewise of the texts.
        seen: All embeddings so far, call by call.
        unsteady: Why comparisons say nothing; empty where they do.
    """

    def __init__(self, model: ContrastiveModel) -> None:
        """Encode the drawn inputs once."""
        self.model = model
        self.limit = TOLERANCES[model.record.dtype]
        self.pictures = drawn_inputs.pictures()
        self.texts = list(drawn_inputs.TEXTS)
        self.seen: list[Rows] = []
        self.unsteady = ""
        self.picture_rows = self.encode_images(self.pictures)
        self.text_rows = self.encode_texts(self.texts)

    def encode_images(self, images: Sequence[Image]) -> Rows:
        """The model's embeddings of pictures."""
        self.seen.append(self.model.encode_images(images))
        return self.seen[-1]

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        """The model's embeddings of texts."""
        self.seen.append(self.model.encode_texts(texts))
        return self.seen[-1]

    @property
    def batches(self) -> tuple[int, int]:
        """Pictures and texts a batch, as of now."""
        if isinstance(self.model, Inspectable):
            return self.model.image_batch, self.model.text_batch
        return PICTURES_A_BATCH, TEXTS_A_BATCH


def distances(one: Rows, other: Rows) -> Float[np.ndarray, " rows"]:
    """How far each embedding lies from its counterpart; infinitely far if only one is no number."""
    apart = np.linalg.norm(one.astype(np.float64) - other, axis=1)
    known, also_known = np.isfinite(one).all(axis=1), np.isfinite(other).all(axis=1)
    apart[known != also_known] = np.inf
    apart[~known & ~also_known] = 0
    return apart


def farthest(one: Rows, other: Rows) -> float:
    """How far the embedding that lies farthest from its counterpart does so."""
    return float(distances(one, other).max(initial=0))
