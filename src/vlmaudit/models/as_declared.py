"""Whether a model is put together as its checkpoint's files say."""

from typing import Final

import numpy as np

from vlmaudit.models.base import Construction, Inspectable
from vlmaudit.models.subject import Subject, farthest
from vlmaudit.results.self_test import Check

_FILES: Final = "The checkpoint's files"
# Of pixel values from 0 to 1: half a step of 8 bit, and more than files round their numbers by.
_PIXEL: Final = 2e-3


def as_declared(subject: Subject) -> list[Check]:
    """Activations and preprocessing of pictures: what the files say against what is done."""
    model = subject.model
    said, done = (
        (model.said(), model.done())
        if isinstance(model, Inspectable)
        else (Construction(), Construction())
    )
    return [
        _same("image activation", said.image_activation, done.image_activation),
        _same("text activation", said.text_activation, done.text_activation),
        _normalisation(said, done),
        _same("colour channels", said.channels, done.channels),
        _same("image size", _size(said), _size(done)),
    ]


def full_text_length(subject: Subject) -> Check:
    """Stopping early leaves the embeddings of texts as they are."""
    name = "full text length"
    model = subject.model
    if subject.unsteady:
        return Check(name=name, passed=None, sentence=subject.unsteady)
    if not isinstance(model, Inspectable):
        sentence = "Whether texts are cut short cannot be seen from outside."
        return Check(name=name, passed=None, sentence=sentence)
    full = model.encode_texts_in_full(subject.texts)
    if full is None:
        sentence = "Texts are always encoded at full length: nothing is cut short."
        return Check(name=name, passed=None, sentence=sentence)
    # Each by itself, since a call goes as far as its longest text.
    alone = np.concatenate([subject.encode_texts([text]) for text in subject.texts])
    apart = farthest(full, alone)
    is_same = apart <= subject.limit
    return Check(
        name=name,
        passed=is_same,
        measured=apart,
        limit=subject.limit,
        sentence=f"Stopping at a text's end leaves its embedding as it is ({apart:.2g} apart)."
        if is_same
        else f"Stopping at a text's end moves its embedding by {apart:.2g}.",
    )


def _same(name: str, said: str | None, done: str | None) -> Check:
    if said is None or done is None:
        return Check(name=name, passed=None, sentence=_unknown(said, done))
    return Check(
        name=name,
        passed=said == done,
        sentence=f"{_FILES} say {said}, and the loaded model agrees."
        if said == done
        else f"{_FILES} say {said}, but the loaded model has {done}: nobody trained it so.",
    )


def _normalisation(said: Construction, done: Construction) -> Check:
    name = "normalisation"
    wanted, found = _shown(said), _shown(done)
    if wanted is None or found is None:
        return Check(name=name, passed=None, sentence=_unknown(wanted, found))
    assert said.mean and said.std and done.mean and done.std
    pairs = zip((*said.mean, *said.std), (*done.mean, *done.std), strict=True)
    apart = max(abs(one - other) for one, other in pairs)
    is_same = apart <= _PIXEL
    return Check(
        name=name,
        passed=is_same,
        measured=apart,
        limit=_PIXEL,
        sentence=f"{_FILES} say {wanted}, and the loaded model agrees."
        if is_same
        else f"{_FILES} say {wanted}, but the loaded model has {found}: pictures reach it "
        "otherwise than in its training.",
    )


def _unknown(said: str | None, done: str | None) -> str:
    if said is not None:
        return f"{_FILES} say {said}; the loaded model does not show it."
    if done is not None:
        return f"{_FILES} do not say; the loaded model has {done}."
    return "Neither files nor the loaded model tell."


def _shown(construction: Construction) -> str | None:
    if construction.mean is None or construction.std is None:
        return None
    return f"mean {_numbers(construction.mean)} and std {_numbers(construction.std)}"


def _numbers(numbers: tuple[float, ...]) -> str:
    shown = [f"{number:.3g}" for number in numbers]
    return shown[0] if len(set(shown)) == 1 else " ".join(shown)


def _size(construction: Construction) -> str | None:
    if construction.image_size is None:
        return None
    height, width = construction.image_size
    return f"{width} x {height} pixels"
