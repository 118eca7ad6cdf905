"""Hidden states written and read: a mapped array against a text file of JSON an item.

The authors keep each item's states as text, all layers in one line of JSON. Both hold the same
fp32 numbers, which is compared first. Ours is written in pieces of 32 items that each reach the
disk before the next, as a capture does.

    python benchmarks/states.py [--items 64] [--layers 33] [--width 1024] [--rounds 3]
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from _timing import alternate, print_table
from vlmaudit.results.state_files import StateItem, StatesWriter, read_states
from vlmaudit.seeds import stream

TARGET = 50
BASE = "a line of JSON an item"
OURS = "states.npy"
AT_ONCE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--layers", type=int, default=33)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    shape = (arguments.items, arguments.layers, arguments.width)
    states = stream(0, "benchmark", "states").standard_normal(shape, dtype=np.float32)
    items = [StateItem(str(n), "", "", "seen", "") for n in range(len(states))]
    layers = [f"layer {n}" for n in range(arguments.layers)]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rounds = iter(range(1 << 30))

        def as_text() -> np.ndarray:
            path = folder / f"{next(rounds)}.jsonl"
            with path.open("w", encoding="utf-8") as file:
                for row in states:
                    file.write(json.dumps(row.tolist()) + "\n")
            with path.open(encoding="utf-8") as file:
                read = np.array([json.loads(line) for line in file], dtype=np.float32)
            path.unlink()
            return read

        def as_array() -> np.ndarray:
            place = folder / str(next(rounds))
            with StatesWriter(place, items, layers=layers, about={}) as writer:
                for start in range(0, len(states), AT_ONCE):
                    writer.write(states[start : start + AT_ONCE])
            return np.array(read_states(place).values)

        if not np.array_equal(as_text(), as_array()):
            raise SystemExit("the two do not hold the same numbers")
        print(f"{states.size:,} numbers, the same in both.")
        seconds = alternate({BASE: as_text, OURS: as_array}, rounds=arguments.rounds)
    print_table(seconds, base=BASE, target=f"target: {OURS} at least {TARGET} times as fast")


if __name__ == "__main__":
    main()
