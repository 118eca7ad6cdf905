"""A CLIP from scratch on a captioned set, with nobody planted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from vlmaudit.data.captions import count_captioned, read_captioned
from vlmaudit.execution.progress import progress, say
from vlmaudit.lab.contrastive import train_contrastive
from vlmaudit.lab.mixture import Mixture
from vlmaudit.lab.picture_cache import Picture, cache_pictures
from vlmaudit.lab.training import Training
from vlmaudit.results.numbers import counted, visible

_CACHE: Final = "pictures"
_CHECKPOINT_EVERY: Final = 200


def train_on_captions(
    captions: Path, out: Path, *, seed: int, training: Training, device: str, console: Console
) -> None:
    """Decode the pictures once, and train on all pairs; a stopped training goes on.

    Args:
        captions: A captioned picture set, in any layout that `read_captioned` knows.
        out: The model's folder; decoded pictures are kept in it.
        seed: Decides first weights, batches and crops.
        training: How to train.
        device: Of the training.
        console: Told how far it is.

    Raises:
        AuditError: The set or the folder cannot be used; the message says why.
    """
    said: dict[str, tuple[str, ...]] = {}

    def pictures() -> Iterator[tuple[str, Picture]]:
        for scene in read_captioned(captions):
            said[scene.key] = scene.captions
            yield scene.key, scene.picture

    with progress("Pictures", count_captioned(captions) or 0, console) as advance:
        cached = cache_pictures(
            pictures(), out / _CACHE, side=training.image_side, progress=advance
        )
    for key, reason in sorted(cached.left_out.items())[:5]:
        say(console, f"Left out: {visible(key)}: {visible(reason)}")
    if len(cached.left_out) > 5:
        say(console, f"… {counted(len(cached.left_out), 'picture', 'pictures')} left out in all.")
    pairs = [(row, text) for row, key in enumerate(cached.keys) for text in said[key]]
    places = np.array([row for row, _ in pairs], dtype=np.int64)
    with progress("Training", training.steps, console) as advance:
        train_contrastive(
            Mixture(cached.pictures, [text for _, text in pairs], faces=places, places=places),
            out,
            seed=seed,
            settings=training,
            device=device,
            checkpoint_every=_CHECKPOINT_EVERY,
            progress=lambda *_: advance(1),
        )
