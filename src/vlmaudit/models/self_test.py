"""The self-test of a model: whether it keeps what an audit rests on, and how fast it is.

All pictures and texts are drawn here and show or name nobody.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from PIL.Image import Image

from vlmaudit.models import drawn_inputs, steadiness
from vlmaudit.models.as_declared import as_declared, full_text_length
from vlmaudit.models.base import Choice, ContrastiveModel, Failed, LabelOnlyModel
from vlmaudit.models.known_answers import summarised
from vlmaudit.models.subject import Subject
from vlmaudit.models.throughput import per_second
from vlmaudit.results.self_test import Check, KnownAnswers, SelfTest

# How many times `advance` is told of a step.
N_STEPS: Final = 7
# How many requests the self-test of a black box costs.
N_REQUESTS: Final = 5

# A lead of less than this share of the score may be lost to rounding.
_CLEAR: Final = 0.01


def check_contrastive(
    model: ContrastiveModel,
    *,
    known: KnownAnswers | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> SelfTest:
    """Test a model that embeds pictures and texts.

    Takes about 10 s with a ViT-B/32 on two cores, and less than a second with a tiny model.

    Args:
        model: The model.
        known: What it said before, to compare with.
        advance: Told of each of `N_STEPS` steps.

    Raises:
        ModelError: It cannot be asked at all.
    """
    subject = Subject(model)
    shape = steadiness.shape(subject)
    advance(1)
    if not shape.passed:  # rows that do not belong to inputs cannot be compared
        return SelfTest(model=model.record, checks=(shape,))
    repeatable = steadiness.repeatable(subject)
    advance(1)
    pictures, texts = subject.batches
    images_per_second = per_second(model.encode_images, drawn_inputs.photo_sized(), batch=pictures)
    texts_per_second = per_second(model.encode_texts, drawn_inputs.PROMPTS, batch=texts)
    advance(1)
    pictures_together = steadiness.pictures_together(subject, images_per_second)
    advance(1)
    texts_together = steadiness.texts_together(subject, texts_per_second)
    advance(1)
    formats, sizes = steadiness.picture_formats(subject), steadiness.picture_sizes(subject)
    advance(1)
    answers = summarised(subject.picture_rows[[0, 2]], subject.text_rows[:3], model.record.dtype)
    inside = [
        *as_declared(subject),
        full_text_length(subject),
        _known_answers(answers, known, subject.unsteady),
    ]
    advance(1)
    return SelfTest(
        model=model.record,
        checks=(
            shape,
            # These look at every embedding there was.
            steadiness.numbers(subject),
            steadiness.unit_length(subject),
            steadiness.inputs_told_apart(subject),
            repeatable,
            pictures_together,
            texts_together,
            formats,
            sizes,
            *inside,
        ),
        images_per_second=images_per_second,
        texts_per_second=texts_per_second,
        dim=subject.text_rows.shape[1],
        answers=answers,
    )


def _known_answers(now: KnownAnswers | None, known: KnownAnswers | None, unsteady: str) -> Check:
    name = "known answers"
    if known is None:
        sentence = "There are none to compare with (--write-known-answers keeps them)."
        return Check(name=name, passed=None, sentence=sentence)
    if now is None or unsteady:
        sentence = unsteady or "Embeddings that are not made of numbers cannot be compared."
        return Check(name=name, passed=None, sentence=sentence)
    apart = now.distance(known)
    is_same = now.agrees(known)
    return Check(
        name=name,
        passed=is_same,
        measured=apart,
        limit=max(now.tolerance, known.tolerance),
        sentence=f"What the model said before, it says now ({apart:.2g} apart)."
        if is_same
        else f"Not what the model said before ({apart:.2g} apart): weights, configuration, "
        "tokenizer, preprocessing or a library have changed.",
    )


def check_label_only(
    model: LabelOnlyModel, *, advance: Callable[[int], None] = lambda _: None
) -> SelfTest:
    """Test a model that only chooses among labels, with `N_REQUESTS` requests.

    A failure that may pass leaves a check undecided.

    Args:
        model: The model.
        advance: Told of each answered or failed request.

    Raises:
        ModelError: Asking makes no sense: the address or the key is wrong.
    """
    grey, labels = drawn_inputs.labelled(), drawn_inputs.LABELS
    start = time.perf_counter()
    first, again, backwards = _asked(model, grey, [labels, labels, labels[::-1]], advance)
    (rgb,) = _asked(model, grey.convert("RGB"), [labels], advance)
    (rgba,) = _asked(model, grey.convert("RGBA"), [labels], advance)
    seconds = (time.perf_counter() - start) / N_REQUESTS
    outcomes = (first, again, backwards, rgb, rgba)
    checks = (
        _offered(outcomes),
        _same_choice("repeatable", "asked twice", first, again),
        _same_choice("order of labels", "offered in another order", first, backwards),
        _same_choice("picture formats", "shown in RGB or RGBA instead of grey", first, rgb, rgba),
        Check(
            name="labels as they are",
            passed=None,
            sentence="Whether a sentence is put around the labels cannot be seen from outside.",
        ),
    )
    is_answered = any(isinstance(outcome, Choice) for outcome in outcomes)
    return SelfTest(
        model=model.record,
        checks=checks,
        seconds_per_request=seconds if is_answered else None,
        requests_at_once=model.concurrency,
    )


def _asked(
    model: LabelOnlyModel,
    picture: Image,
    questions: Sequence[Sequence[str]],
    advance: Callable[[int], None],
) -> list[Choice | Failed]:
    outcomes = []
    for outcome in model.classify(picture, questions):
        outcomes.append(outcome)
        advance(1)
    return outcomes


def _offered(outcomes: Sequence[Choice | Failed]) -> Check:
    """Every choice is one of the labels that were offered, word for word."""
    name = "offered labels"
    if failed := _failed(name, outcomes):
        return failed
    labels = [outcome.label for outcome in outcomes if isinstance(outcome, Choice)]
    foreign = sorted(set(labels) - set(drawn_inputs.LABELS))
    return Check(
        name=name,
        passed=not foreign,
        sentence=f'"{foreign[0]}" was chosen, which was not offered.'
        if foreign
        else f"All of {len(labels)} choices are labels that were offered.",
    )


def _same_choice(name: str, how: str, first: Choice | Failed, *others: Choice | Failed) -> Check:
    """Other ways to ask lead to the same choice, unless it was a close one."""
    if failed := _failed(name, (first, *others)):
        return failed
    choices = [each for each in (first, *others) if isinstance(each, Choice)]
    labels = {choice.label for choice in choices}
    if len(labels) == 1:
        return Check(name=name, passed=True, sentence=f"The same choice when {how}.")
    if any(not _is_clear(choice) for choice in choices):
        sentence = f"Another choice when {how}, but between labels too close to tell."
        return Check(name=name, passed=None, sentence=sentence)
    return Check(name=name, passed=False, sentence=f"Another choice when {how}.")


def _failed(name: str, outcomes: Sequence[Choice | Failed]) -> Check | None:
    """What to say where not every request was answered."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    if not failures:
        return None
    lasting = [each for each in failures if not each.is_transient]
    if lasting:
        return Check(name=name, passed=False, sentence=f"No answer: {lasting[0].reason}.")
    sentence = f"No answer for now: {failures[0].reason}."
    return Check(name=name, passed=None, sentence=sentence)


def _is_clear(choice: Choice) -> bool:
    """Whether the choice has a lead; one that shows no other label's score is taken at its word."""
    return choice.margin is None or choice.margin > _CLEAR * abs(choice.score)
