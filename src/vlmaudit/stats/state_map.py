"""The paper's picture of hidden states, and the effect size without which it says nothing.

A t-SNE shows clusters where there are none and hides some that are there, and items of one record
or one picture cluster whatever was seen. How far the arms lie apart is therefore said by the
silhouette, and whether they lie apart at all by permuting arms over records (PROTOCOLS, M15).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import pairwise_distances

PAPER_SEED: Final = 42
_DIMENSIONS: Final = 100
_PERPLEXITY: Final = 30.0
_TIE: Final = 1e-12
FEWEST_ITEMS: Final = 8
"""Items below which there is nothing to draw."""


@dataclass(frozen=True, slots=True)
class Silhouette:
    """How far arms lie apart.

    Attributes:
        value: Mean over items: 1 apart, 0 one cloud, below it if strangers are nearer.
        p: One-sided: how often arms permuted over records lie as far apart.
    """

    value: float
    p: float


def main_components(
    states: Float[np.ndarray, "items width"],
) -> Float[np.ndarray, "items components"]:
    """One layer's items on their first 100 principal components, as the paper reduces them.

    Raises:
        ValueError: There are fewer than eight items.
    """
    if len(states) < FEWEST_ITEMS:
        raise ValueError(f"{len(states)} items: nothing to draw")
    values = np.asarray(states, dtype=np.float64)
    dimensions = min(_DIMENSIONS, len(values) - 1, values.shape[1])
    if not (values != values[0]).any():
        return np.zeros((len(values), dimensions))
    return np.asarray(PCA(dimensions, random_state=PAPER_SEED).fit_transform(values))


def arms_silhouette(
    items: Float[np.ndarray, "items components"],
    seen: Bool[np.ndarray, " items"],
    records: Sequence[str],
    *,
    blocks: Int[np.ndarray, " items"] | None = None,
    permutations: int = 999,
    rng: np.random.Generator,
) -> Silhouette:
    """How far the arms lie apart, over items, and how often they would by chance.

    Args:
        items: An item a row.
        seen: Each item's arm.
        records: Each item's record; all items of a record are of one arm.
        blocks: Each item's block, within which records are permuted; None: among all. Records on
            the same pictures are a block: each has one of the other arm beside it, and a cloud
            that is so balanced lies less apart than any other order of its labels.
        permutations: How many (B).
        rng: Draws them.

    Raises:
        ValueError: A record of two arms, or a single arm.
    """
    names, of_item = np.unique(np.asarray(records), return_inverse=True)
    side = np.zeros(len(names), dtype=bool)
    side[of_item] = seen
    if (side[of_item] != seen).any() or side.all() or not side.any():
        raise ValueError(f"{len(items)} items of {len(names)} records are not of two arms")
    orders = np.tile(side, (1 + permutations, 1))
    block_of = np.zeros(len(names), dtype=np.int64)
    if blocks is not None:
        block_of[of_item] = blocks
    for block in np.unique(block_of):
        members = np.flatnonzero(block_of == block)
        orders[1:, members] = rng.permuted(orders[1:, members], axis=1)
    found = _silhouettes(pairwise_distances(items), orders[:, of_item])
    return Silhouette(float(found[0]), float(np.mean(found >= found[0] - _TIE)))


def plane(items: Float[np.ndarray, "items components"]) -> Float[np.ndarray, "items 2"]:
    """Where t-SNE puts items; only who is near whom means anything.

    The same items are put in the same places, by the paper's seed.
    """
    if not (items != items[0]).any():
        return np.zeros((len(items), 2))
    drawn = TSNE(
        2,
        init="pca",
        perplexity=min(_PERPLEXITY, (len(items) - 1) / 3),
        random_state=PAPER_SEED,
    ).fit_transform(items)
    return np.asarray(drawn, dtype=np.float64)


def _silhouettes(
    distances: Float[np.ndarray, "items items"], labels: Bool[np.ndarray, "orders items"]
) -> Float[np.ndarray, " orders"]:
    """The mean silhouette of each row of labels (Rousseeuw 1987); alone in its arm: 0."""
    ones: Float[np.ndarray, "orders items"] = labels.astype(np.float64)
    to_seen = ones @ distances
    to_unseen = distances.sum(axis=0) - to_seen
    n_seen: Int[np.ndarray, "orders 1"] = labels.sum(axis=1, keepdims=True)
    n_unseen = labels.shape[1] - n_seen
    # An item is no neighbour of its own, and at distance 0 from itself.
    own = np.where(labels, to_seen, to_unseen) / np.maximum(
        np.where(labels, n_seen, n_unseen) - 1, 1
    )
    other = np.where(labels, to_unseen, to_seen) / np.where(labels, n_unseen, n_seen)
    farther = np.maximum(own, other)
    is_alone = np.where(labels, n_seen, n_unseen) == 1
    each = np.divide(other - own, farther, out=np.zeros_like(own), where=farther > 0)
    return np.asarray(np.where(is_alone, 0.0, each).mean(axis=1))
