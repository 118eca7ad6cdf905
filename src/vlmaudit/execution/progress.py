"""Progress on stderr, with an honest estimate, for whatever takes over two seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vlmaudit.results.numbers import count, duration, visible

Advance = Callable[[int], None]

_EVERY_S: Final = 30.0
"""Seconds between two lines where nobody watches a bar."""


def say(console: Console, line: str) -> None:
    """Say something in one line, which may quote the input: nothing in it acts on a terminal."""
    console.print(Text(visible(line)), soft_wrap=True)


@contextmanager
def progress(title: str, total: int, console: Console) -> Iterator[Advance]:
    """A bar that is told how much was done since; lines now and then where nobody watches."""
    if not console.is_terminal:
        console.print(f"{title} ({count(total)})", highlight=False)
        yield _Lines(title, total, console).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total)

        def advance(done: int) -> None:
            bar.advance(task, done)

        yield advance


class _Lines:
    """How far it is, said at most every half minute: for logs of jobs that run for hours."""

    def __init__(self, title: str, total: int, console: Console) -> None:
        self._title = title
        self._total = total
        self._console = console
        self._done = 0
        self._began = self._said = time.monotonic()

    def advance(self, done: int) -> None:
        self._done += done
        now = time.monotonic()
        if now - self._said < _EVERY_S or not self._done:
            return
        self._said = now
        left = (now - self._began) / self._done * (self._total - self._done)
        self._console.print(
            f"{self._title}: {count(self._done)} of {count(self._total)}, {duration(left)} left",
            highlight=False,
        )
