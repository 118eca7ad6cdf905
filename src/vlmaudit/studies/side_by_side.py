"""Long jobs in processes of their own, two at a time, with one bar for all of them."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from queue import Empty
from typing import Any, Final

from vlmaudit.execution.progress import Advance

_LOOK_EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """A function of a module that is called in another process.

    Attributes:
        name: For those that wait for it.
        work: Called with the arguments and, by keyword, ``advance``: to be told how much was done.
        arguments: Whatever can be sent to a process.
        after: Jobs that must be through before.
    """

    name: str
    work: Callable[..., None]
    arguments: tuple[Any, ...] = ()
    after: tuple[str, ...] = field(default=())


def run_side_by_side(jobs: Sequence[Job], *, processes: int, advance: Advance) -> None:
    """Run all jobs; the first problem of any of them ends the others and is raised.

    Args:
        jobs: What to do; earlier ones begin first.
        processes: How many at a time.
        advance: Told how much was done since it was last called, by all of them.
    """
    context = multiprocessing.get_context("spawn")  # threads of a model library do not survive fork
    done_queue = context.Queue()
    waiting, through = list(jobs), set[str]()
    running: dict[Future[None], str] = {}
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(done_queue,)
    )
    try:
        while waiting or running:
            for job in [each for each in waiting if through.issuperset(each.after)]:
                waiting.remove(job)
                running[pool.submit(_work, job)] = job.name
            finished, _ = wait(running, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            for future in finished:
                through.add(running.pop(future))
                future.result()
            advance(_drained(done_queue))
        advance(_drained(done_queue))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_told: Any = None
"""In a process of the pool: where it tells how much it has done."""


def _begin(done_queue: Any) -> None:  # noqa: ANN401 - a queue of the spawn context has no type
    global _told  # noqa: PLW0603 - a process of the pool has no other place
    _told = done_queue
    # A core each: more threads than cores wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _work(job: Job) -> None:
    job.work(*job.arguments, advance=_told.put)


def _drained(done_queue: Any) -> int:  # noqa: ANN401
    total = 0
    while True:
        try:
            total += done_queue.get_nowait()
        except Empty:
            return total
