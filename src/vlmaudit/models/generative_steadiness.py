"""What answers in words must be, and what they must not depend on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.models import drawn_inputs
from vlmaudit.models.base import Answer, ChecksSharing, Failed, ScoresAlone, ScoringModel
from vlmaudit.models.drawn_questions import DESCRIBE, FEW_NAMES, QUESTIONS, WHO, one_picture
from vlmaudit.results.self_test import Check

Outcome = Answer | Failed
Probabilities = Float[np.ndarray, "prompts vocabulary"]

# How far a natural log-probability may move where only the order of sums changes: of an answer's
# first token, where it is likely at all, and of a whole name. What is quantised reckons as bf16 at
# best, since how activations are rounded depends on what stands beside them.
TOKEN_TOLERANCES: Final = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.5}
NAME_TOLERANCES: Final = {"float32": 1e-3, "float16": 0.2, "bfloat16": 1.0}
_LIKELY: Final = 0.01  # a probability; below it, a logit's own digits are coarse


def is_exact(dtype: str, quantization: str) -> bool:
    """Whether rounding is so fine that answers must be the same word for word."""
    return dtype == "float32" and quantization == "none"


def answers(outcomes: Sequence[Outcome], max_new_tokens: int | None) -> Check:
    """There are answers, and they hold words; how many do not, and how many were cut off.

    Args:
        outcomes: All there are.
        max_new_tokens: Where they were to be cut off; None where others count, in their own way.
    """
    name = "answers"
    if failed := unanswered(name, outcomes):
        return failed
    given = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    empty = sum(not answer.text.strip() for answer in given)
    cut = sum(answer.finish == "length" for answer in given)
    longest = max(answer.tokens or 0 for answer in given)
    is_long = max_new_tokens is not None and longest > max_new_tokens
    if is_long:
        sentence = f"An answer has {longest} tokens, where {max_new_tokens} were asked for."
    elif empty == len(given):
        sentence = f"All of {empty} answers are empty: it may want its prompts in another form."
    else:
        sentence = f"{len(given) - empty} of {len(given)} hold words; {cut} cut off at the limit."
    return Check(
        name=name,
        # Some empty answers are the model's own way; an audit counts them as such.
        passed=False if is_long or empty == len(given) else not empty or None,
        measured=empty,
        sentence=sentence,
    )


def echo(questions: Sequence[str], outcomes: Sequence[Outcome]) -> Check:
    """Answers do not begin with the question: that would be the prompt, decoded along."""
    name = "echo"
    pairs = [
        (question, outcome.text)
        for question, outcome in zip(questions, outcomes, strict=True)
        if isinstance(outcome, Answer) and outcome.text.strip()
    ]
    if not pairs:
        return Check(name=name, passed=None, sentence="No answer holds words.")
    echoed = sum(question.casefold() in text.casefold() for question, text in pairs)
    if echoed == len(pairs):
        sentence = "Every answer repeats its question: what is decoded is not the answer alone."
    elif echoed:
        sentence = f"{echoed} of {len(pairs)} answers repeat their question."
    else:
        sentence = "No answer repeats its question."
    return Check(
        name=name,
        passed=False if echoed == len(pairs) else not echoed or None,
        measured=echoed,
        sentence=sentence,
    )


def same_answers(
    name: str, how: str, first: Sequence[Outcome], other: Sequence[Outcome], *, must: bool = True
) -> Check:
    """Asking in another way gives the same words.

    Args:
        name: What is checked.
        how: How it was asked the other time.
        first: The outcomes of asking as usual.
        other: Those of the other way, one for one.
        must: Whether a difference is a fault, and not merely worth knowing.
    """
    if failed := unanswered(name, [*first, *other]):
        return failed
    changed = sum(_words(one) != _words(two) for one, two in zip(first, other, strict=True))
    return Check(
        name=name,
        passed=not changed or (False if must else None),
        measured=changed,
        sentence=f"{changed} of {len(first)} answers are others {how}."
        if changed
        else f"The same answers {how}.",
    )


def asked_alone(
    model: ChecksSharing, dtype: str, first: Sequence[Outcome], *, exact: bool
) -> Check:
    """Asking about a picture in one go gives what each question gives by itself.

    In exact arithmetic the words must be the same. In any other, greedy answers part where two
    tokens are about as likely, so that it is the first token's probabilities that must agree.

    Args:
        model: The model.
        dtype: Its arithmetic.
        first: What it said to the first of `QUESTIONS`, asked all together.
        exact: See `is_exact`.
    """
    name, picture, asked = "asked alone", one_picture(), QUESTIONS[: len(first)]
    together = model.first_token_log_probabilities(picture, asked, shared=True)
    alone = model.first_token_log_probabilities(picture, asked, shared=False)
    apart, limit = farthest(together, alone), _limit(TOKEN_TOLERANCES, dtype, exact=exact)
    said_alone = [model.answer_alone(picture, question) for question in asked]
    if failed := unanswered(name, said_alone):
        return failed
    changed = sum(_words(one) != _words(two) for one, two in zip(first, said_alone, strict=True))
    words = f"{changed} of {len(first)} answers are others" if changed else "The same answers"
    return Check(
        name=name,
        passed=apart <= limit and not (exact and changed),
        measured=apart if np.isfinite(apart) else None,
        limit=limit,
        sentence=f"{words} when each is asked alone; a first token's log-probability moves by "
        f"{_far(apart)}, where rounding may move it by {limit:g}.",
    )


def shared_work(model: ChecksSharing) -> Check:
    """What the prompts of a picture share; where it is not all that may be, why."""
    shared = {
        "prefix": "Picture and common words are read once for all prompts.",
        "vision": "The picture's features are computed once for all prompts, and nothing else.",
        "none": "Every prompt is asked from the start.",
    }[model.sharing]
    notice = f" {model.sharing_notice.strip()}" if model.sharing_notice else ""
    return Check(
        name="shared work",
        passed=True if model.sharing == "prefix" else None,
        sentence=f"{shared}{notice}",
    )


def pictures_told_apart(
    one: Sequence[Outcome], other: Sequence[Outcome], *, is_blind: bool = False
) -> Check:
    """The picture has a say in what is answered.

    Args:
        one: Outcomes about one picture.
        other: Those of the same questions about another.
        is_blind: Not even a probability moved; where none are shown, it is not known.
    """
    name = "pictures told apart"
    if failed := unanswered(name, [*one, *other]):
        return failed
    differ = sum(_words(a) != _words(b) for a, b in zip(one, other, strict=True))
    if is_blind:
        sentence = "The picture changes nothing: no probability moves when another one is shown."
    elif differ:
        sentence = f"{differ} of {len(one)} answers are others about another picture."
    else:
        sentence = "The same words whatever is in the picture; it may hardly look at it."
    return Check(
        name=name,
        passed=False if is_blind else bool(differ) or None,
        measured=differ,
        sentence=sentence,
    )


def without_picture(outcome: Outcome) -> Check:
    """Whether the audit may ask without any picture: one of its nulls."""
    name = "without a picture"
    if isinstance(outcome, Failed):
        sentence = f"It cannot be asked without one: {outcome.reason}."
        return Check(name=name, passed=None, sentence=sentence)
    return Check(name=name, passed=True, sentence="It answers without one, too.")


def picture_formats(model: ChecksSharing, dtype: str, *, exact: bool) -> Check:
    """An answer does not depend on the format that a picture's pixels are kept in."""
    limit = _limit(TOKEN_TOLERANCES, dtype, exact=exact)
    refused: dict[str, str] = {}
    moved: dict[str, float] = {}
    formats = drawn_inputs.formats()
    for each in formats:
        try:
            rows, plain = (_probabilities(model, picture) for picture in (each.picture, each.plain))
        # Whatever a model raises on a picture.
        except Exception as problem:
            refused[each.name] = f"{type(problem).__name__}: {problem}"
            continue
        if (apart := farthest(rows, plain)) > limit:
            moved[each.name] = apart
    if refused:
        sentence = f"Refused: {_listed(refused)}."
    elif moved:
        sentence = f"Not what the same picture in RGB gives: {', '.join(moved)}."
    else:
        sentence = f"The same as in RGB: {', '.join(each.name for each in formats)}."
    return Check(
        name="picture formats",
        passed=not refused and not moved,
        limit=limit,
        sentence=sentence,
    )


def picture_sizes(ask: Callable[[Image], Outcome]) -> Check:
    """Pictures of uncommon sizes are accepted; where not, they count as failed in an audit."""
    sizes = drawn_inputs.sizes()
    outcomes = {name: ask(picture) for name, picture in sizes.items()}
    refused = {
        name: outcome.reason for name, outcome in outcomes.items() if isinstance(outcome, Failed)
    }
    return Check(
        name="picture sizes",
        passed=not refused or None,
        sentence=f"Refused: {_listed(refused)}."
        if refused
        else f"Accepted: {', '.join(sizes)} pixels.",
    )


def candidates(model: ScoringModel, dtype: str, *, exact: bool) -> Check:
    """Names scored together are as likely as one by one."""
    picture = one_picture()
    together = model.log_likelihood(picture, WHO, FEW_NAMES)
    if isinstance(model, ScoresAlone):
        alone = [model.log_likelihood_alone(picture, WHO, name) for name in FEW_NAMES]
    else:
        alone = [float(model.log_likelihood(picture, WHO, [name])[0]) for name in FEW_NAMES]
    apart = float(np.abs(together - np.array(alone)).max())
    limit = _limit(NAME_TOLERANCES, dtype, exact=exact)
    is_same = bool(apart <= limit) and bool((together <= limit).all())
    return Check(
        name="candidate names",
        passed=is_same,
        measured=apart if np.isfinite(apart) else None,
        limit=limit,
        sentence=f"Scored together, a name's log-probability is {_far(apart)} from what it is by "
        f"itself, where rounding may move it by {limit:g}.",
    )


def farthest(one: Probabilities, other: Probabilities) -> float:
    """How far the log-probability of a token that is likely in either lies apart.

    Infinitely far where one of them is no number.
    """
    if not (np.isfinite(one.max(axis=-1)).all() and np.isfinite(other.max(axis=-1)).all()):
        return np.inf
    likely = np.maximum(one, other) >= np.log(_LIKELY)
    return float(np.abs(one[likely].astype(np.float64) - other[likely]).max(initial=0))


def unanswered(name: str, outcomes: Sequence[Outcome]) -> Check | None:
    """What to say where not every question was answered."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    if not failures:
        return None
    lasting = [each for each in failures if not each.is_transient]
    if lasting:
        return Check(name=name, passed=False, sentence=f"No answer: {lasting[0].reason}.")
    sentence = f"No answer for now: {failures[0].reason}."
    return Check(name=name, passed=None, sentence=sentence)


def _probabilities(model: ChecksSharing, picture: Image) -> Probabilities:
    return model.first_token_log_probabilities(picture, [DESCRIBE], shared=True)


def _limit(tolerances: Mapping[str, float], dtype: str, *, exact: bool) -> float:
    return tolerances[dtype] if exact or dtype != "float32" else tolerances["bfloat16"]


def _words(outcome: Outcome) -> tuple[str, str]:
    assert isinstance(outcome, Answer)
    return outcome.text, outcome.finish


def _far(distance: float) -> str:
    return f"{distance:.2g}" if np.isfinite(distance) else "infinitely far"


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({reason.rstrip('.')})" for name, reason in reasons.items())
