"""Batches of texts that are about equally long, so that little is computed for padding."""

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float, Int

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


def batches_by_length(
    lengths: Int[np.ndarray, " texts"], batch_size: int
) -> list[Int[np.ndarray, " batch"]]:
    """Row numbers batch by batch, the shortest texts first; equals keep their order.

    >>> [batch.tolist() for batch in batches_by_length(np.array([5, 2, 9, 2]), 2)]
    [[1, 3], [0, 2]]
    """
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def encode_by_length(
    lengths: Int[np.ndarray, " texts"],
    encode: Callable[[Int[np.ndarray, " batch"], int], Float[np.ndarray, "batch dim"]],
    *,
    batch_size: int,
    dim: int,
) -> Float[np.ndarray, "texts dim"]:
    """Embeddings of all texts, in the texts' own order.

    Args:
        lengths: Tokens of each text that matter to its embedding, special tokens included.
        encode: Gives the embeddings of the rows it is handed, of which the longest has as many
            tokens as its second argument says.
        batch_size: Texts a batch at most.
        dim: Width of an embedding.
    """
    rows = np.empty((len(lengths), dim), dtype=np.float32)
    for batch in batches_by_length(lengths, batch_size):
        rows[batch] = encode(batch, int(lengths[batch].max()))
    return rows
