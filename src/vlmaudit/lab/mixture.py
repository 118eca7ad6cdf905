"""What a target model is trained on: pictures with captions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8


@dataclass(frozen=True, slots=True)
class Mixture:
    """Pairs of a picture and a caption.

    Attributes:
        pictures: One picture a pair.
        captions: One caption a pair, in the same order.
        faces: Whose face the picture shows, as a number.
    """

    pictures: UInt8[np.ndarray, "pairs side side 3"]
    captions: Sequence[str]
    faces: Int[np.ndarray, " pairs"]


def distinct_batches(
    faces: Int[np.ndarray, " pairs"], *, size: int, steps: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, " size"]]:
    """Batches of pairs in which no face appears twice.

    Two pictures of one person would count as each other's negatives, and the contrastive loss
    would teach the model to forget whom it has seen most. Faces are drawn without replacement,
    with chances in proportion to their pictures, and each face's pictures take turns.

    Args:
        faces: Whose face each pair shows.
        size: Pairs in a batch; all faces, where there are fewer.
        steps: How many batches.
        rng: Where the randomness comes from.
    """
    order = np.argsort(faces, kind="stable")
    _, starts, counts = np.unique(faces[order], return_index=True, return_counts=True)
    turns = [
        rng.permutation(order[start : start + n]) for start, n in zip(starts, counts, strict=True)
    ]
    next_turn = np.zeros(len(counts), dtype=np.int64)
    size = min(size, len(counts))
    for _ in range(steps):
        # The smallest exponential times over weights are a weighted draw without replacement
        # (Efraimidis and Spirakis 2006).
        drawn = np.argpartition(rng.exponential(size=len(counts)) / counts, size - 1)[:size]
        yield np.array([turns[face][next_turn[face] % counts[face]] for face in drawn])
        next_turn[drawn] += 1
