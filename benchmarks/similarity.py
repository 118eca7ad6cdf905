"""Nearest names, 21 templates x 1000 names, against the bare matrix product in the same process.

One thread. The bare product is timed with a fresh result, as `X @ T.T` gives it, and into memory
that is there already, which is the machine's own limit; the target is meant against the latter.

    python benchmarks/similarity.py [--images 4096] [--dim 512] [--rounds 7]
"""

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from _timing import alternate, print_table
from vlmaudit.seeds import stream
from vlmaudit.stats.similarity import nearest

N_TEMPLATES, N_NAMES = 21, 1000
TARGET = 0.9


def embeddings(purpose: str, *shape: int) -> np.ndarray:
    """Random unit vectors."""
    rows = stream(0, "benchmark", purpose).standard_normal(shape, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def wrong_decisions(images: np.ndarray, texts: np.ndarray) -> tuple[int, int]:
    """How many clear decisions (margin above 1e-6) differ from fp64, and how many are clear."""
    found = nearest(images, texts)
    wrong = clear = 0
    for template, names in enumerate(texts):
        cosines = images.astype(np.float64) @ names.astype(np.float64).T
        first_two = np.partition(cosines, -2, axis=1)[:, -2:]
        is_clear = first_two[:, 1] - first_two[:, 0] > 1e-6
        differs = found.name[:, template] != cosines.argmax(axis=1)
        wrong += np.count_nonzero(is_clear & differs)
        clear += np.count_nonzero(is_clear)
    return wrong, clear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    images = embeddings("images", arguments.images, arguments.dim)
    texts = embeddings("texts", N_TEMPLATES, N_NAMES, arguments.dim)
    columns = texts.reshape(-1, arguments.dim).T
    room = np.empty((arguments.images, N_TEMPLATES * N_NAMES), dtype=np.float32)
    with threadpool_limits(1):
        wrong, clear = wrong_decisions(images[:1024], texts)
        print(f"{clear} clear decisions compared with fp64: {wrong} differ")
        seconds = alternate(
            {
                "bare product, memory at hand": lambda: np.matmul(images, columns, out=room),
                "bare product, X @ T.T": lambda: images @ columns,
                "nearest": lambda: nearest(images, texts),
                "nearest, with runner-up": lambda: nearest(images, texts, runner_up=True),
            },
            rounds=arguments.rounds,
        )
    operations = 2 * images.size * N_TEMPLATES * N_NAMES
    print_table(
        seconds,
        base="bare product, memory at hand",
        target=f"target: nearest at a ratio of at least {TARGET}",
        note={name: f"{operations / value / 1e9:.0f} GFLOP/s" for name, value in seconds.items()},
    )


if __name__ == "__main__":
    main()
