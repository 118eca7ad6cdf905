"""The costly half: what the model says of pictures and names, and nothing of what it means."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.audits.asking import (
    NO_MEMORY,
    NOT_NUMBERS,
    Show,
    open_case,
    outcome_rows,
    side_by_side,
)
from vlmaudit.data.candidates import Candidate
from vlmaudit.data.templates import fill
from vlmaudit.errors import ModelError, OutOfMemoryError
from vlmaudit.models.base import Choice, ContrastiveModel, Failed, LabelOnlyModel
from vlmaudit.models.cached_texts import CachedTexts
from vlmaudit.results.cases import Case
from vlmaudit.results.outcomes import Schema


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
    model: ContrastiveModel,
    cases: Sequence[Case],
    *,
    dim: int,
    batch: int,
    pool: Executor,
    show: Show = open_case,
) -> Generator[pl.DataFrame, None, None]:
    """The embedding of every picture, batch by batch; a failure is a row with its reason.

    Args:
        model: Whom to ask.
        cases: What to show, in order; a batch does not depend on where a run was stopped.
        dim: Length of an embedding.
        batch: Pictures a batch, and so what a kill may cost.
        pool: Decodes pictures side by side.
        show: Gives the picture of a case under its condition.
    """
    columns = embedding_columns(dim)
    for start in range(0, len(cases), batch):
        some = cases[start : start + batch]
        opened = list(pool.map(show, some))
        rows = iter(_embeddings(model, [each for each in opened if isinstance(each, Image)]))
        results = [next(rows) if isinstance(each, Image) else each for each in opened]
        answers = [
            {} if isinstance(result, Failed) else {"embedding": result} for result in results
        ]
        failures = [result if isinstance(result, Failed) else None for result in results]
        yield outcome_rows(some, failures, answers, columns)


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
    show: Show = open_case,
) -> Generator[pl.DataFrame, None, None]:
    """Which name each template gives each picture, as the answers come in.

    Args:
        model: Whom to ask, about as many pictures at once as it allows.
        cases: A picture and a template each; those of one picture stand together.
        names_for: The names that the picture of a case may be given.
        show: Gives the picture of a case under its condition.

    Raises:
        ModelError: Asking on makes no sense.
    """
    groups = [
        list(group) for _, group in groupby(cases, key=lambda case: (case.path, case.condition))
    ]
    return side_by_side(
        groups,
        lambda some: _choices(model, some, names_for, show),
        concurrency=model.concurrency,
        table=_choice_table,
    )


_Arrival = tuple[Case, "Choice | Failed"]


def _choices(
    model: LabelOnlyModel,
    cases: Sequence[Case],
    names_for: Callable[[Case], Sequence[str]],
    show: Show,
) -> Iterator[_Arrival]:
    """The outcomes of one picture's questions, with names in place of sentences."""
    picture = show(cases[0])
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
    return outcome_rows([case for case, _ in outcomes], failures, answers, CHOICE_COLUMNS)
