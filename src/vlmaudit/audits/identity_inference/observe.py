"""The costly half: what the model says of pictures and names, and nothing of what it means."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.data.candidates import Candidate
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.data.templates import fill
from vlmaudit.errors import ModelError, OutOfMemoryError
from vlmaudit.models.base import Choice, ContrastiveModel, Failed, LabelOnlyModel
from vlmaudit.models.cached_texts import CachedTexts
from vlmaudit.results.cases import Case
from vlmaudit.results.outcomes import ANSWERED, PERMANENT, TRANSIENT, Schema

NOT_NUMBERS: Final = Failed("the model answered with values that are not numbers", False)
NO_MEMORY: Final = Failed("out of memory, even for one picture at a time", True)


def observe_names(
    texts: CachedTexts,
    candidates: Sequence[Candidate],
    templates: Sequence[str],
    *,
    advance: Callable[[int], None],
) -> Float[np.ndarray, "names templates dim"]:
    """The embedding of every name in every template.

    Raises:
        ModelError: The model answers a name with something that is not a number; without all
            names there is nothing to compare with.
    """
    sentences = [fill(template, name.name) for name in candidates for template in templates]
    rows = texts.encode_texts(sentences, advance=advance)
    if not np.isfinite(rows).all():
        broken = sentences[int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])]
        raise ModelError(f'the model answers "{broken}" with values that are not numbers.')
    return rows.reshape(len(candidates), len(templates), -1)


def embedding_columns(dim: int) -> Schema:
    """What an outcome of a contrastive model holds besides the common columns."""
    return {"embedding": pl.Array(pl.Float32, dim)}


def observe_pictures(
    model: ContrastiveModel, cases: Sequence[Case], *, dim: int, batch: int, pool: Executor
) -> Generator[pl.DataFrame, None, None]:
    """The embedding of every picture, batch by batch; a failure is a row with its reason.

    Args:
        model: Whom to ask.
        cases: What to show, in order; a batch does not depend on where a run was stopped.
        dim: Length of an embedding.
        batch: Pictures a batch, and so what a kill may cost.
        pool: Decodes pictures side by side.
    """
    columns = embedding_columns(dim)
    for start in range(0, len(cases), batch):
        some = cases[start : start + batch]
        opened = list(pool.map(_open, (case.path for case in some)))
        rows = iter(_embeddings(model, [each for each in opened if isinstance(each, Image)]))
        results = [next(rows) if isinstance(each, Image) else each for each in opened]
        answers = [
            {} if isinstance(result, Failed) else {"embedding": result} for result in results
        ]
        failures = [result if isinstance(result, Failed) else None for result in results]
        yield _table(some, failures, answers, columns)


def _embeddings(model: ContrastiveModel, pictures: Sequence[Image]) -> list[list[float] | Failed]:
    try:
        rows = model.encode_images(pictures)
    except OutOfMemoryError:
        if len(pictures) == 1:
            return [NO_MEMORY]
        # One picture may be to blame; the others shall not fail with it.
        return [row for picture in pictures for row in _embeddings(model, [picture])]
    return [row.tolist() if np.isfinite(row).all() else NOT_NUMBERS for row in rows]


CHOICE_COLUMNS: Final[Schema] = MappingProxyType(
    {"template": pl.String, "predicted": pl.String, "score": pl.Float64, "margin": pl.Float64}
)
"""What an outcome of a label-only model holds besides the common columns."""


def observe_choices(
    model: LabelOnlyModel,
    cases: Sequence[Case],
    names_for: Callable[[Case], Sequence[str]],
) -> Generator[pl.DataFrame, None, None]:
    """Which name each template gives each picture, as the answers come in.

    Args:
        model: Whom to ask, about as many pictures at once as it allows.
        cases: A picture and a template each; those of one picture stand together.
        names_for: The names that the picture of a case may be given.

    Raises:
        ModelError: Asking on makes no sense.
    """
    to_ask: SimpleQueue[list[Case]] = SimpleQueue()
    arrived: SimpleQueue[_Arrival | BaseException] = SimpleQueue()
    is_over = Event()
    for _, group in groupby(cases, key=lambda case: case.path):
        to_ask.put(list(group))

    def work() -> None:
        try:
            while not is_over.is_set():
                picture = to_ask.get_nowait()
                for arrival in _choices(model, picture, names_for):
                    arrived.put(arrival)
                    if is_over.is_set():
                        return
        except Empty:
            return
        except BaseException as problem:
            arrived.put(problem)

    missing = len(cases)
    for _ in range(min(model.concurrency, to_ask.qsize())):
        # Daemons: whoever stops the program does not wait for an endpoint that does not answer.
        Thread(target=work, daemon=True).start()
    try:
        while missing:
            outcomes = _drain(arrived, wait=True)
            missing -= len(outcomes)
            yield _choice_table(outcomes)
    except KeyboardInterrupt:
        is_over.set()
        if outcomes := _drain(arrived, wait=False):
            yield _choice_table(outcomes)
        raise
    finally:
        is_over.set()


_Arrival = tuple[Case, "Choice | Failed"]


def _choices(
    model: LabelOnlyModel, cases: Sequence[Case], names_for: Callable[[Case], Sequence[str]]
) -> Iterator[_Arrival]:
    """The outcomes of one picture's questions, with names in place of sentences."""
    picture = _open(cases[0].path)
    if isinstance(picture, Failed):
        yield from ((case, picture) for case in cases)
        return
    names = [names_for(case) for case in cases]
    labels = [
        [fill(case.question, name) for name in few] for case, few in zip(cases, names, strict=True)
    ]
    outcomes = model.classify(picture, labels)
    for case, few, offered, outcome in zip(cases, names, labels, outcomes, strict=True):
        if isinstance(outcome, Choice):
            name = few[offered.index(outcome.label)]
            yield case, Choice(name, outcome.score, outcome.margin)
        else:
            yield case, outcome


def _drain(arrived: "SimpleQueue[_Arrival | BaseException]", *, wait: bool) -> list[_Arrival]:
    """All that is there; an error is raised once what came before it was handed on.

    Args:
        arrived: Where threads put outcomes.
        wait: Whether to wait until there is something.
    """
    found: list[_Arrival] = []
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


def _choice_table(outcomes: Sequence[_Arrival]) -> pl.DataFrame:
    answers: list[Mapping[str, Any]] = [
        {
            "template": case.question,
            "predicted": outcome.label,
            "score": outcome.score,
            "margin": outcome.margin,
        }
        if isinstance(outcome, Choice)
        else {"template": case.question}
        for case, outcome in outcomes
    ]
    failures = [outcome if isinstance(outcome, Failed) else None for _, outcome in outcomes]
    return _table([case for case, _ in outcomes], failures, answers, CHOICE_COLUMNS)


def _table(
    cases: Sequence[Case],
    failures: Sequence[Failed | None],
    answers: Sequence[Mapping[str, Any]],
    columns: Schema,
) -> pl.DataFrame:
    """Outcomes as they are stored, a row a case."""
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


def _open(path: Path) -> Image | Failed:
    try:
        return open_picture(path)
    except PictureError as problem:
        return Failed(str(problem), is_transient=False)
