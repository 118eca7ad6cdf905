"""The costly half: what the model answers about pictures, and how likely it finds names."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
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
from vlmaudit.audits.name_leakage.questions import NAMES
from vlmaudit.audits.name_leakage.settings import NO_IMAGE
from vlmaudit.errors import OutOfMemoryError
from vlmaudit.models.base import Answer, Failed, GenerativeModel, ScoringModel
from vlmaudit.results.cases import Case
from vlmaudit.results.outcomes import Schema

COLUMNS: Final[Schema] = MappingProxyType(
    {
        "prompt": pl.String,
        "answer": pl.String,
        "finish": pl.String,
        "tokens": pl.Int32,
        "prompt_tokens": pl.Int32,
        "log_likelihoods": pl.List(pl.Float32),
    }
)
"""What an outcome of this audit holds besides the common columns."""

_FLUSH_S: Final = 2.0
"""Seconds of answers that a kill may cost."""

Scores = Float[np.ndarray, " names"]
_Outcome = tuple[Case, "Answer | Scores | Failed"]


def observe(
    model: GenerativeModel,
    cases: Sequence[Case],
    *,
    texts: Mapping[str, str],
    names_for: Callable[[Case], Sequence[str]],
    show: Show = open_case,
) -> Generator[pl.DataFrame, None, None]:
    """What the model answers, as it comes in; a failure is a row with its reason.

    Args:
        model: Whom to ask, about as many pictures at once as it allows.
        cases: A picture and a prompt each; those of one picture stand together.
        texts: The words of every prompt, by id.
        names_for: The names whose likelihood is asked for about the picture of a case.
        show: Gives the picture of a case under its condition.

    Raises:
        ModelError: Asking on makes no sense.
    """
    groups = [list(group) for _, group in groupby(cases, key=_shown)]

    def ask(some: Sequence[Case]) -> Iterator[_Outcome]:
        return _ask(model, some, texts, names_for, show)

    if model.concurrency > 1:
        return side_by_side(groups, ask, concurrency=model.concurrency, table=_table)
    return _in_turn(groups, ask)


def _shown(case: Case) -> tuple[Path, str, str]:
    return case.path, case.image, case.condition


def _in_turn(
    groups: Sequence[Sequence[Case]], ask: Callable[[Sequence[Case]], Iterator[_Outcome]]
) -> Generator[pl.DataFrame, None, None]:
    """One picture after the other; what came in is handed on every few seconds."""
    waiting: list[_Outcome] = []
    last = time.monotonic()
    for group in groups:
        for outcome in ask(group):
            waiting.append(outcome)
            if time.monotonic() - last >= _FLUSH_S:
                yield _table(waiting)
                waiting, last = [], time.monotonic()
    if waiting:
        yield _table(waiting)


def _ask(
    model: GenerativeModel,
    cases: Sequence[Case],
    texts: Mapping[str, str],
    names_for: Callable[[Case], Sequence[str]],
    show: Show,
) -> Iterator[_Outcome]:
    """The outcomes of one picture's questions: answers first, then likelihoods."""
    picture = None if cases[0].condition == NO_IMAGE else show(cases[0])
    if isinstance(picture, Failed):
        yield from ((case, picture) for case in cases)
        return
    asked = [case for case in cases if not case.question.endswith(NAMES)]
    scored = [case for case in cases if case.question.endswith(NAMES)]
    yield from _answers(model, picture, asked, texts)
    for case in scored:
        assert isinstance(model, ScoringModel), "names were dealt to a model that cannot score"
        prompt = texts[case.question.removesuffix(NAMES)]
        yield case, _scores(model, picture, prompt, names_for(case))


def _answers(
    model: GenerativeModel, picture: Image | None, cases: Sequence[Case], texts: Mapping[str, str]
) -> Iterator[_Outcome]:
    waiting = list(cases)
    if not waiting:
        return
    try:
        for outcome in model.answer(picture, [texts[case.question] for case in cases]):
            yield waiting.pop(0), outcome
    except OutOfMemoryError:
        yield from ((case, NO_MEMORY) for case in waiting)
    assert not waiting, f"{len(waiting)} prompts got no outcome"


def _scores(
    model: ScoringModel, picture: Image | None, prompt: str, names: Sequence[str]
) -> Scores | Failed:
    try:
        scores = model.log_likelihood(picture, prompt, names)
    except OutOfMemoryError:
        return NO_MEMORY
    except ValueError as problem:  # a picture, or a name, that the model's processor refuses
        return Failed(f"names cannot be scored ({problem})", is_transient=False)
    return scores if np.isfinite(scores).all() else NOT_NUMBERS


def _table(outcomes: Sequence[_Outcome]) -> pl.DataFrame:
    answers = [_columns(case, outcome) for case, outcome in outcomes]
    failures = [outcome if isinstance(outcome, Failed) else None for _, outcome in outcomes]
    return outcome_rows([case for case, _ in outcomes], failures, answers, COLUMNS)


def _columns(case: Case, outcome: Answer | Scores | Failed) -> Mapping[str, Any]:
    if isinstance(outcome, Failed):
        return {"prompt": case.question}
    if isinstance(outcome, Answer):
        return {
            "prompt": case.question,
            # A lone surrogate, which no file can hold, is what a server may well send.
            "answer": outcome.text.encode(errors="replace").decode(),
            "finish": outcome.finish,
            "tokens": outcome.tokens,
            "prompt_tokens": outcome.prompt_tokens,
        }
    return {"prompt": case.question, "log_likelihoods": outcome.astype(np.float32).tolist()}
