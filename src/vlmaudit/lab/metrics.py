"""What a target model has learnt besides people: Table 2 of the IDIA paper.

Zero-shot accuracy on labelled pictures, and how often a picture finds its own caption. The paper
has ImageNet and the validation pairs of CC3M; any folder of labelled pictures and any held-out
pairs do, though numbers compare only between models asked alike.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from vlmaudit.data.images import PictureError, is_picture, open_picture
from vlmaudit.errors import InputError, ModelError
from vlmaudit.lab.hit_rates import HitRate, Retrieval, ZeroShot
from vlmaudit.lab.mixture import Mixture
from vlmaudit.models.base import ContrastiveModel
from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson

CLASS_TEMPLATES: Final = ("a photo of a {class}",)

_AT_ONCE: Final = 256  # pictures
_METHOD: Final = "Clopper-Pearson"

Advance = Callable[[int], object]
"""Told how many more pictures are done."""


def open_clip_templates() -> tuple[str, ...]:
    """The 80 sentences in which open_clip asks for a class of ImageNet."""
    import open_clip

    return tuple(fill("{class}") for fill in open_clip.OPENAI_IMAGENET_TEMPLATES)


def zero_shot(
    model: ContrastiveModel,
    folder: Path,
    *,
    templates: Sequence[str] = CLASS_TEMPLATES,
    advance: Advance = lambda _: None,
) -> ZeroShot:
    """Zero-shot accuracy on a folder that has a folder a class.

    A class is called as its folder, blanks for underscores, and is the mean direction of its
    sentences, as in open_clip. A picture is right at k if fewer than k other classes fit at least
    as well as its own: ties count against the model.

    Args:
        model: The model.
        folder: The labelled pictures.
        templates: Sentences with ``{class}`` in them.
        advance: Told of every picture.

    Raises:
        InputError: There are fewer than two classes, or none of the pictures can be read.
        ModelError: The model gives a class no direction.
    """
    pictures = _labelled(folder)
    names = sorted(pictures)
    sentences = [
        template.replace("{class}", name.replace("_", " "))
        for name in names
        for template in templates
    ]
    rows = model.encode_texts(sentences).reshape(len(names), len(templates), -1)
    directions = _unit(rows.mean(axis=1))
    if not np.isfinite(directions).all():
        raise ModelError(f"{model.record.name}: gives no direction to some class of {folder}.")
    labelled = [(path, label) for label, name in enumerate(names) for path in pictures[name]]
    failed: dict[str, int] = {}
    ranks = []
    for part in _parts(len(labelled)):
        opened = []
        for path, label in labelled[part]:
            try:
                opened.append((open_picture(path), label))
            except PictureError as problem:
                _count(failed, str(problem))
        if opened:
            labels = np.array([label for _, label in opened])
            scores = model.encode_images([picture for picture, _ in opened]) @ directions.T
            of_own = scores[np.arange(len(labels)), labels]
            ranks.append(_ranks(scores, of_own, np.ones(scores.shape, dtype=bool), failed) - 1)
        advance(part.stop - part.start)
    places = _asked(ranks, folder)
    n = len(names)
    return ZeroShot(
        top1=_hits(places, 1, chance=1 / n),
        top5=_hits(places, 5, chance=min(1.0, 5 / n)),
        classes=n,
        failed=failed,
    )


def image_to_text(
    model: ContrastiveModel, held_out: Mixture, *, advance: Advance = lambda _: None
) -> Retrieval:
    """Rank@1 and rank@5 from pictures to captions on pairs that were not trained on.

    Each picture is asked once, however many captions it has, and chooses among all different
    captions of all pictures. It is right at k if fewer than k captions that are not its own fit
    at least as well as the best of its own. So a caption that two pictures share is right for
    both, and ties with others' captions count against the model. With one caption a picture this
    is the usual recall at k.

    Args:
        model: The model.
        held_out: Pairs; whose faces they show plays no role.
        advance: Told of every picture.

    Raises:
        InputError: There is but one caption, or no picture can be asked.
        ModelError: The model gives a caption no direction.
    """
    texts, numbers = np.unique(np.array(held_out.captions, dtype=object), return_inverse=True)
    if len(texts) < 2:
        raise InputError("held-out pairs: all captions are the same; there is nothing to choose.")
    directions = model.encode_texts([str(text) for text in texts])
    if not np.isfinite(directions).all():
        raise ModelError(f"{model.record.name}: gives no direction to some held-out caption.")
    places, queries = np.unique(held_out.places, return_inverse=True)
    pairs = np.unique(np.stack([queries, numbers], axis=1), axis=0)
    failed: dict[str, int] = {}
    ranks = []
    for part in _parts(len(places)):
        pictures = [Image.fromarray(held_out.pictures[place]) for place in places[part]]
        scores = model.encode_images(pictures) @ directions.T
        is_own = np.zeros(scores.shape, dtype=bool)
        here = pairs[(pairs[:, 0] >= part.start) & (pairs[:, 0] < part.stop)]
        is_own[here[:, 0] - part.start, here[:, 1]] = True
        of_own = np.where(is_own, scores, -np.inf).max(axis=1)
        ranks.append(_ranks(scores, of_own, ~is_own, failed))
        advance(part.stop - part.start)
    found = _asked(ranks, "held-out pairs")
    own = np.bincount(pairs[:, 0])
    return Retrieval(
        rank1=_hits(found, 1, chance=_chance(own, len(texts), 1)),
        rank5=_hits(found, 5, chance=_chance(own, len(texts), 5)),
        captions=len(texts),
        failed=failed,
    )


def _labelled(folder: Path) -> Mapping[str, list[Path]]:
    """The pictures of each class that has any."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    found = {
        child.name: sorted(path for path in child.iterdir() if is_picture(path))
        for child in folder.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    }
    classes = {name: paths for name, paths in found.items() if paths}
    if len(classes) < 2:
        raise InputError(f"{folder}: needs a folder of pictures for each of two classes or more.")
    return classes


def _parts(n: int) -> Iterator[slice]:
    for start in range(0, n, _AT_ONCE):
        yield slice(start, min(n, start + _AT_ONCE))


def _unit(rows: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
    with np.errstate(invalid="ignore"):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _ranks(
    scores: Float[np.ndarray, "pictures choices"],
    of_own: Float[np.ndarray, " pictures"],
    takes_part: Bool[np.ndarray, "pictures choices"],
    failed: dict[str, int],
) -> Int[np.ndarray, " asked"]:
    """How many choices that take part fit at least as well as the own.

    Pictures whose scores are no numbers are counted among the failed instead.
    """
    is_number = np.isfinite(scores).all(axis=1)
    if not is_number.all():
        _count(failed, "the model gave no direction", int((~is_number).sum()))
    above = (scores >= of_own[:, None]) & takes_part
    return above[is_number].sum(axis=1)


def _count(failed: dict[str, int], reason: str, n: int = 1) -> None:
    failed[reason] = failed.get(reason, 0) + n


def _asked(ranks: Sequence[Int[np.ndarray, " asked"]], what: object) -> Int[np.ndarray, " asked"]:
    together = np.concatenate([*ranks, np.empty(0, dtype=np.int64)])
    if not len(together):
        raise InputError(f"{what}: none of the pictures could be asked.")
    return together


def _hits(ranks: Int[np.ndarray, " asked"], k: int, *, chance: float) -> HitRate:
    """The share of pictures before whose own choice there are fewer than k others."""
    n = len(ranks)
    if chance >= 1:
        nothing = Estimate(value=None, low=None, high=None, n=n, method=_METHOD, unit="picture")
        return HitRate(rate=nothing, chance=1.0)
    hits = int((ranks < k).sum())
    interval = clopper_pearson(hits, n)
    rate = Estimate(
        value=hits / n, low=interval.low, high=interval.high, n=n, method=_METHOD, unit="picture"
    )
    return HitRate(rate=rate, chance=chance)


def _chance(own: Int[np.ndarray, " pictures"], n: int, k: int) -> float:
    """How often one of a picture's own captions is among k drawn from all, on average."""
    k = min(k, n)
    missed = [math.comb(n - int(of_own), k) / math.comb(n, k) for of_own in own]
    return float(1 - np.mean(missed))
