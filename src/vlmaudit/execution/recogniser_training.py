"""A face recogniser of the study's own people: from a folder of pictures to one of weights."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from vlmaudit.data.identities import People, read_people
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import InputError
from vlmaudit.execution.plan import Picture
from vlmaudit.execution.progress import progress
from vlmaudit.execution.rendering import empty_or_ours
from vlmaudit.execution.running import list_all
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.faces import load_face_finder
from vlmaudit.imaging.recognisers import aligned
from vlmaudit.imaging.rendering import pixels_of
from vlmaudit.imaging.seams import FaceFinder
from vlmaudit.imaging.trained_recogniser import RECORD, SIDE, WEIGHTS
from vlmaudit.lab.checkpoints import write_tensors
from vlmaudit.lab.recogniser_training import LEAST_PICTURES, RecogniserTraining, train_recogniser
from vlmaudit.results.files import write_text
from vlmaudit.results.records import Estimate


@dataclass(frozen=True, slots=True)
class RecogniserFolder:
    """What was written.

    Attributes:
        people: How many the network tells apart.
        trained_on: Pictures that it was trained on.
        held_out: Pictures that it was not.
        accuracy: Share of held-out pictures that it gives to their person, by person.
        without_face: Pictures left out: no face was found, or they could not be read.
    """

    people: int
    trained_on: int
    held_out: int
    accuracy: Estimate
    without_face: int


def train_recogniser_folder(
    people: Path,
    out: Path,
    settings: RecogniserTraining,
    *,
    faces: str,
    device: str,
    console: Console,
) -> RecogniserFolder:
    """Train a recogniser, and write it with its held-out accuracy for ``classifier:FOLDER``.

    Args:
        people: Whom it shall tell apart.
        out: Gets the weights and what they are; its owner's alone, since they know faces.
        settings: How it is trained.
        faces: Who finds faces; the largest in a picture counts.
        device: Where the network runs.
        console: Where progress goes.

    Raises:
        AuditError: People, finder, weights or folder cannot be used; the message says why.
    """
    finder = load_face_finder(faces)
    found = read_people(people)
    _check(found, {one.identity: len(found.pictures[one.identity]) for one in found.persons}, "")
    empty_or_ours(out, RECORD)
    listed, _ = list_all(found, None, console)
    pictures, crops = _cut(listed, finder, console)
    number = {one.identity: place for place, one in enumerate(found.persons)}
    owners = [number[one.identity] for one in pictures]
    counts = np.bincount(owners, minlength=len(number)).tolist()
    _check(found, dict(zip(number, counts, strict=True)), " in which a face was found")
    with ExitStack() as stack:

        def begin(steps: int) -> Callable[[int], None]:
            return stack.enter_context(progress("Training", steps, console))

        trained = train_recogniser(
            np.stack(crops),
            owners,
            [one.image for one in pictures],
            settings,
            device=device,
            begin=begin,
        )
    # Of a recogniser that was there before: a folder is never half of one and half of another.
    (out / RECORD).unlink(missing_ok=True)
    write_tensors(out / WEIGHTS, trained.network.state_dict())
    record = {
        "schema": 1,
        "architecture": settings.architecture,
        "weights": hashlib.blake2b((out / WEIGHTS).read_bytes(), digest_size=16).hexdigest(),
        "started_from": settings.weights.name if settings.weights else "",
        "people": list(number),
        "steps": trained.steps,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "faces_found_by": finder.name,
        "held_out_accuracy": trained.accuracy.model_dump(),
        "held_out": [pictures[place].image for place in trained.held_out],
        "without_held_out": [found.persons[place].identity for place in trained.without],
        "trained_on": [pictures[place].digest for place in trained.trained],
    }
    write_text(out / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return RecogniserFolder(
        people=len(number),
        trained_on=len(trained.trained),
        held_out=len(trained.held_out),
        accuracy=trained.accuracy,
        without_face=len(listed) - len(pictures),
    )


def _check(people: People, counts: dict[str, int], which: str) -> None:
    """Refuse people with too few pictures, and a study of one.

    Raises:
        InputError: There is somebody with too few.
    """
    few = [identity for identity, number in counts.items() if number < LEAST_PICTURES]
    if few:
        raise InputError(
            f"{people.root}: {len(few)} of {len(counts)} people have fewer than {LEAST_PICTURES} "
            f'pictures{which}, such as "{few[0]}" with {counts[few[0]]}; add pictures, or leave '
            "them out."
        )
    if len(counts) < 2:
        raise InputError(f"{people.root}: one person cannot be told apart from others; add some.")


def _cut(
    listed: Sequence[Picture], finder: FaceFinder, console: Console
) -> tuple[list[Picture], list[Pixels]]:
    """The largest face of every picture in which there is one."""
    pictures: list[Picture] = []
    crops: list[Pixels] = []
    with progress("Looking for faces", len(listed), console) as advance:
        for picture in listed:
            advance(1)
            try:
                pixels = pixels_of(open_picture(picture.path))
                found = finder.find(pixels, picture.image)
            except PictureError:
                continue
            if found:
                pictures.append(picture)
                crops.append(aligned(pixels, found[0], side=SIDE))
    return pictures, crops
