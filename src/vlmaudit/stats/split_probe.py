"""The paper's probe: logistic regression on single items, split at random (PROTOCOLS 1.7).

A record stands on both sides of such a split, so that the probe can tell *which* text is printed
and needs not know whether it was seen. The control task (Hewitt and Liang 2019) says how much of
its accuracy that is, and a split by records takes it away.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import linalg, optimize, special
from sklearn.model_selection import train_test_split

from vlmaudit.stats.intervals import clopper_pearson

PAPER_SEED: Final = 42
PAPER_TEST: Final = 0.2
_MOST_STEPS: Final = 5000
_TOLERANCE: Final = 1e-6
"""Of the mean loss's slope in scaled coordinates: nearer the minimum than scikit-learn's 1e-4."""
_CURVATURE: Final = 0.001
"""Mean p (1 - p) of items that are told apart clearly, as items trained on are: fewest steps."""


@dataclass(frozen=True, slots=True)
class SplitProbe:
    """One layer's probe on a random split of items.

    Attributes:
        accuracy: Share of held-out items told rightly.
        low: Lower 95 % limit, as if items were independent, which they are not.
        high: Upper limit.
        control: The same with every record's label drawn anew.
        selectivity: Accuracy minus control.
        items: Items held out.
    """

    accuracy: float
    low: float
    high: float
    control: float
    selectivity: float
    items: int


def split_probe(
    states: Float[np.ndarray, "items width"],
    seen: Bool[np.ndarray, " items"],
    records: Sequence[str],
    *,
    seed: int = PAPER_SEED,
    test_share: float = PAPER_TEST,
) -> SplitProbe:
    """The published probe on one layer, with the control task that it lacks.

    Args:
        states: An item a row.
        seen: Each item's arm.
        records: Each item's record.
        seed: Of the split, and of the control task's labels.
        test_share: Share of items held out.

    Raises:
        ValueError: A state is not a finite number, or an arm has fewer than two items.
    """
    train, test = train_test_split(
        np.arange(len(seen)), test_size=test_share, random_state=seed, stratify=seen
    )
    is_train = np.zeros(len(seen), dtype=bool)
    is_train[train] = True
    labels = np.stack([seen, _control_labels(seen, records, seed)])
    scores = logistic_scores(coordinates(states), labels, np.stack([is_train, is_train]))
    accuracy, control = map(float, ((scores > 0) == labels)[:, test].mean(axis=1))
    limits = clopper_pearson(accuracy * len(test), len(test))
    return SplitProbe(
        accuracy=accuracy,
        low=limits.low,
        high=limits.high,
        control=control,
        selectivity=accuracy - control,
        items=len(test),
    )


def split_probes(
    states: Float[np.ndarray, "items layers width"],
    seen: Bool[np.ndarray, " items"],
    records: Sequence[str],
    *,
    seed: int = PAPER_SEED,
) -> Iterator[SplitProbe]:
    """`split_probe` on one layer after the other; states may lie on the disk."""
    for layer in range(states.shape[1]):
        yield split_probe(states[:, layer], seen, records, seed=seed)


def record_folds(
    seen: Bool[np.ndarray, " items"], records: Sequence[str], *, folds: int, seed: int
) -> Int[np.ndarray, " items"]:
    """Each item's fold: all items of a record in one, and both arms in equal shares in each.

    Raises:
        ValueError: A record is in both arms, or an arm has fewer records than there are folds.
    """
    names, of_item = np.unique(np.asarray(records), return_inverse=True)
    arm = np.zeros(len(names), dtype=bool)
    arm[of_item] = seen
    if (arm[of_item] != seen).any():
        raise ValueError("a record is in both arms")
    rng = np.random.default_rng(seed)
    fold = np.empty(len(names), dtype=np.int64)
    for side in (np.flatnonzero(arm), np.flatnonzero(~arm)):
        if len(side) < folds:
            raise ValueError(f"{len(side)} records on a side do not fill {folds} folds")
        fold[rng.permutation(side)] = np.arange(len(side)) % folds
    return fold[of_item]


def entity_disjoint_accuracy(
    states: Float[np.ndarray, "items width"],
    seen: Bool[np.ndarray, " items"],
    records: Sequence[str],
    *,
    folds: int = 10,
    seed: int = 0,
) -> float:
    """The same probe where no record is on both sides: the share of items told rightly.

    Args:
        states: An item a row.
        seen: Each item's arm, the same for all items of a record.
        records: Each item's record.
        folds: Parts of the records, with both arms in equal shares.
        seed: Deals records into parts.

    Raises:
        ValueError: A record is in both arms, or an arm has fewer records than there are folds.
    """
    fold = record_folds(seen, records, folds=folds, seed=seed)
    is_test = fold == np.arange(folds)[:, None]
    labels = np.tile(seen, (folds, 1))
    scores = logistic_scores(coordinates(states), labels, ~is_test)
    return float(((scores > 0) == labels)[is_test].mean())


@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """Items along their principal axes, at distances as of the states.

    Attributes:
        values: An item a row, each coordinate divided by its scale.
        scales: What makes the descent about as steep along every axis.
    """

    values: Float[np.ndarray, "items rank"]
    scales: Float[np.ndarray, " rank"]


def coordinates(states: Float[np.ndarray, "items width"]) -> Coordinates:
    """All that a linear probe can use of the items, made once a layer for all splits and labels.

    States of language models are hundreds of times as large in a few coordinates as in the
    others, and a descent on them is slow for that. Labels have no part in this.

    Raises:
        ValueError: A state is not a finite number.
    """
    if not np.isfinite(states).all():
        raise ValueError("a state is not a finite number: leave the item out beforehand")
    # The intercept takes the mean up.
    centred = (states - states.mean(axis=0, dtype=np.float64)).astype(np.float32)
    items, width = centred.shape
    is_wide = width > items
    squares, axes = linalg.eigh(centred @ centred.T if is_wide else centred.T @ centred)
    squares = squares.clip(min=0)
    scales = np.sqrt(1 + _CURVATURE * squares)
    values = axes * np.sqrt(squares) if is_wide else centred @ axes
    return Coordinates(np.ascontiguousarray(values / scales), scales.astype(np.float64))


def logistic_scores(
    items: Coordinates,
    labels: Bool[np.ndarray, "probes items"],
    train: Bool[np.ndarray, "probes items"],
    *,
    strength: float = 1.0,
) -> Float[np.ndarray, "probes items"]:
    """Log-odds of items under L2 logistic regressions with an intercept without penalty.

    Each probe's objective is that of scikit-learn's ``LogisticRegression(C=strength)``. All are
    brought to their minima by one L-BFGS: their sum has its minimum where each has its own, and a
    product of matrices costs less than as many of vectors.

    Args:
        items: All items.
        labels: Of all items; those of items not trained on are not looked at.
        train: Which items each probe is trained on; both labels occur among them.
        strength: C, the inverse of the penalty's weight.
    """
    values, probes, rank = items.values, len(labels), items.values.shape[1]
    sizes = train.sum(axis=1)
    shares = np.ascontiguousarray((train / sizes[:, None]).T, dtype=np.float32)
    targets = np.ascontiguousarray(labels.T, dtype=np.float32)
    decay = 1 / (strength * sizes * np.square(items.scales)[:, None])

    def loss(parameters: Float[np.ndarray, " parameters"]) -> tuple[float, np.ndarray]:
        table = parameters.reshape(rank + 1, probes)
        weights = table[:-1]
        fitted = values @ weights.astype(np.float32) + table[-1].astype(np.float32)
        losses = (np.logaddexp(np.float32(0), fitted) - targets * fitted) * shares
        residual = (special.expit(fitted) - targets) * shares
        pull = decay * weights
        slope = np.empty_like(table)
        slope[:-1] = values.T @ residual + pull
        slope[-1] = residual.sum(axis=0)
        return float(losses.sum(dtype=np.float64) + np.vdot(pull, weights) / 2), slope.ravel()

    found = optimize.minimize(
        loss,
        np.zeros((rank + 1) * probes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MOST_STEPS, "gtol": _TOLERANCE, "ftol": 64 * np.finfo(float).eps},
    )
    table = found.x.reshape(rank + 1, probes).astype(np.float32)
    return np.asarray((values @ table[:-1] + table[-1]).T)


def _control_labels(
    seen: Bool[np.ndarray, " items"], records: Sequence[str], seed: int
) -> Bool[np.ndarray, " items"]:
    """Labels drawn anew for records, half of each arm's turned round."""
    names, first, of_item = np.unique(np.asarray(records), return_index=True, return_inverse=True)
    rng = np.random.default_rng(seed)
    labels = np.zeros(len(names), dtype=bool)
    for side in (np.flatnonzero(seen[first]), np.flatnonzero(~seen[first])):
        chosen = rng.permutation(side)[: len(side) // 2]
        labels[chosen] = True
    return labels[of_item]
