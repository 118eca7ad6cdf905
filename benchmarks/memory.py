"""Peak memory of a whole audit, for ten times as many pictures, and ten times as many people.

Run it by itself: ``python benchmarks/memory.py``. Each audit is a process of its own; the model is
the scripted one, so that what is measured is ours: lists of cases, stored answers, conclusions.
"""

import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from vlmaudit.data.candidates import draw_names
from vlmaudit.seeds import stream

# People, pictures each; a picture of name leakage is thirty answers.
BASES, TIMES = {"identity-inference": (100, 20), "name-leakage": (40, 5)}, 10
CONTROLS = 20


def build(root: Path, people: int, pictures: int) -> None:
    """A study of noise: only its size matters."""
    names = draw_names(people, sex="female", origin="en_US", rng=stream(1, "names"))
    rng = stream(2, "pixels")
    for group, who in (("people", names), ("controls", [f"Nobody {n}" for n in range(CONTROLS)])):
        rows = [("identity", "name", "sex", "origin")]
        for number, name in enumerate(who):
            folder = root / group / f"{group}{number}"
            folder.mkdir(parents=True)
            rows.append((folder.name, name, "female", "en_US"))
            for picture in range(pictures):
                pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{picture}.png", compress_level=0)
        with (root / group / "people.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    (root / "model.json").write_text(json.dumps({"people": {}}), encoding="utf-8")
    (root / "says.json").write_text(json.dumps({"rules": []}), encoding="utf-8")


def arguments(audit: str, root: Path, people: int) -> list[str]:
    """The command: an embedding a picture, or thirty answers a picture."""
    common = ["--people", str(root / "people"), "--out", str(root / "run")]
    if audit == "name-leakage":
        return [audit, "--model", f"scripted:{root / 'says.json'}", *common, "--names", "0"]
    return [
        *(audit, "--model", f"scripted:{root / 'model.json'}", *common),
        *("--controls", str(root / "controls")),
        *("--names", "200", "--paper-pool", str(people + 100)),
    ]


def peak_mb(audit: str, people: int, pictures: int) -> float:
    """Peak memory of one audit, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        build(root, people, pictures)
        program = (
            "import resource, sys\n"
            "from vlmaudit.cli import app\n"
            "try: app(sys.argv[1:])\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments(audit, root, people)],
            check=True,
            capture_output=True,
            text=True,
        )
        return float(done.stdout.splitlines()[-1])


def measure(audit: str, people: int, pictures: int) -> None:
    """A table of one audit."""
    print(audit)
    base = peak_mb(audit, people, pictures)
    print(f"{people:6,} people x {pictures:4} pictures: {base:6.0f} MB")
    for label, size in (
        ("pictures", (people, TIMES * pictures)),
        ("people", (TIMES * people, pictures)),
    ):
        found = peak_mb(audit, *size)
        more = (found - base) / ((TIMES - 1) * people * pictures) * 1e6 / 1000
        print(
            f"{size[0]:6,} people x {size[1]:4} pictures: {found:6.0f} MB, "
            f"{more:.1f} kB for each further picture ({TIMES} x {label})"
        )


def main() -> None:
    # What a child starts with must not count: this process stays small.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 300 * 1024
    for audit, size in BASES.items():
        measure(audit, *size)
    print("target: no more than the answers themselves and a few kB a picture")


if __name__ == "__main__":
    main()
