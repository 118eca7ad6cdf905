"""`vlmaudit --help` against importing Typer alone: the command line loads no model library.

Run it by itself: ``python benchmarks/help.py``. Whole processes, in turns.
"""

import resource
import subprocess
import sys
import sysconfig
from pathlib import Path

from _timing import print_table

ROUNDS = 11
TARGET = 6.0
VLMAUDIT = Path(sysconfig.get_path("scripts")) / "vlmaudit"


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    commands = {
        "import typer": [sys.executable, "-c", "import typer"],
        "vlmaudit --help": [str(VLMAUDIT), "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds[name].append(cpu_seconds(command))
    medians = {name: sorted(values)[ROUNDS // 2] for name, values in seconds.items()}
    times = medians["vlmaudit --help"] / medians["import typer"]
    print_table(
        medians,
        base="import typer",
        target=f"--help takes {times:.1f} times as long; target: less than {TARGET:.0f}",
    )


if __name__ == "__main__":
    main()
