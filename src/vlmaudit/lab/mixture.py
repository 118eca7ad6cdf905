"""What a target model is trained on: pictures with captions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vlmaudit.errors import InputError


@dataclass(frozen=True, slots=True)
class Mixture:
    """Pairs of a picture and a caption; a picture with five captions is in five pairs.

    Attributes:
        pictures: Each picture once, in red, green and blue; may be mapped from a file.
        captions: One caption a pair.
        faces: Whose face a pair's picture shows, as a number. A picture without a person has a
            number of its own, so that its captions never meet in a batch either.
        places: Which of the pictures a pair is about.
    """

    pictures: UInt8[np.ndarray, "pictures side side 3"]
    captions: Sequence[str]
    faces: Int[np.ndarray, " pairs"]
    places: Int[np.ndarray, " pairs"]

    def __post_init__(self) -> None:
        if not len(self.captions):
            raise InputError("the mixture holds no picture with a caption; there is no training.")
        if not len(self.captions) == len(self.faces) == len(self.places):
            raise ValueError(
                f"{len(self.captions)} captions, {len(self.faces)} faces, {len(self.places)} places"
            )
        if not 0 <= self.places.min() <= self.places.max() < len(self.pictures):
            raise ValueError(f"places beyond the {len(self.pictures)} pictures")
        order = np.argsort(self.places, kind="stable")
        is_same_picture = np.diff(self.places[order]) == 0
        if (np.diff(self.faces[order])[is_same_picture] != 0).any():
            raise ValueError("a picture has two faces: a batch could hold it twice")

    @property
    def side(self) -> int:
        """Pixels along a side of every picture."""
        return self.pictures.shape[1]


class DistinctBatches:
    """Batches of pairs in which no face appears twice, without an end.

    Two pictures of one person would count as each other's negatives, and the contrastive loss
    would teach the model to forget whom it has seen most. Faces are drawn without replacement,
    with chances in proportion to their pictures, and each face's pairs take turns: a picture with
    five captions is seen as often as one with one.
    """

    def __init__(
        self,
        faces: Int[np.ndarray, " pairs"],
        places: Int[np.ndarray, " pairs"],
        *,
        size: int,
        rng: np.random.Generator,
    ) -> None:
        """Begin at the first batch.

        Args:
            faces: Whose face each pair shows.
            places: Which picture each pair is about.
            size: Pairs in a batch; all faces, where there are fewer.
            rng: Where the randomness comes from; it belongs to the batches from now on.
        """
        order = np.argsort(faces, kind="stable")
        _, firsts = np.unique(places, return_index=True)
        _, self._pictures = np.unique(faces[firsts], return_counts=True)
        _, self._starts, self._counts = np.unique(
            faces[order], return_index=True, return_counts=True
        )
        for start, n in zip(self._starts, self._counts, strict=True):
            if n > 1:
                order[start : start + n] = rng.permutation(order[start : start + n])
        self._order = order
        self._size = min(size, len(self._counts))
        self._rng = rng
        self.turns: Int[np.ndarray, " faces"] = np.zeros(len(self._counts), dtype=np.int64)
        """How often each face has been drawn."""

    @property
    def rng_state(self) -> dict[str, Any]:
        """The state of the randomness, as JSON knows it."""
        return dict(self._rng.bit_generator.state)

    def go_on(self, turns: Int[np.ndarray, " faces"], rng_state: dict[str, Any]) -> None:
        """Draw next what came next when `turns` and `rng_state` were read."""
        self.turns[:] = turns
        self._rng.bit_generator.state = rng_state

    def draw(self) -> Int[np.ndarray, " size"]:
        """The pairs of the next batch."""
        # The smallest exponential times over weights are a weighted draw without replacement
        # (Efraimidis and Spirakis 2006).
        times = self._rng.exponential(size=len(self._pictures)) / self._pictures
        drawn = np.argpartition(times, self._size - 1)[: self._size]
        turn = self.turns[drawn] % self._counts[drawn]
        self.turns[drawn] += 1
        return self._order[self._starts[drawn] + turn]


def distinct_batches(
    faces: Int[np.ndarray, " pairs"],
    places: Int[np.ndarray, " pairs"],
    *,
    size: int,
    steps: int,
    rng: np.random.Generator,
) -> Iterator[Int[np.ndarray, " size"]]:
    """The first so many of `DistinctBatches`."""
    batches = DistinctBatches(faces, places, size=size, rng=rng)
    for _ in range(steps):
        yield batches.draw()
