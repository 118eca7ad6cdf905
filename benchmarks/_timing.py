"""Variants of the same work, timed side by side."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def alternate(variants: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """The median of each variant's CPU seconds; variants take turns, so that load hits all.

    CPU seconds of the whole process: threads of a variant are paid for, other programs are not.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: median(values) for name, values in seconds.items()}


def print_table(
    seconds: Mapping[str, float], *, base: str, target: str, note: Mapping[str, str] | None = None
) -> None:
    """One line a variant: CPU seconds, and how many times as fast as `base`; then the target."""
    width = max(map(len, seconds))
    print(f"{'':{width}}  {'CPU seconds':>11}  {'ratio':>8}")
    for name, value in seconds.items():
        remark = (note or {}).get(name, "")
        print(f"{name:{width}}  {value:11.4f}  {seconds[base] / value:8.2f}  {remark}".rstrip())
    print(target)
