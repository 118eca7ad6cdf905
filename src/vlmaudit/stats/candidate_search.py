"""The pictures of a set that are nearest to some others: exact, in blocks, out of any file.

A set of ten million pictures takes ten gigabytes of half-precision numbers, which stay on the disk:
a block of them at a time is read, multiplied, and reduced to what may still be among the nearest.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

_QUERIES: Final = 1024
"""Pictures that are searched for in one product: 32 MB of scores with the default block."""


@dataclass(frozen=True, slots=True, eq=False)
class NearestPictures:
    """The nearest pictures of a set, best first.

    Attributes:
        place: Where in the set they stand; -1 where it holds fewer.
        cosine: How near they are; minus infinity where it holds fewer.
    """

    place: Int[np.ndarray, "queries k"]
    cosine: Float[np.ndarray, "queries k"]


def nearest_pictures(
    queries: Float[np.ndarray, "queries dim"],
    pictures: Float[np.ndarray, "pictures dim"],
    *,
    k: int,
    is_usable: Bool[np.ndarray, " pictures"] | None = None,
    block: int = 8192,
) -> NearestPictures:
    """The `k` nearest pictures of a set to each of some others; of equals, the first.

    Args:
        queries: Unit-length embeddings of what is searched for.
        pictures: Unit-length embeddings of the set, in fp32 or fp16; a memory map is read once,
            block by block. Products are in fp32 in either case.
        k: How many to find.
        is_usable: Which pictures of the set take part; None: all.
        block: Pictures of the set in memory at a time.

    Raises:
        ValueError: `k` or `block` is below 1, or a usable embedding is not finite.
    """
    if k < 1 or block < 1:
        raise ValueError(f"no search for {k} pictures in blocks of {block}")
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    if not np.isfinite(asked).all():
        raise ValueError("embeddings must be finite")
    place = np.full((len(asked), k), -1, dtype=np.int64)
    cosine = np.full((len(asked), k), -np.inf, dtype=np.float32)
    for start in range(0, len(pictures), block):
        usable = None if is_usable is None else np.flatnonzero(is_usable[start : start + block])
        rows = np.asarray(pictures[start : start + block])
        rows = (rows if usable is None else rows[usable]).astype(np.float32)
        if not np.isfinite(rows).all():
            raise ValueError("embeddings must be finite")
        where = start + (np.arange(len(rows)) if usable is None else usable)
        for first in range(0, len(asked), _QUERIES):
            some = slice(first, first + _QUERIES)
            scores = asked[some] @ rows.T
            place[some], cosine[some] = _merged(place[some], cosine[some], where, scores)
    return NearestPictures(place, cosine)


def _merged(
    place: Int[np.ndarray, "queries k"],
    cosine: Float[np.ndarray, "queries k"],
    where: Int[np.ndarray, " block"],
    scores: Float[np.ndarray, "queries block"],
) -> tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]:
    """The nearest so far and a block that stands behind all of them in the set."""
    n_queries, k = place.shape
    least = cosine[:, -1:]
    # Whoever comes later needs more than the worst so far: of equals, the first stays.
    is_better = scores > least
    if scores.shape[1] > k and np.isneginf(least).any():
        # At first everything is better: sorting all of it would take longer than the product.
        cut = scores.shape[1] - k
        is_better &= scores >= np.partition(scores, cut, axis=1)[:, cut : cut + 1]
    query, column = np.nonzero(is_better)
    if not len(query):
        return place, cosine
    all_queries = np.concatenate([np.repeat(np.arange(n_queries), k), query])
    all_places = np.concatenate([place.reshape(-1), where[column]])
    all_cosines = np.concatenate([cosine.reshape(-1), scores[query, column]])
    order = np.lexsort((all_places, -all_cosines, all_queries))
    ranked = all_queries[order]
    rank = np.arange(len(ranked)) - np.searchsorted(ranked, ranked)
    kept = order[rank < k]
    return all_places[kept].reshape(n_queries, k), all_cosines[kept].reshape(n_queries, k)
