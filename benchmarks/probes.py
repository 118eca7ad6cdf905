"""Layer probes on 1,000 items of width 4096, ten folds of records, against scikit-learn's.

One thread. The published probe is `LogisticRegression(max_iter=5000)`, fitted anew for every layer
and every fold; ours finds the same minimum in the items' kernel, of which one serves all folds.
Accuracies of the two are compared first. A layer is timed and stands for all 32 alike. The ridge
with its 999 permutations over all layers, which the audit decides by, is timed beside.

    python benchmarks/probes.py [--layers 2] [--rounds 3]
"""

import argparse

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from _timing import alternate, print_table
from vlmaudit.seeds import stream
from vlmaudit.stats.probes import record_means, record_probe
from vlmaudit.stats.split_probe import entity_disjoint_accuracy, record_folds

TARGET = 5
ITEMS, WIDTH, FOLDS = 1000, 4096, 10
RECORDS = 200
LAYERS = 32
LARGE = 60.0
"""How much larger a few coordinates of a language model's states are than the others."""
BASE = "scikit-learn, a fit a fold"
OURS = "in the items' kernel"
RIDGE = "ridge on records, 999 permutations"


def states_of(layer: int, seen: np.ndarray, of_item: np.ndarray) -> np.ndarray:
    """Items around a point of their record's, the arms a little apart, four coordinates large."""
    rng = stream(0, "benchmark", "states", layer)
    points = 0.3 * rng.standard_normal((RECORDS, WIDTH))
    points[:, 10] += np.where(seen, 0.5, -0.5) * (1 + layer)
    states = points[of_item] + rng.standard_normal((ITEMS, WIDTH))
    states[:, :4] *= LARGE
    return states.astype(np.float32)


def theirs(states: np.ndarray, seen: np.ndarray, records: list[str]) -> float:
    """The share told rightly, each fold by a fit on the others."""
    fold = record_folds(seen, records, folds=FOLDS, seed=0)
    right = 0.0
    for one in range(FOLDS):
        held_out = fold == one
        probe = LogisticRegression(max_iter=5000).fit(states[~held_out], seen[~held_out])
        right += probe.score(states[held_out], seen[held_out]) * held_out.sum()
    return right / len(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    of_item = np.repeat(np.arange(RECORDS), ITEMS // RECORDS)
    arm = np.arange(RECORDS) % 2 == 0
    seen, records = arm[of_item], [f"record-{place}" for place in of_item]
    layers = [states_of(layer, arm, of_item) for layer in range(arguments.layers)]
    with threadpool_limits(1):
        for layer, states in enumerate(layers):
            mine = entity_disjoint_accuracy(states, seen, records, folds=FOLDS)
            other = theirs(states, seen, records)
            print(f"layer {layer}: accuracy {mine:.3f}, scikit-learn's {other:.3f}")
            if abs(mine - other) > 0.01:
                raise SystemExit("more than a point apart")
        means, _ = record_means(np.stack(layers, axis=1), records)
        whole = np.repeat(means, -(-LAYERS // means.shape[1]), axis=1)[:, :LAYERS]
        rng = stream(0, "benchmark", "permutations")
        seconds = alternate(
            {
                BASE: lambda: [theirs(states, seen, records) for states in layers],
                OURS: lambda: [
                    entity_disjoint_accuracy(states, seen, records) for states in layers
                ],
                RIDGE: lambda: record_probe(whole, arm, permutations=999, rng=rng),
            },
            rounds=arguments.rounds,
        )
    print_table(
        seconds,
        base=BASE,
        target=f"target: {OURS} at least {TARGET} times as fast, with the same accuracy",
        note={RIDGE: f"all {LAYERS} layers"},
    )


if __name__ == "__main__":
    main()
