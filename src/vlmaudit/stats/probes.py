"""Whether hidden states tell seen records from unseen ones: a ridge probe on other records.

The unit is the record: all its items are averaged, and a probe is tested on records that it was
not trained on (STATISTICS section 8). Rows of states are centred on the records trained on, and
the ridge is solved in the records' kernel, so that one inverse a fold serves every permutation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from vlmaudit.stats.ranks import midranks
from vlmaudit.stats.roc import auc, auc_difference

FEWEST: Final = 4
"""Records a side below which there is nothing to train on and to test."""
_TIE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class LayerProbe:
    """One layer's probe.

    Attributes:
        layer: From 0, in the order of the states.
        accuracy: Share of records told rightly, at the threshold halfway between the arms. Where
            one arm is much larger, the AUC says more.
        control: Mean of it under permuted labels.
        selectivity: Accuracy minus control.
        auc: Over records, of their scores from probes that did not see them.
        low: Lower limit of its 95 % interval: logit-DeLong, widened by κ.
        high: Upper limit.
        upper: One-sided upper 95 % limit.
        p: One-sided, of permuting labels over records.
        p_adjusted: By the maximum over layers.
    """

    layer: int
    accuracy: float
    control: float
    selectivity: float
    auc: float
    low: float
    high: float
    upper: float
    p: float
    p_adjusted: float


@dataclass(frozen=True, slots=True, eq=False)
class RecordProbe:
    """The probes of all layers, on the same folds and with the same permutations.

    Attributes:
        layers: In the order of the states.
        scores: Each record's score by the probe of its fold, in SDs of the layer's scores.
        n_seen: Records of the one arm.
        n_unseen: Records of the other.
        folds: Into how many parts records were cut.
        permutations: How many (B).
        p_min: The smallest p that can come out.
    """

    layers: tuple[LayerProbe, ...]
    scores: Float[np.ndarray, "records layers"]
    n_seen: int
    n_unseen: int
    folds: int
    permutations: int
    p_min: float


@dataclass(frozen=True, slots=True)
class LayerChange:
    """How much better a layer tells the arms apart in one checkpoint than in another.

    Attributes:
        layer: From 0, in the order of the states.
        auc: Of the one checkpoint.
        other_auc: Of the other.
        difference: The first minus the second.
        low: Lower limit of its 95 % interval: paired DeLong, widened by κ.
        high: Upper limit.
        p: One-sided, of permuting labels over records in both at once.
        p_adjusted: By the maximum over layers.
    """

    layer: int
    auc: float
    other_auc: float
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float


def record_means(
    states: Float[np.ndarray, "items layers width"], records: Sequence[str]
) -> tuple[Float[np.ndarray, "records layers width"], list[str]]:
    """Average the items of each record; states may lie on the disk and are read item by item.

    Args:
        states: An item a row.
        records: Each item's record.

    Returns:
        Means in fp64 as far as sums go, kept in fp32, and the records' names in order of
        appearance.
    """
    places: dict[str, int] = {}
    of_item = [places.setdefault(name, len(places)) for name in records]
    sums = np.zeros((len(places), *states.shape[1:]), dtype=np.float64)
    for place, item in zip(of_item, states, strict=True):
        sums[place] += item
    sums /= np.bincount(of_item, minlength=len(places))[:, None, None]
    return sums.astype(np.float32), list(places)


def record_probe(
    means: Float[np.ndarray, "records layers width"],
    seen: Bool[np.ndarray, " records"],
    *,
    blocks: Int[np.ndarray, " records"] | None = None,
    folds: int = 10,
    permutations: int = 999,
    rng: np.random.Generator,
) -> RecordProbe:
    """Probe every layer for what tells seen records from unseen ones.

    Folds hold both arms in equal shares, and labels are permuted within folds: given the folds,
    each such order is as likely as the drawn one, so that p is exact whatever the states are.

    Records that stand on the same pictures are a block. What the pictures do is then taken off
    (each block's mean), a block is in one fold, and labels are permuted within blocks. Left alone,
    a record's neighbour of the other arm would be what it resembles most, and a probe that was
    trained on the neighbour would call it the other arm's: AUCs near 0.

    Args:
        means: The mean state of each record.
        seen: Which records are of the one arm.
        blocks: Each record's block, all with as many records of the one arm as of the other; None:
            every record has pictures of its own.
        folds: Parts of the records; no more than the smaller arm has records.
        permutations: How many (B).
        rng: Draws folds and permutations.

    Raises:
        ValueError: Fewer than four records a side, or a state that is not a finite number.
    """
    dealt = _deal(means, seen, blocks, folds=folds, permutations=permutations, rng=rng)
    scores, areas, right = _probe(_within(means, blocks), dealt)
    p, p_adjusted = _p_values(areas)
    n1, n0 = int(seen.sum()), int((~seen).sum())
    widened = _widening(areas, seen)
    layers = []
    for layer in range(means.shape[1]):
        both = _limits(scores[:, layer], seen, float(widened[layer]))
        accuracy, control = float(right[0, layer]), float(right[1:, layer].mean())
        layers.append(
            LayerProbe(
                layer=layer,
                accuracy=accuracy,
                control=control,
                selectivity=accuracy - control,
                auc=float(areas[0, layer]),
                low=both[0],
                high=both[1],
                upper=both[2],
                p=float(p[layer]),
                p_adjusted=float(p_adjusted[layer]),
            )
        )
    spread = scores.std(axis=0)
    standard = (scores - scores.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    used = len(dealt.folds)
    return RecordProbe(tuple(layers), standard, n1, n0, used, permutations, 1 / (1 + permutations))


def probe_change(
    means: Float[np.ndarray, "records layers width"],
    other_means: Float[np.ndarray, "records layers width"],
    seen: Bool[np.ndarray, " records"],
    *,
    blocks: Int[np.ndarray, " records"] | None = None,
    folds: int = 10,
    permutations: int = 999,
    rng: np.random.Generator,
) -> tuple[LayerChange, ...]:
    """AUC of a checkpoint less that of another, with folds and permutations in common.

    What the strings themselves tell is told in both, and goes.

    Args:
        means: Mean states of the audited checkpoint.
        other_means: Of the one before tuning, or tuned on pictures without records; the same
            records, and the same number of layers.
        seen: Which records were printed for the audited one.
        blocks: As in `record_probe`.
        folds: Parts of the records.
        permutations: How many (B).
        rng: Draws folds and permutations.

    Raises:
        ValueError: As `record_probe`, or the two have other numbers of layers.
    """
    if means.shape[:2] != other_means.shape[:2]:
        raise ValueError(f"{means.shape[:2]} and {other_means.shape[:2]} records and layers")
    dealt = _deal(means, seen, blocks, folds=folds, permutations=permutations, rng=rng)
    _require_finite(other_means)
    scores, areas, _ = _probe(_within(means, blocks), dealt)
    other_scores, others, _ = _probe(_within(other_means, blocks), dealt)
    p, p_adjusted = _p_values(areas - others)
    widened = np.maximum(_widening(areas, seen), _widening(others, seen))
    changes = []
    for layer in range(means.shape[1]):
        paired = auc_difference(scores[:, layer], other_scores[:, layer], seen)
        changes.append(
            LayerChange(
                layer=layer,
                auc=float(areas[0, layer]),
                other_auc=float(others[0, layer]),
                difference=paired.value,
                low=max(-1.0, paired.value - widened[layer] * (paired.value - paired.low)),
                high=min(1.0, paired.value + widened[layer] * (paired.high - paired.value)),
                p=float(p[layer]),
                p_adjusted=float(p_adjusted[layer]),
            )
        )
    return tuple(changes)


def twin_probe(
    means: Float[np.ndarray, "records layers width"],
    twin_means: Float[np.ndarray, "records layers width"],
    seen: Bool[np.ndarray, " records"],
    *,
    blocks: Int[np.ndarray, " records"] | None = None,
    folds: int = 10,
    permutations: int = 999,
    rng: np.random.Generator,
) -> RecordProbe:
    """Probe the differences of states between a checkpoint and its twin, record by record.

    The twin was tuned on the other arm's records in their place. A cue in the strings is in both
    checkpoints' states and goes with the difference; the difference of two probes' accuracies
    would be 0 whatever the truth (STATISTICS section 8, Twins).

    Raises:
        ValueError: As `record_probe`, or the two have other shapes.
    """
    if means.shape != twin_means.shape:
        raise ValueError(f"states of {means.shape} and {twin_means.shape} cannot be subtracted")
    return record_probe(
        means - twin_means, seen, blocks=blocks, folds=folds, permutations=permutations, rng=rng
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Dealt:
    """Records in folds, and the labels: the drawn ones first, then their permutations."""

    folds: list[Int[np.ndarray, " members"]]
    labels: Bool[np.ndarray, "orders records"]


def _deal(
    means: Float[np.ndarray, "records layers width"],
    seen: Bool[np.ndarray, " records"],
    blocks: Int[np.ndarray, " records"] | None,
    *,
    folds: int,
    permutations: int,
    rng: np.random.Generator,
) -> _Dealt:
    fewest = int(min(seen.sum(), (~seen).sum()))
    if fewest < FEWEST:
        raise ValueError(f"{fewest} records on a side; a probe needs {FEWEST} or more")
    _require_finite(means)
    labels = np.tile(seen, (1 + permutations, 1))
    places = np.empty(len(seen), dtype=np.int64)
    if blocks is None:
        n_folds = min(folds, fewest)
        for side in (np.flatnonzero(seen), np.flatnonzero(~seen)):
            places[rng.permutation(side)] = np.arange(len(side)) % n_folds
        exchangeable = places
    else:
        names, exchangeable = np.unique(blocks, return_inverse=True)
        if (np.bincount(exchangeable, np.where(seen, 1, -1)) != 0).any():
            raise ValueError("a block has more records of one arm than of the other")
        n_folds = min(folds, len(names))
        if n_folds < FEWEST:
            raise ValueError(f"{n_folds} blocks; a probe needs {FEWEST} or more")
        places = (rng.permutation(len(names)) % n_folds)[exchangeable]
    for group in range(exchangeable.max() + 1):
        members = np.flatnonzero(exchangeable == group)
        labels[1:, members] = rng.permuted(labels[1:, members], axis=1)
    return _Dealt([np.flatnonzero(places == fold) for fold in range(n_folds)], labels)


def _within(
    means: Float[np.ndarray, "records layers width"], blocks: Int[np.ndarray, " records"] | None
) -> Float[np.ndarray, "records layers width"]:
    """States less the mean of their block: what the pictures do is the same in all of it."""
    if blocks is None:
        return means
    _, places = np.unique(blocks, return_inverse=True)
    sums = np.zeros((places.max() + 1, *means.shape[1:]), dtype=np.float64)
    np.add.at(sums, places, means)
    sums /= np.bincount(places)[:, None, None]
    return (means - sums[places]).astype(np.float32)


def _require_finite(means: Float[np.ndarray, "records layers width"]) -> None:
    if not np.isfinite(means).all():
        raise ValueError("a state is not a finite number: leave the record out beforehand")


def _probe(
    means: Float[np.ndarray, "records layers width"], dealt: _Dealt
) -> tuple[
    Float[np.ndarray, "records layers"],
    Float[np.ndarray, "orders layers"],
    Float[np.ndarray, "orders layers"],
]:
    """Scores under the drawn labels, and AUC and accuracy under every order of labels."""
    n, n_layers, _ = means.shape
    signs = np.where(dealt.labels, 1.0, -1.0)
    scores = np.empty((n, n_layers))
    areas = np.empty((len(signs), n_layers))
    right = np.empty_like(areas)
    for layer in range(n_layers):
        states = means[:, layer].astype(np.float64)
        # Nothing depends on the origin, and rounding less if it is near.
        states -= states.mean(axis=0)
        kernel = states @ states.T
        found = np.empty_like(signs)
        halfway = np.empty_like(signs)
        for part in dealt.folds:
            rest = np.setdiff1d(np.arange(n), part)
            across, within = _smoothers(kernel, rest, part)
            found[:, part] = signs[:, rest] @ across.T
            halfway[:, part] = _halfway(signs[:, rest], within)[:, None]
        scores[:, layer] = found[0]
        areas[:, layer] = _areas(found, dealt.labels)
        right[:, layer] = ((found > halfway) == dealt.labels).mean(axis=1)
    return scores, areas, right


def _halfway(
    signs: Float[np.ndarray, "orders train"], within: Float[np.ndarray, "train train"]
) -> Float[np.ndarray, " orders"]:
    """Halfway between the mean scores of the arms trained on, each record left out of its own.

    Arms of one size lie about their mean, at 0. Of unequal arms the smaller is pulled farther
    from it, and farther still in the records trained on than in others: hence left out
    (100 and 10 records of AUC .99 are told with accuracy .66 at 0).
    """
    n1 = np.count_nonzero(signs[0] > 0)
    n0 = signs.shape[1] - n1
    if n1 == n0:
        return np.zeros(len(signs))
    # The mean label is fitted too, and part of what a record says about itself.
    own = np.diagonal(within) + 1 / (n1 + n0)
    others = signs - signs.mean(axis=1, keepdims=True)
    left_out = (others @ within - own * others) / (1 - own)
    weights = np.where(signs > 0, 1 / n1, 1 / n0) / 2
    return np.asarray((left_out * weights).sum(axis=1))


def _smoothers(
    kernel: Float[np.ndarray, "records records"],
    rest: Int[np.ndarray, " train"],
    part: Int[np.ndarray, " test"],
) -> tuple[Float[np.ndarray, "test train"], Float[np.ndarray, "train train"]]:
    """What labels trained on are multiplied with to become scores of others, and of themselves.

    A ridge with an intercept. Scores are from the mean of the records trained on, without the
    mean of their labels, which would tell a fold's labels by what is left of them.
    """
    inner = kernel[np.ix_(rest, rest)]
    across = kernel[np.ix_(part, rest)]
    means = inner.mean(axis=0)
    across = across - across.mean(axis=1, keepdims=True) - means + means.mean()
    inner = inner - means - means[:, None] + means.mean()
    ridge = np.trace(inner) / len(rest)
    if ridge <= 0:
        return np.zeros_like(across), np.zeros_like(inner)
    inverse = np.linalg.inv(inner + ridge * np.eye(len(rest)))
    weights = across @ inverse
    return weights - weights.mean(axis=1, keepdims=True), inner @ inverse


def _areas(
    scores: Float[np.ndarray, "orders records"], labels: Bool[np.ndarray, "orders records"]
) -> Float[np.ndarray, " orders"]:
    """Mann-Whitney's AUC of each row; a tie counts one half."""
    n1 = labels.sum(axis=1)
    n0 = labels.shape[1] - n1
    ranks = (midranks(scores) * labels).sum(axis=1)
    return (ranks - n1 * (n1 + 1) / 2) / (n1 * n0)


def _p_values(
    statistics: Float[np.ndarray, "orders layers"],
) -> tuple[Float[np.ndarray, " layers"], Float[np.ndarray, " layers"]]:
    """One-sided p of the first row among all, by layer and by the maximum over layers.

    Each layer is measured in SDs of all orders, the drawn one among them: a layer whose AUC varies
    more does not decide the maximum for that.
    """
    spread = statistics.std(axis=0)
    z = (statistics - statistics.mean(axis=0)) / np.where(spread > _TIE, spread, np.inf)
    largest = z.max(axis=1, keepdims=True)
    orders = len(z)
    return (
        (z >= z[0] - _TIE).sum(axis=0) / orders,
        (largest >= z[0] - _TIE).sum(axis=0) / orders,
    )


def _widening(
    areas: Float[np.ndarray, "orders layers"], seen: Bool[np.ndarray, " records"]
) -> Float[np.ndarray, " layers"]:
    """κ: how much more AUCs vary than of records that share no training, 1 or more."""
    n1, n0 = np.count_nonzero(seen), np.count_nonzero(~seen)
    independent = np.sqrt((n1 + n0 + 1) / (12 * n1 * n0))
    return np.maximum(1.0, areas[1:].std(axis=0) / independent)


def _limits(
    scores: Float[np.ndarray, " records"], seen: Bool[np.ndarray, " records"], widened: float
) -> tuple[float, float, float]:
    """Lower, upper and one-sided upper 95 % limit of the AUC."""
    found = auc(scores, seen)
    one_sided = auc(scores, seen, level=0.90)
    if found.standard_error is None:  # exact over disjoint pairs: wide already
        return found.low, found.high, one_sided.high
    centre = special.logit(found.value)
    error = widened * found.standard_error / (found.value * (1 - found.value))
    two, one = float(special.ndtri(0.975)), float(special.ndtri(0.95))
    low, high, upper = special.expit(centre + error * np.array([-two, two, one]))
    return float(low), float(high), float(upper)
