"""What an audit may ask of a model. Everything that passes here is numpy, fp32."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.results.records import ModelRecord


@runtime_checkable
class ContrastiveModel(Protocol):
    """Scores images against texts in one embedding space (CLIP, SigLIP, …).

    Answers must not depend on batch size, order or neighbours: the contract tests check it, and
    the run's resume rests on it.
    """

    @property
    def record(self) -> ModelRecord:
        """Which weights answer, and in which arithmetic."""
        ...

    def encode_images(self, images: Sequence[Image]) -> Float[np.ndarray, "images dim"]:
        """Unit-length image embeddings; any mode and size of picture is accepted."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Unit-length text embeddings.

        Stops at the batch's last end token where the text tower is causal, which leaves the
        embeddings as they are and saves most of the work.
        """
        ...
