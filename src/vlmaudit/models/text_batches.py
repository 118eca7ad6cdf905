"""Batches of texts that are about equally long, so that little is computed for padding."""

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from vlmaudit.models.memory import BatchSize

# Texts of many lengths, cases and scripts: a tokenizer is known by what it makes of them, and a
# tower that may stop early must give them the embeddings it gives at full length.
PROBE_TEXTS: Final = (
    "Ada",
    "a photo of a person named Adrianne León",
    "  CONAN O’Brien, at a gala — 1994!",
    "an image of Ngũgĩ wa Thiong'o",
    "Ж. 王 and a woman in a dress",
    "the name of the person is " + "Grace Brewster Murray Hopper " * 12,
)


def encode_by_length(
    lengths: Int[np.ndarray, " texts"],
    encode: Callable[[Int[np.ndarray, " batch"], int], Float[np.ndarray, "batch dim"]],
    *,
    batch_size: BatchSize,
    dim: int,
) -> Float[np.ndarray, "texts dim"]:
    """Embeddings of all texts, in the texts' own order.

    Args:
        lengths: Tokens of each text that matter to its embedding, special tokens included.
        encode: Gives the embeddings of the rows it is handed, of which the longest has as many
            tokens as its second argument says. The shortest texts come first; equals keep their
            order.
        batch_size: Texts a batch at most.
        dim: Width of an embedding.

    Raises:
        OutOfMemoryError: Not even one text at a time fits.
    """
    rows = np.empty((len(lengths), dim), dtype=np.float32)
    order = np.argsort(lengths, kind="stable")

    def encode_part(part: slice) -> Float[np.ndarray, "batch dim"]:
        return encode(order[part], int(lengths[order[part]].max()))

    for part, embeddings in batch_size.batches(len(order), encode_part):
        rows[order[part]] = embeddings
    return rows
