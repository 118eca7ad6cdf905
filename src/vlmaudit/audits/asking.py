"""Asking about cases and writing down what became of them, whatever the audit."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Final, TypeVar

import polars as pl
from PIL.Image import Image

from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.models.base import Failed
from vlmaudit.results.cases import Case
from vlmaudit.results.outcomes import ANSWERED, PERMANENT, TRANSIENT, Schema

Answer = TypeVar("Answer")

Show = Callable[[Case], "Image | Failed"]
"""Gives the picture of a case under its condition, or why it cannot be shown."""

NOT_NUMBERS: Final = Failed("the model answered with values that are not numbers", False)
NO_MEMORY: Final = Failed("out of memory, even for one picture at a time", True)


def open_case(case: Case) -> Image | Failed:
    """The picture of a case, or why it cannot be shown."""
    try:
        return open_picture(case.path)
    except PictureError as problem:
        return Failed(str(problem), is_transient=False)


def outcome_rows(
    cases: Sequence[Case],
    failures: Sequence[Failed | None],
    answers: Sequence[Mapping[str, Any]],
    columns: Schema,
) -> pl.DataFrame:
    """Outcomes as they are stored, a row a case.

    Args:
        cases: What was asked.
        failures: Why there is no answer; None where there is one.
        answers: The audit's own columns; what is missing is null.
        columns: These columns and their types.
    """
    return pl.DataFrame(
        {
            "case": [case.key for case in cases],
            "identity": [case.identity for case in cases],
            "image": [case.image for case in cases],
            "condition": [case.condition for case in cases],
            "status": [_status(failure) for failure in failures],
            "reason": [failure.reason if failure else "" for failure in failures],
        }
        | {
            name: pl.Series([answer.get(name) for answer in answers], dtype=dtype)
            for name, dtype in columns.items()
        }
    )


def _status(failure: Failed | None) -> str:
    if failure is None:
        return ANSWERED
    return TRANSIENT if failure.is_transient else PERMANENT


def side_by_side(
    groups: Sequence[Sequence[Case]],
    ask: Callable[[Sequence[Case]], Iterator[tuple[Case, Answer]]],
    *,
    concurrency: int,
    table: Callable[[Sequence[tuple[Case, Answer]]], pl.DataFrame],
) -> Generator[pl.DataFrame, None, None]:
    """Ask about several pictures at once, and hand on what comes in, as it comes.

    Ctrl-C ends it with what came in until then; no thread is waited for.

    Args:
        groups: The cases of each picture.
        ask: Gives the outcomes of one picture's cases, each as soon as it is there.
        concurrency: How many pictures are asked about at the same time.
        table: Outcomes as they are stored.
    """
    to_ask: SimpleQueue[Sequence[Case]] = SimpleQueue()
    arrived: SimpleQueue[tuple[Case, Answer] | BaseException] = SimpleQueue()
    is_over = Event()
    for group in groups:
        to_ask.put(group)

    def work() -> None:
        try:
            while not is_over.is_set():
                for arrival in ask(to_ask.get_nowait()):
                    arrived.put(arrival)
                    if is_over.is_set():
                        return
        except Empty:
            return
        except BaseException as problem:
            arrived.put(problem)

    missing = sum(map(len, groups))
    for _ in range(min(concurrency, len(groups))):
        # Daemons: whoever stops the program does not wait for an endpoint that does not answer.
        Thread(target=work, daemon=True).start()
    try:
        while missing:
            outcomes = _drain(arrived, wait=True)
            missing -= len(outcomes)
            yield table(outcomes)
    except KeyboardInterrupt:
        is_over.set()
        if outcomes := _drain(arrived, wait=False):
            yield table(outcomes)
        raise
    finally:
        is_over.set()


def _drain(
    arrived: "SimpleQueue[tuple[Case, Answer] | BaseException]", *, wait: bool
) -> list[tuple[Case, Answer]]:
    """All that is there; an error is raised once what came before it was handed on.

    Args:
        arrived: Where threads put outcomes.
        wait: Whether to wait until there is something.
    """
    found: list[tuple[Case, Answer]] = []
    try:
        while True:
            item = arrived.get(block=wait and not found)
            if isinstance(item, BaseException):
                if not found:
                    raise item
                arrived.put(item)
                return found
            found.append(item)
    except Empty:
        return found
