"""Which pictures of a set are worth a look for whom: near by embedding, or copies by thumbnail."""

from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from vlmaudit.execution.set_embeddings import SetEmbeddings
from vlmaudit.lab.sessions import MIN_COSINE, THUMBNAIL_SIDE
from vlmaudit.stats.candidate_search import nearest_pictures

_ROWS: Final = 8192
"""Pairs whose embeddings are in memory at a time."""


def choose_candidates(
    attack: SetEmbeddings,
    stored: SetEmbeddings,
    owners: Int[np.ndarray, " pictures"],
    *,
    k: int,
) -> pl.DataFrame:
    """Which pictures of the set are looked at for whom, with the nearest picture of theirs.

    Near-duplicates come along wherever the model puts them: pictures whose thumbnails, or the
    mirrored ones, correlate above `MIN_COSINE`. A copy that was cropped anew is no near-duplicate
    by this rule; it is a candidate like others. Perceptual hashes would find no more: within 8 bits
    of 64 are 40 of a million pairs of two people's portraits, which in a large set is a crowd. Nor
    does the embedding decide: weak models find all portraits alike.

    Args:
        attack: People's own pictures.
        stored: The set.
        owners: Whose each of the people's pictures is.
        k: Pictures of the set for every picture of a person.

    Returns:
        ``person,place,cosine,attack,is_near_duplicate``, a row a person and picture.
    """
    usable = np.flatnonzero(attack.is_embedded)
    embeddings = attack.vectors[usable].astype(np.float32)
    small = attack.thumbnails[usable].astype(np.float32)
    near = _pairs(embeddings, stored.vectors, stored, k=k)
    straight = _pairs(small, stored.thumbnails, stored, k=k, above=MIN_COSINE)
    turned = _pairs(_mirrored(small), stored.thumbnails, stored, k=k, above=MIN_COSINE)
    rows = []
    for query, place, is_copy in ((*near, False), (*straight, True), (*turned, True)):
        # Of all in one way, in pieces: copies were not found by their embeddings.
        cosine = np.empty(len(query))
        for start in range(0, len(query), _ROWS):
            some = slice(start, start + _ROWS)
            theirs = stored.vectors[place[some]].astype(np.float32)
            cosine[some] = np.einsum("pd,pd->p", embeddings[query[some]], theirs)
        rows.append(
            pl.DataFrame(
                {
                    "person": owners[usable[query]],
                    "place": place,
                    "cosine": cosine,
                    "attack": usable[query].astype(np.int64),
                    "is_near_duplicate": np.full(len(query), is_copy),
                }
            )
        )
    # Of a near-duplicate, the picture that it is one of; else the nearest.
    by = {"person": False, "place": False, "is_near_duplicate": True, "cosine": True}
    return (
        pl.concat(rows)
        .sort(*by, "attack", descending=[*by.values(), False])
        .group_by("person", "place", maintain_order=True)
        .first()
    )


def _pairs(
    queries: Float[np.ndarray, "queries dim"],
    rows: Float[np.ndarray, "pictures dim"],
    stored: SetEmbeddings,
    *,
    k: int,
    above: float = -np.inf,
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Each query's nearest pictures above a cosine, as pairs of places."""
    nearest = nearest_pictures(queries, rows, k=k, is_usable=stored.is_embedded)
    query, rank = np.nonzero((nearest.place >= 0) & (nearest.cosine > above))
    return query, nearest.place[query, rank]


def _mirrored(
    thumbnails: Float[np.ndarray, "pictures pixels"],
) -> Float[np.ndarray, "pictures pixels"]:
    square = thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.ascontiguousarray(square[:, :, ::-1]).reshape(thumbnails.shape)
