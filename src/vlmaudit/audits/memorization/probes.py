"""What hidden states say: probes on other records, the published split, changes and twins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, TypedDict

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from vlmaudit.audits.memorization.finding import (
    ChangeRow,
    LayerRow,
    MapRow,
    SplitRow,
    TwinRow,
)
from vlmaudit.audits.memorization.observed import (
    BASE,
    CONTROL,
    SEEN,
    TUNED,
    TWIN,
    UNSEEN,
    Observed,
)
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.errors import InputError
from vlmaudit.results.state_files import States
from vlmaudit.seeds import stream
from vlmaudit.stats.probes import (
    FEWEST,
    LayerProbe,
    probe_change,
    record_means,
    record_probe,
    twin_probe,
)

_SHOWN_ROLES: Final = (TUNED, CONTROL, BASE)
# The published probe has a thousand items; more take long and change nothing in a description.
_MOST_ITEMS: Final = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Everything that states say.

    Attributes:
        layers: Probes of the audited checkpoint.
        others: The same of other checkpoints.
        split: The published split, of the audited checkpoint and of one that saw no record.
        map: The paper's picture, of the layer that tells most.
        change: The audited checkpoint less another.
        twin: On differences of states between twins.
        n_seen: Seen records with states.
        n_unseen: Unseen ones.
        unseen_p: Two arms that were never seen, held against each other in the audited checkpoint:
            the adjusted p of the layer that stands out most. None: there is no third arm.
        scores: Mean over layers of a record's standardised score, by record.
        missing: Comparisons that fall away, and why.
        why_not: Why there is no probe at all; empty where there is one.
    """

    layers: list[LayerRow] = field(default_factory=list)
    others: list[LayerRow] = field(default_factory=list)
    split: list[SplitRow] = field(default_factory=list)
    map: MapRow | None = None
    change: list[ChangeRow] = field(default_factory=list)
    twin: list[TwinRow] = field(default_factory=list)
    n_seen: int = 0
    n_unseen: int = 0
    unseen_p: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    why_not: str = ""


class _Chance(TypedDict):
    """What is drawn for a probe."""

    blocks: Int[np.ndarray, " records"] | None
    folds: int
    permutations: int
    rng: np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class _Means:
    """Mean states by record of the arms, in an order that all checkpoints share."""

    names: list[str]
    values: Float[np.ndarray, "records layers width"]

    def of(self, records: Iterable[str]) -> Float[np.ndarray, "records layers width"]:
        places = {name: place for place, name in enumerate(self.names)}
        return self.values[[places[record] for record in records]]


def probes(observed: Observed, settings: Memorization) -> Probes | None:
    """Probe the states there are; None where there are none of the audited checkpoint."""
    if TUNED not in observed.states:
        return None
    arm_of = dict(observed.records.select("record", "arm").iter_rows())
    means = {role: _means(states, arm_of) for role, states in observed.states.items()}
    both = [name for name in means[TUNED].names if arm_of[name] in (SEEN, UNSEEN)]
    seen = np.array([arm_of[name] == SEEN for name in both], dtype=bool)
    n_seen, n_unseen = int(seen.sum()), int((~seen).sum())
    if min(n_seen, n_unseen) < FEWEST:
        return Probes(
            n_seen=n_seen,
            n_unseen=n_unseen,
            why_not=f"a probe needs {FEWEST} records a side, and there are {n_seen} seen and "
            f"{n_unseen} unseen ones with states",
        )

    def chance() -> _Chance:
        # The same folds and permutations for every checkpoint: their curves compare.
        return {
            "blocks": _blocks(observed.states[TUNED], both, seen),
            "folds": settings.folds,
            "permutations": settings.permutations,
            "rng": stream(settings.seed, "probes"),
        }

    found = record_probe(means[TUNED].of(both), seen, **chance())
    others, change, missing = [], [], []
    for role in (CONTROL, BASE, TWIN):
        if role not in means:
            continue
        if lost := sorted({*both} - {*means[role].names}):
            missing.append(
                f"Probe, {role}: {len(lost)} of {len(both)} records have no states there; not "
                "compared."
            )
            continue
        own = means[role].of(both)
        rows = record_probe(own, seen, **chance()).layers
        others += _layer_rows(rows, role, observed.states[role])
        if role == TWIN:
            continue
        if own.shape[1] != found.scores.shape[1]:
            missing.append(f"Probe, change against {role}: it has another number of layers.")
            continue
        change += [
            ChangeRow(
                against=role,
                layer=one.layer,
                auc=one.auc,
                other_auc=one.other_auc,
                difference=one.difference,
                p=one.p,
                p_adjusted=one.p_adjusted,
            )
            for one in probe_change(means[TUNED].of(both), own, seen, **chance())
        ]
    twin: list[TwinRow] = []
    if TWIN in means and {*both} <= {*means[TWIN].names}:
        pair = means[TUNED].of(both), means[TWIN].of(both)
        if pair[0].shape == pair[1].shape:
            rows = twin_probe(*pair, seen, **chance()).layers
            twin = [TwinRow(**asdict(one)) for one in rows]
        else:
            missing.append("Probe, twins: the twin's states have another shape.")
    return Probes(
        layers=_layer_rows(found.layers, TUNED, observed.states[TUNED]),
        others=others,
        split=[
            row
            for role in _SHOWN_ROLES
            if role in observed.states
            for row in _split_rows(observed.states[role], arm_of, role)
        ],
        map=_map(observed.states[TUNED], arm_of, found.layers, settings),
        change=change,
        twin=twin,
        n_seen=n_seen,
        n_unseen=n_unseen,
        unseen_p=_two_unseen(means[TUNED], observed.states[TUNED], arm_of, settings),
        scores=dict(zip(both, found.scores.mean(axis=1).tolist(), strict=True)),
        missing=tuple(missing),
    )


def _means(states: States, arm_of: Mapping[str, str]) -> _Means:
    """Averages over the items of each record, records in the order of their names.

    Raises:
        InputError: A record's items say another arm than the table of records.
    """
    for entity, arm in states.items.select("entity", "arm").unique().sort("entity").iter_rows():
        if arm_of.get(entity, arm) != arm:
            raise InputError(
                f'{states.folder}: the record "{entity}" is {arm} in items.csv, and '
                f"{arm_of[entity]} elsewhere; a record belongs to one arm."
            )
    values, names = record_means(states.values, states.items["entity"].to_list())
    known = sorted((name, place) for place, name in enumerate(names) if name in arm_of)
    return _Means([name for name, _ in known], values[[place for _, place in known]])


def _blocks(
    states: States, names: Sequence[str], side: Bool[np.ndarray, " records"]
) -> Int[np.ndarray, " records"] | None:
    """Which records stand on the same pictures; None unless that divides both arms alike."""
    pictures = dict(
        states.items.group_by("entity").agg(pl.col("image").unique().sort()).iter_rows()
    )
    numbers: dict[tuple[str, ...], int] = {}
    blocks = np.array([numbers.setdefault(tuple(pictures[one]), len(numbers)) for one in names])
    balance = np.bincount(blocks, np.where(side, 1, -1))
    return blocks if len(numbers) >= FEWEST and not balance.any() else None


def _layer_rows(layers: Iterable[LayerProbe], role: str, states: States) -> list[LayerRow]:
    return [LayerRow(role=role, name=_name(states, one.layer), **asdict(one)) for one in layers]


def _name(states: States, layer: int) -> str:
    """What the model calls a layer; empty if nobody said."""
    said = states.about.get("layers")
    return str(said[layer]) if isinstance(said, list) and layer < len(said) else ""


def _split_rows(states: States, arm_of: Mapping[str, str], role: str) -> list[SplitRow]:
    """The paper's probe, layer by layer, on as many items as the paper has."""
    # Loads scikit-learn, for which nothing else here waits.
    from vlmaudit.stats.split_probe import split_probes

    chosen, seen, entities = _items(states, arm_of)
    return [
        SplitRow(
            role=role,
            layer=layer,
            accuracy=one.accuracy,
            low=one.low,
            high=one.high,
            control=one.control,
            selectivity=one.selectivity,
            items=one.items,
        )
        for layer, one in enumerate(split_probes(states.values[chosen], seen, entities))
    ]


def _items(
    states: States, arm_of: Mapping[str, str]
) -> tuple[list[int], Bool[np.ndarray, " items"], list[str]]:
    """As many items as the paper has: their places, their arm, and their records."""
    arms = [arm_of.get(entity, "") for entity in states.items["entity"]]
    chosen: list[int] = []
    for arm in (SEEN, UNSEEN):
        places = [place for place, each in enumerate(arms) if each == arm]
        chosen += places[: _MOST_ITEMS // 2]
    chosen.sort()
    seen = np.array([arms[place] == SEEN for place in chosen], dtype=bool)
    return chosen, seen, [states.items["entity"][place] for place in chosen]


def _map(
    states: States,
    arm_of: Mapping[str, str],
    layers: Sequence[LayerProbe],
    settings: Memorization,
) -> MapRow:
    """The paper's picture of the layer that tells most, and how far the arms lie apart in it."""
    # Loads scikit-learn, for which nothing else here waits.
    from vlmaudit.stats.state_map import arms_silhouette, main_components, plane

    chosen, seen, entities = _items(states, arm_of)
    layer = max(layers, key=lambda one: one.auc).layer
    items = main_components(states.values[chosen, layer])
    names = sorted({*entities})
    places = {name: place for place, name in enumerate(names)}
    of_item = [places[entity] for entity in entities]
    side = np.zeros(len(names), dtype=bool)
    side[of_item] = seen
    blocks = _blocks(states, names, side)
    apart = arms_silhouette(
        items,
        seen,
        entities,
        blocks=None if blocks is None else blocks[of_item],
        permutations=settings.permutations,
        rng=stream(settings.seed, "silhouette"),
    )
    drawn = plane(items).round(2)
    return MapRow(
        layer=layer,
        name=_name(states, layer),
        silhouette=apart.value,
        p=apart.p,
        seen=seen.tolist(),
        x=drawn[:, 0].tolist(),
        y=drawn[:, 1].tolist(),
    )


def _two_unseen(
    means: _Means, states: States, arm_of: Mapping[str, str], settings: Memorization
) -> float | None:
    """Two arms that no checkpoint ever saw: they must not be told apart."""
    names = [name for name in means.names if arm_of[name] in (UNSEEN, CONTROL)]
    side: Bool[np.ndarray, " records"] = np.array(
        [arm_of[name] == UNSEEN for name in names], dtype=bool
    )
    if min(int(side.sum()), int((~side).sum())) < FEWEST:
        return None
    found = record_probe(
        means.of(names),
        side,
        blocks=_blocks(states, names, side),
        folds=settings.folds,
        permutations=settings.permutations,
        rng=stream(settings.seed, "two unseen arms"),
    )
    return min(one.p_adjusted for one in found.layers)
