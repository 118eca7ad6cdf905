"""Faces as a recogniser describes them: where they are is cached, the vectors never are."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Int
from rich.console import Console

from vlmaudit.data.images import PictureError, open_picture, picture_digest
from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.execution.plan import Picture
from vlmaudit.execution.progress import progress
from vlmaudit.imaging.faces import load_face_finder
from vlmaudit.imaging.found import Found, FoundCache
from vlmaudit.imaging.recognisers import load_recogniser
from vlmaudit.imaging.rendering import pixels_of
from vlmaudit.imaging.seams import FaceFinder, FaceRecogniser
from vlmaudit.imaging.trained_recogniser import TrainedRecogniser

_WORKERS: Final = 2
"""Pictures that are looked at at the same time: finders mostly wait for one another."""
_RECOGNISERS: Final = ("onnx", "dlib", "classifier")


@dataclass(frozen=True, slots=True, eq=False)
class SetFaces:
    """The faces in some pictures of a set.

    Attributes:
        places: In which picture each face is.
        vectors: Unit vectors.
        looked_at: How many pictures were looked at.
        failed: Pictures that could not be, with the reason.
    """

    places: Int[np.ndarray, " faces"]
    vectors: Float[np.ndarray, "faces dim"]
    looked_at: int
    failed: tuple[tuple[int, str], ...]


class FaceReader:
    """Finds faces and describes them."""

    def __init__(self, finder: FaceFinder, recogniser: FaceRecogniser, cache: FoundCache) -> None:
        """Take who finds and who describes; `open_face_reader` is the way here."""
        self._finder = finder
        self._recogniser = recogniser
        self._cache = cache

    @property
    def names(self) -> tuple[str, str]:
        """Who finds faces, and who tells them apart."""
        return self._finder.name, self._recogniser.name

    @property
    def trained_on(self) -> frozenset[str]:
        """Digests of the pictures that the recogniser was trained on, as far as it says."""
        recogniser = self._recogniser
        return recogniser.trained_on if isinstance(recogniser, TrainedRecogniser) else frozenset()

    def largest_faces(
        self, pictures: Sequence[Picture], console: Console
    ) -> dict[int, Float[np.ndarray, " dim"]]:
        """The largest face of each picture, by its place; pictures without one have none."""
        with (
            progress("Faces of people", len(pictures), console) as advance,
            ThreadPoolExecutor(_WORKERS) as pool,
        ):
            found = {}
            rows = pool.map(lambda one: self._vectors(one.path, one.image, most=1), pictures)
            for place, row in enumerate(rows):
                advance(1)
                if not isinstance(row, str) and len(row):
                    found[place] = row[0]
        return found

    def all_faces(
        self, paths: Mapping[int, Path], images: Mapping[int, str], console: Console
    ) -> SetFaces:
        """Every face of some pictures of a set.

        Args:
            paths: The files, by their place in the set.
            images: How tables call them.
            console: Where progress goes.
        """
        places: list[int] = []
        vectors: list[Float[np.ndarray, "faces dim"]] = []
        failed: list[tuple[int, str]] = []
        with (
            progress("Faces in candidates", len(paths), console) as advance,
            ThreadPoolExecutor(_WORKERS) as pool,
        ):
            rows = pool.map(lambda place: self._vectors(paths[place], images[place]), paths)
            for place, row in zip(paths, rows, strict=True):
                advance(1)
                if isinstance(row, str):
                    failed.append((place, row))
                elif len(row):
                    places += [place] * len(row)
                    vectors.append(row)
        return SetFaces(
            np.array(places, dtype=np.int64),
            np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32),
            len(paths) - len(failed),
            tuple(failed),
        )

    def _vectors(
        self, path: Path, image: str, *, most: int | None = None
    ) -> Float[np.ndarray, "faces dim"] | str:
        """The faces of a picture, largest first, or why it could not be looked at."""
        try:
            pixels = pixels_of(open_picture(path))
            # A table of boxes goes by the picture's name, whatever its bytes.
            found = self._cache.get(
                picture_digest(path),
                f"{self._finder.name} in {image}",
                lambda: Found(faces=tuple(self._finder.find(pixels, image))),
            )
        except PictureError as problem:
            return str(problem)
        return self._recogniser.describe(pixels, (found.faces or ())[:most])


def open_face_reader(recogniser: str, faces: str, *, device: str = "cpu") -> FaceReader:
    """Load who finds faces and who tells them apart.

    Args:
        recogniser: ``onnx:FILE``, ``dlib``, or ``classifier:FOLDER`` for a network that
            ``vlmaudit images train-recogniser`` trained.
        faces: As for `load_face_finder`.
        device: Where a trained network runs.

    Raises:
        AuditError: One of them, or the device, cannot be used.
    """
    kind, _, rest = recogniser.partition(":")
    tells_apart: FaceRecogniser
    if kind == "classifier" and rest:
        from vlmaudit.models.devices import pick_device
        from vlmaudit.models.loading import ModelSpec

        place = pick_device(ModelSpec(recogniser, kind), device)
        tells_apart = TrainedRecogniser(Path(rest).expanduser(), device=str(place))
    elif recogniser != "dlib" and (kind != "onnx" or not rest):
        raise InputError(
            f'--recogniser "{recogniser}": wanted onnx:FILE, dlib or classifier:FOLDER.'
            f"{did_you_mean(kind, _RECOGNISERS)}"
        )
    else:
        tells_apart = load_recogniser(recogniser)
    return FaceReader(load_face_finder(faces), tells_apart, FoundCache())
