"""Five million stored outcomes: listing, grouping and reading back, against bare Parquet.

Run it by itself: ``python benchmarks/store.py``. Two shapes of run: many questions about each
picture (answers of a generative model), and one about each of five million pictures. Every
measurement is a process of its own, so that its peak of memory is its own as well. The base is
polars over one Parquet file with the same rows, which is as fast as that work gets here.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from vlmaudit.results.blocks import BlockStore, Part, block_size
from vlmaudit.seeds import stream

ROWS = 5_000_000
SHAPES = {"answers": 180, "pictures": 1}
PEOPLE = 1000
ROUNDS = 5
TARGET_S, TARGET_MB = 1.0, 1000


def block(number: int, n_pictures: int, questions: int) -> pl.DataFrame:
    """One block's outcomes; one in a hundred failed for the time being."""
    rng = stream(number, "block")
    n = n_pictures * questions
    person = np.repeat(rng.integers(0, PEOPLE, n_pictures), questions)
    failed = rng.random(n) < 0.01
    return pl.DataFrame(
        {
            "case": [rng.bytes(16).hex() for _ in range(n)],
            "identity": [f"person-{one:04d}" for one in person],
            "image": np.repeat([f"{number}/{one}.jpg" for one in range(n_pictures)], questions),
            "condition": ["original"] * n,
            "status": np.where(failed, "transient", "answered"),
            "reason": np.where(failed, "time-out", ""),
            "answer": [f"a person in a {word}" for word in rng.integers(0, 500, n)],
        }
    )


def build(folder: Path, questions: int) -> None:
    """A store as runs leave it, and the same rows in one file."""
    n_pictures = ROWS // questions
    size = block_size(n_pictures)
    store = BlockStore(folder / "private")
    tables = []
    for number in range(-(-n_pictures // size)):
        table = block(number, min(size, n_pictures - number * size), questions)
        part = Part(number, 0, tuple(table["case"]))
        with store.claim(part, {"answer": pl.String}) as claim:
            assert claim is not None
            claim.add(table, "benchmark")
            claim.seal()
        tables.append(table)
    pl.concat(tables).write_parquet(folder / "one.parquet")


def work(folder: Path, what: str) -> int:
    """One measured piece of work; gives a number that both ways must agree on."""
    store = BlockStore(folder / "private")
    one = pl.scan_parquet(folder / "one.parquet")
    if what == "list":
        return len(store.sealed()) and len(store.transient())
    if what == "list, one file":
        return one.filter(pl.col("status") == "transient").select(pl.len()).collect().item()
    if what.startswith("group"):
        rows = one if what.endswith("one file") else store.scan(["identity"])
        found = rows.group_by("identity", "status").len().collect(engine="streaming")
        return found.height * 10**8 + found["len"].max()
    if what == "read back":
        return sum(len(table) for table in store.read())
    return one.collect().height


def measure(folder: Path, what: str) -> None:
    """In a process of its own: seconds (median of rounds), peak of memory, and the number."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        number = work(folder, what)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(sorted(seconds)[ROUNDS // 2], peak, number)


def apart(*arguments: str) -> list[float]:
    """Run this file in a new process; memory of one step must not count for another."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", nargs=2)
    parser.add_argument("--measure", nargs=2)
    arguments = parser.parse_args()
    if arguments.build:
        build(Path(arguments.build[0]), int(arguments.build[1]))
        return
    if arguments.measure:
        measure(Path(arguments.measure[0]), arguments.measure[1])
        return
    for shape, questions in SHAPES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            apart("--build", name, str(questions))
            files = len(list((folder / "private" / "blocks").iterdir()))
            print(f"{shape}: {ROWS:,} outcomes, {questions} a picture, {files:,} files")
            print(f"{'':10}  {'seconds':>8}  {'peak MB':>8}  {'one file':>8}  {'ratio':>6}")
            for what in ("list", "group", "read back"):
                seconds, peak, number = apart("--measure", name, what)
                base, _, expected = apart("--measure", name, f"{what}, one file")
                assert number == expected, (what, number, expected)
                print(f"{what:10}  {seconds:8.2f}  {peak:8.0f}  {base:8.2f}  {seconds / base:6.1f}")
    print(f"target: list and group below {TARGET_S:.0f} s each, peak below {TARGET_MB} MB")


if __name__ == "__main__":
    main()
