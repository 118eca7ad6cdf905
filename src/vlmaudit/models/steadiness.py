"""What an embedding must be, and what it must not depend on."""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Final, TypeVar

import numpy as np
from PIL.Image import Image

from vlmaudit.models import drawn_inputs
from vlmaudit.models.subject import Rows, Subject, distances, farthest
from vlmaudit.results.self_test import Check

_UNIT: Final = 1e-5  # a few times the rounding of a sum of squares in fp32
_TOLD_APART: Final = 1e-5
_AFFORDABLE: Final = 3.0  # seconds that a call of more than one batch may take

Input = TypeVar("Input")


def shape(subject: Subject) -> Check:
    """fp32 rows of one width for pictures and texts, also for none of them."""
    dim = subject.text_rows.shape[-1]
    answered = {
        (len(subject.pictures), dim): subject.picture_rows,
        (len(subject.texts), dim): subject.text_rows,
    }
    nothing = [subject.encode_images([]), subject.encode_texts([])]
    wrong = [
        f"{rows.shape} {rows.dtype} instead of {wanted} float32"
        for wanted, rows in [*answered.items(), *(((0, dim), rows) for rows in nothing)]
        if rows.shape != wanted or rows.dtype != np.float32
    ]
    return Check(
        name="shape",
        passed=not wrong,
        sentence=f"An embedding came back as {'; '.join(wrong)}."
        if wrong
        else f"{dim} numbers in fp32 for each picture and text, and no rows for no inputs.",
    )


def numbers(subject: Subject) -> Check:
    """No embedding holds NaN or infinity."""
    rows = np.concatenate(subject.seen)
    broken = int((~np.isfinite(rows).all(axis=1)).sum())
    return Check(
        name="numbers",
        passed=not broken,
        measured=broken,
        limit=0,
        sentence=f"{broken} of {len(rows)} embeddings hold what is not a number."
        if broken
        else f"All of {len(rows)} embeddings are made of finite numbers.",
    )


def unit_length(subject: Subject) -> Check:
    """Every embedding that is made of numbers has length 1."""
    rows = np.concatenate(subject.seen)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return Check(name="unit length", passed=None, sentence="No embedding is made of numbers.")
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    worst = float(lengths[np.abs(lengths - 1).argmax()])
    is_unit = abs(worst - 1) <= _UNIT
    return Check(
        name="unit length",
        passed=is_unit,
        measured=abs(worst - 1),
        limit=_UNIT,
        sentence="Every embedding has length 1."
        if is_unit
        else f"An embedding has length {worst:.3g}; the model must give it length 1.",
    )


def repeatable(subject: Subject) -> Check:
    """The same call twice gives the same; where it does not, nothing else can be compared."""
    pictures = subject.encode_images(subject.pictures)
    texts = subject.encode_texts(subject.texts)
    apart = max(farthest(pictures, subject.picture_rows), farthest(texts, subject.text_rows))
    if apart > subject.limit:
        subject.unsteady = "The same call gives different answers, so that nothing can be compared."
    same_bits = np.array_equal(pictures, subject.picture_rows, equal_nan=True) and np.array_equal(
        texts, subject.text_rows, equal_nan=True
    )
    if subject.unsteady:
        sentence = f"The same call twice gives embeddings {_far(apart)} apart; something is random."
    elif same_bits:
        sentence = "The same call twice gives the same embeddings bit for bit."
    else:
        sentence = f"The same call twice gives the same but for rounding ({_far(apart)} apart)."
    return Check(
        name="repeatable",
        passed=not subject.unsteady,
        measured=apart,
        limit=subject.limit,
        sentence=sentence,
    )


def inputs_told_apart(subject: Subject) -> Check:
    """No two of the drawn pictures, and no two of the texts, have the same embedding."""
    nearest = min(_nearest(subject.picture_rows), _nearest(subject.text_rows))
    if not np.isfinite(nearest):
        sentence = "Too few embeddings are made of numbers."
        return Check(name="inputs told apart", passed=None, sentence=sentence)
    is_apart = nearest > _TOLD_APART
    return Check(
        name="inputs told apart",
        passed=is_apart,
        measured=nearest,
        sentence=f"Different pictures and different texts lie at least {_far(nearest)} apart."
        if is_apart
        else "Different pictures, or different texts, have the same embedding.",
    )


def pictures_together(subject: Subject, per_second: float) -> Check:
    """A picture's embedding does not depend on what else is asked, nor on how much."""
    return _together(
        subject,
        "pictures together",
        subject.encode_images,
        inputs=subject.pictures,
        others=drawn_inputs.others(),
        rows=subject.picture_rows,
        many=_several_batches(subject.batches[0], per_second),
    )


def texts_together(subject: Subject, per_second: float) -> Check:
    """A text's embedding does not depend on the texts beside it, however long they are."""
    return _together(
        subject,
        "texts together",
        subject.encode_texts,
        inputs=subject.texts,
        others=drawn_inputs.PROMPTS,
        rows=subject.text_rows,
        many=_several_batches(subject.batches[1], per_second),
    )


def _together(
    subject: Subject,
    name: str,
    encode: Callable[[Sequence[Input]], Rows],
    *,
    inputs: Sequence[Input],
    others: Sequence[Input],
    rows: Rows,
    many: int,
) -> Check:
    if subject.unsteady:
        return Check(name=name, passed=None, sentence=subject.unsteady)
    n = len(inputs)
    alone = np.concatenate([encode([each]) for each in inputs])
    # The longest text is among those replaced, so that padding changes for those kept.
    kept = list(range(1, n, 2))
    mixed = [inputs[k] if k in kept else others[k] for k in range(n)]
    apart = {
        "alone": farthest(alone, rows),
        "in calls of 2 and 3": max(farthest(encode(inputs[:k]), rows[:k]) for k in (2, 3)),
        "in another order": farthest(encode(inputs[::-1])[::-1], rows),
        "beside others": farthest(encode(mixed)[kept], rows[kept]),
    }
    if many:
        asked = list(islice(cycle(kept), many))
        apart[f"in a call of {many}"] = farthest(encode([inputs[k] for k in asked]), rows[asked])
    worst = max(apart.values())
    is_same = worst <= subject.limit
    if is_same:
        *ways, last = apart
        how = f"{', '.join(ways)} and {last}"
        sentence = f"The same {how} ({_far(worst)} apart at most)."
    elif not np.isfinite(worst):
        ways = [way for way, far in apart.items() if not np.isfinite(far)]
        sentence = f"The call decides whether an embedding is made of numbers: {', '.join(ways)}."
    else:
        sentence = (
            f"An embedding moves by up to {_far(worst)}, where rounding moves it by "
            f"{subject.limit:g}: {_listed({way: far for way, far in apart.items() if far > 0})}."
        )
    if not is_same:
        subject.unsteady = "What is beside an input changes its embedding."
    return Check(name=name, passed=is_same, measured=worst, limit=subject.limit, sentence=sentence)


def _several_batches(batch: int, per_second: float) -> int:
    """How many inputs make more than one batch; 0 where they would take too long."""
    return batch + 1 if (batch + 1) / per_second <= _AFFORDABLE else 0


def picture_formats(subject: Subject) -> Check:
    """A picture's embedding does not depend on the format that its pixels are kept in."""
    name = "picture formats"
    if subject.unsteady:
        return Check(name=name, passed=None, sentence=subject.unsteady)
    formats = {each.name: each for each in drawn_inputs.formats()}
    refused = _refused(subject, {key: each.picture for key, each in formats.items()})
    accepted = [each for each in formats.values() if each.name not in refused]
    asked = subject.encode_images([each.picture for each in accepted])
    plain = subject.encode_images([each.plain for each in accepted])
    apart = dict(
        zip((each.name for each in accepted), map(float, distances(asked, plain)), strict=True)
    )
    wrong = {key: far for key, far in apart.items() if far > subject.limit}
    if refused:
        sentence = f"Refused: {_because(refused)}."
    elif wrong:
        sentence = f"Not what the same picture in RGB gives: {_listed(wrong)}."
    else:
        sentence = f"The same as in RGB: {', '.join(formats)}."
    return Check(
        name=name,
        passed=not refused and not wrong,
        measured=max(apart.values(), default=None),
        limit=subject.limit,
        sentence=sentence,
    )


def picture_sizes(subject: Subject) -> Check:
    """Pictures of uncommon sizes are accepted."""
    sizes = drawn_inputs.sizes()
    refused = _refused(subject, sizes)
    return Check(
        name="picture sizes",
        passed=not refused,
        sentence=f"Refused: {_because(refused)}."
        if refused
        else f"Accepted: {', '.join(sizes)} pixels.",
    )


def _refused(subject: Subject, pictures: dict[str, Image]) -> dict[str, str]:
    """Why some of the pictures are not accepted."""
    try:
        subject.encode_images(list(pictures.values()))
    # Whatever a model raises on a picture: asked one by one, it is known which it is.
    except Exception:
        pass
    else:
        return {}
    reasons: dict[str, str] = {}
    for name, picture in pictures.items():
        try:
            subject.encode_images([picture])
        except Exception as problem:
            reasons[name] = f"{type(problem).__name__}: {problem}"
    return reasons


def _nearest(rows: Rows) -> float:
    """The smallest distance between two of the embeddings that are made of numbers."""
    sound = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
    apart = np.linalg.norm(sound[:, None] - sound, axis=2)
    return float(apart[np.triu_indices(len(sound), k=1)].min(initial=np.inf))


def _far(distance: float) -> str:
    return f"{distance:.2g}" if np.isfinite(distance) else "infinitely far"


def _listed(apart: dict[str, float]) -> str:
    return ", ".join(f"{way} {_far(far)}" for way, far in apart.items())


def _because(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name} ({reason.rstrip('.')})" for name, reason in reasons.items())
