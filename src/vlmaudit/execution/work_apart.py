"""Pieces of work in processes of their own, which may die or hang without harm to the others."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final

_TRIES: Final = 2
"""How often a piece is tried whose process dies."""
_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Worked:
    """How a piece of work ended.

    Attributes:
        place: Which piece.
        failure: Why it failed; empty where it did not.
    """

    place: int
    failure: str = ""


@dataclass(slots=True)
class _Worker:
    process: Any
    connection: Connection
    place: int
    began: float


def work_apart(
    work: Callable[[Any, Any], str],
    pieces: Sequence[Any],
    *,
    prepare: Callable[..., Any],
    arguments: tuple[Any, ...] = (),
    processes: int,
    timeout: float | None = None,
) -> Iterator[Worked]:
    """Do all pieces, each once, as they are finished.

    Args:
        work: Called with what `prepare` made and a piece; returns why it failed, or nothing. It
            keeps its result itself, whole or not at all: its process may end at any moment.
        pieces: Whatever can be sent to a process.
        prepare: Called once in every process.
        arguments: With these.
        processes: How many at a time.
        timeout: Seconds that a piece may take.
    """
    team = _Team(pieces, (work, prepare, arguments), timeout)
    try:
        while team.is_busy:
            team.fill(processes)
            ready = set(wait(team.connections, _LOOK_EVERY_S))
            for worker in team.workers.copy():
                if worked := team.look_at(worker, is_ready=worker.connection in ready):
                    yield worked
    finally:
        for worker in team.workers.copy():
            team.end(worker)


class _Team:
    """The processes, and what is left to do."""

    def __init__(
        self, pieces: Sequence[Any], how: tuple[Any, Any, Any], timeout: float | None
    ) -> None:
        self.workers: list[_Worker] = []
        self._pieces = pieces
        self._how = how
        self._timeout = timeout
        self._waiting = list(range(len(pieces)))[::-1]
        self._tries = [0] * len(pieces)
        self._context = multiprocessing.get_context("spawn")  # threads do not survive a fork

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self.workers)

    @property
    def connections(self) -> list[Connection]:
        return [worker.connection for worker in self.workers]

    def fill(self, processes: int) -> None:
        """Begin as many processes as may be, and have work for."""
        while self._waiting and len(self.workers) < processes:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(theirs, *self._how), daemon=True)
            process.start()
            theirs.close()
            self.workers.append(_Worker(process, ours, -1, 0.0))
            self._hand_out(self.workers[-1])

    def look_at(self, worker: _Worker, *, is_ready: bool) -> Worked | None:
        """What a process has to say, if its piece has come to an end."""
        if is_ready:
            try:
                worked = Worked(worker.place, worker.connection.recv())
            except (EOFError, OSError):
                return self._give_up(worker, "its process died")
            if self._waiting:
                self._hand_out(worker)
            else:
                self.end(worker)
            return worked
        if self._timeout is not None and time.monotonic() - worker.began > self._timeout:
            self._tries[worker.place] = _TRIES
            return self._give_up(worker, f"not through after {self._timeout:g} seconds")
        return None

    def end(self, worker: _Worker) -> None:
        """End a process, whatever it does."""
        self.workers.remove(worker)
        worker.connection.close()
        worker.process.kill()
        worker.process.join()

    def _hand_out(self, worker: _Worker) -> None:
        worker.place, worker.began = self._waiting.pop(), time.monotonic()
        self._tries[worker.place] += 1
        # Where it died between two pieces, its answer shows it.
        with contextlib.suppress(OSError):
            worker.connection.send(self._pieces[worker.place])

    def _give_up(self, worker: _Worker, why: str) -> Worked | None:
        self.end(worker)
        if self._tries[worker.place] < _TRIES:
            self._waiting.append(worker.place)
            return None
        return Worked(worker.place, why)


def _serve(
    connection: Connection,
    work: Callable[[Any, Any], str],
    prepare: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who ends this one
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    made = prepare(*arguments)
    while True:
        try:
            piece = connection.recv()
        except EOFError:
            return
        connection.send(work(made, piece))
