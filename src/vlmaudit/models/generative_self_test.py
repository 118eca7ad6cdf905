"""The self-test of a model that answers in words: what an audit rests on, and how fast it is.

All pictures are drawn here and show nobody; what is asked is what an audit asks.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from PIL.Image import Image

from vlmaudit.models import generative_steadiness as steadiness
from vlmaudit.models.base import (
    Answer,
    ChecksSharing,
    GenerativeModel,
    ScoringModel,
)
from vlmaudit.models.drawn_questions import (
    DESCRIBE,
    NAMES,
    QUESTIONS,
    WHO,
    another_picture,
    one_picture,
)
from vlmaudit.models.generative_steadiness import Outcome
from vlmaudit.models.known_answers import summarised
from vlmaudit.results.self_test import Check, KnownAnswers, SelfTest

# How many times `advance` is told of a step where the model lies open.
N_STEPS: Final = 7
# How many requests the self-test costs where the model is asked from outside.
N_REQUESTS: Final = 6

_BEGINNING: Final = 5  # words of an answer that are known again; where it ends is a closer call
_ASKED_ALONE: Final = 3  # questions; each is an answer of its own
_UNKNOWN: Final = "unknown"  # the arithmetic of a server
# How far rounding may move the square roots of an answer's first probabilities (distance).
_KNOWN_TOLERANCES: Final = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.2}


def n_steps(model: GenerativeModel) -> int:
    """How many times `check_generative` tells of a step."""
    return N_STEPS if isinstance(model, ChecksSharing) else N_REQUESTS


def check_generative(
    model: GenerativeModel,
    *,
    known: KnownAnswers | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> SelfTest:
    """Test a model that answers in words.

    One that shows its probabilities is asked some thirty short questions; one that does not, such
    as a server, is sent `N_REQUESTS` requests, and what a server may do at its own discretion,
    such as answering otherwise the next time, is noted and no fault.

    Args:
        model: The model.
        known: What it said before, to compare with.
        advance: Told of each of `n_steps` steps.

    Raises:
        ModelError: It cannot be asked at all.
    """
    if isinstance(model, ChecksSharing):
        return _from_inside(model, known, advance)
    return _from_outside(model, known, advance)


def _from_inside(
    model: GenerativeModel, known: KnownAnswers | None, advance: Callable[[int], None]
) -> SelfTest:
    """Test a model that lies open; nothing is compared where it does not answer at all."""
    assert isinstance(model, ChecksSharing)
    dtype, picture = model.record.dtype, one_picture()
    exact = steadiness.is_exact(dtype, model.record.quantization)
    first = list(model.answer(picture, QUESTIONS))
    advance(1)
    start = time.perf_counter()
    again = list(model.answer(picture, QUESTIONS))
    seconds = (time.perf_counter() - start) / len(QUESTIONS)
    advance(1)
    checks = [
        steadiness.answers(first, model.max_new_tokens),
        steadiness.echo(QUESTIONS, first),
        steadiness.same_answers("repeatable", "when asked twice", first, again),
    ]
    if steadiness.unanswered("answers", first):
        # Also what may pass, such as too little memory, is no state to begin an audit in.
        refused = checks[0].model_copy(update={"passed": False})
        return SelfTest(model=model.record, checks=(refused, *checks[1:]))
    alone = steadiness.asked_alone(model, dtype, first[:_ASKED_ALONE], exact=exact)
    checks += [alone, steadiness.shared_work(model)]
    advance(1)
    checks.append(_pictures_told_apart(model, first))
    advance(1)
    checks += [
        steadiness.picture_formats(model, dtype, exact=exact),
        steadiness.picture_sizes(lambda image: _describe(model, image)),
        steadiness.without_picture(_describe(model, None)),
    ]
    advance(1)
    names_per_second = None
    if isinstance(model, ScoringModel):
        checks.append(steadiness.candidates(model, dtype, exact=exact))
        names_per_second = _names_per_second(model)
    advance(1)
    answers = _answers_to_know(model, dtype, first, exact=exact)
    checks.append(_known_answers(answers, known))
    advance(1)
    return SelfTest(
        model=model.record,
        checks=tuple(checks),
        seconds_per_answer=seconds,
        names_per_second=names_per_second,
        requests_at_once=model.concurrency,
        answers=answers,
    )


def _from_outside(
    model: GenerativeModel, known: KnownAnswers | None, advance: Callable[[int], None]
) -> SelfTest:
    """Test a model that shows nothing but its words, with `N_REQUESTS` requests."""
    is_server = model.record.dtype == _UNKNOWN
    picture = one_picture()

    def asked(image: Image | None, questions: Sequence[str]) -> list[Outcome]:
        outcomes = []
        for outcome in model.answer(image, questions):
            outcomes.append(outcome)
            advance(1)
        return outcomes

    start = time.perf_counter()
    describe, who, again = asked(picture, [DESCRIBE, WHO, DESCRIBE])
    (other,) = asked(another_picture(), [DESCRIBE])
    (see_through,) = asked(picture.convert("RGBA"), [DESCRIBE])
    (blind,) = asked(None, [DESCRIBE])
    seconds = (time.perf_counter() - start) / N_REQUESTS
    outcomes = [describe, who, again, other, see_through]
    checks = [
        steadiness.answers(outcomes, None if is_server else model.max_new_tokens),
        steadiness.echo([DESCRIBE, WHO], [describe, who]),
        steadiness.same_answers(
            "repeatable", "when asked twice", [describe], [again], must=not is_server
        ),
        steadiness.pictures_told_apart([describe], [other]),
        steadiness.same_answers(
            "picture formats", "when alpha is added", [describe], [see_through], must=not is_server
        ),
        steadiness.without_picture(blind),
    ]
    names_per_second = None
    if isinstance(model, ScoringModel) and not is_server:
        checks.append(steadiness.candidates(model, model.record.dtype, exact=True))
        names_per_second = _names_per_second(model)
    answers = None
    if not is_server and not steadiness.unanswered("answers", outcomes):
        answers = KnownAnswers(
            dtype=model.record.dtype,
            tolerance=0.0,
            pictures=(),
            texts=(),
            said=_beginnings([describe, who, other]),
        )
    checks.append(_known_answers(answers, known))
    is_answered = any(isinstance(outcome, Answer) for outcome in outcomes)
    return SelfTest(
        model=model.record,
        checks=tuple(checks),
        seconds_per_answer=seconds if is_answered else None,
        names_per_second=names_per_second,
        requests_at_once=model.concurrency,
        answers=answers,
    )


def _describe(model: GenerativeModel, image: Image | None) -> Outcome:
    (outcome,) = model.answer(image, [DESCRIBE])
    return outcome


def _pictures_told_apart(model: GenerativeModel, first: Sequence[Outcome]) -> Check:
    assert isinstance(model, ChecksSharing)
    other = list(model.answer(another_picture(), QUESTIONS))
    one, another = (
        model.first_token_log_probabilities(picture, [DESCRIBE, WHO], shared=True)
        for picture in (one_picture(), another_picture())
    )
    return steadiness.pictures_told_apart(first, other, is_blind=np.array_equal(one, another))


def _names_per_second(model: ScoringModel) -> float:
    """How many of a few hundred names are scored in a second, reading the picture included."""
    start = time.perf_counter()
    model.log_likelihood(one_picture(), WHO, NAMES)
    return len(NAMES) / max(time.perf_counter() - start, 1e-9)


def _answers_to_know(
    model: ChecksSharing, dtype: str, first: Sequence[Outcome], *, exact: bool
) -> KnownAnswers | None:
    """Probabilities of first tokens, and where arithmetic is exact also how answers begin."""
    pictures = [
        model.first_token_log_probabilities(picture, [WHO], shared=True)
        for picture in (one_picture(), another_picture())
    ]
    texts = model.first_token_log_probabilities(one_picture(), QUESTIONS[:3], shared=True)
    rows = summarised(np.exp(np.concatenate(pictures) / 2), np.exp(texts / 2), dtype)
    if rows is None:
        return None
    tolerance = _KNOWN_TOLERANCES[dtype if exact or dtype != "float32" else "bfloat16"]
    said = _beginnings(first) if exact else ()
    return rows.model_copy(update={"tolerance": tolerance, "said": said})


def _beginnings(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    texts = [outcome.text for outcome in outcomes if isinstance(outcome, Answer)]
    return tuple(" ".join(text.split()[:_BEGINNING]) for text in texts)


def _known_answers(now: KnownAnswers | None, known: KnownAnswers | None) -> Check:
    name = "known answers"
    if known is None:
        sentence = "There are none to compare with (--write-known-answers keeps them)."
        return Check(name=name, passed=None, sentence=sentence)
    if now is None:
        sentence = "There is nothing in its answers that must be the same again."
        return Check(name=name, passed=None, sentence=sentence)
    apart, is_same = now.distance(known), now.agrees(known)
    if is_same:
        sentence = f"What the model said before, it says now ({apart:.2g} apart)."
    else:
        how = f"{apart:.2g} apart" if now.says_as(known) else "other words"
        sentence = (
            f"Not what the model said before ({how}): weights, configuration, tokenizer, "
            "preprocessing or a library have changed."
        )
    return Check(
        name=name,
        passed=is_same,
        measured=apart if np.isfinite(apart) else None,
        limit=max(now.tolerance, known.tolerance),
        sentence=sentence,
    )
