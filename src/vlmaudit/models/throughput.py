"""How much a model answers in a second on this machine."""

import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from statistics import median
from typing import Final, TypeVar

_LONG_ENOUGH: Final = 0.05  # seconds: a shorter call is mostly overhead
_FIRST_CALL: Final = 4
_REPEATS: Final = 3

Input = TypeVar("Input")


def per_second(
    encode: Callable[[Sequence[Input]], object],
    inputs: Sequence[Input],
    *,
    batch: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How many inputs are encoded in a second, by the median of three equal calls.

    Calls double, up to one whole batch, until they are long enough to be measured; the ones
    before warm the model up.

    Args:
        encode: Encodes any number of inputs.
        inputs: What is encoded, over and over.
        batch: The most that one call is handed.
        clock: Tells the seconds.
    """

    def seconds(n: int) -> float:
        asked = list(islice(cycle(inputs), n))
        start = clock()
        encode(asked)
        return clock() - start

    n = min(_FIRST_CALL, batch)
    taken = [seconds(n)]
    while taken[0] < _LONG_ENOUGH and n < batch:
        n = min(2 * n, batch)
        taken = [seconds(n)]
    taken += [seconds(n) for _ in range(_REPEATS - 1)]
    return n / max(median(taken), 1e-9)
