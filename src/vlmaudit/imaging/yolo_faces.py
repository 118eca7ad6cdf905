"""Faces by a YOLOv8-face network that the user has, as the paper did."""

import hashlib
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from vlmaudit.errors import InputError
from vlmaudit.imaging.boxes import Box, Pixels
from vlmaudit.imaging.extras import missing_extra
from vlmaudit.imaging.merging import merged
from vlmaudit.imaging.seams import Face

_SIDE: Final = 640
_SURE: Final = 0.25
_GREY: Final = 114
_BOX_AND_SCORE: Final = 5
_POINTS: Final = 5


class YoloFaces:
    """A YOLOv8-face network in ONNX, on the CPU.

    The weights are the user's own: they come under the AGPL, and nothing of them is in here.
    Expected are an input of 1 x 3 x 640 x 640 and an output of 1 x (5 or 20) x candidates: centre,
    size and score, then five points with how visible each is.
    """

    def __init__(self, path: Path) -> None:
        """Load the network.

        Raises:
            InputError: The file is missing, or holds another kind of network.
        """
        try:
            import onnxruntime
        except ImportError as problem:
            raise missing_extra("running a network", problem) from problem
        if not path.is_file():
            raise InputError(
                f"--faces yolo:{path}: no such file; export YOLOv8-face weights to ONNX, or use "
                "mtcnn, which needs none."
            )
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # the library has no common class for what it says of a file
            raise InputError(f"{path}: not an ONNX network ({_first_line(problem)}).") from problem
        (self._input, *others) = self._session.get_inputs()
        wanted = [1, 3, _SIDE, _SIDE]
        fits = all(
            not isinstance(given, int) or given == want
            for given, want in zip(self._input.shape, wanted, strict=False)
        )
        if others or len(self._input.shape) != len(wanted) or not fits:
            raise InputError(
                f"{path}: takes {self._input.shape}; wanted a YOLOv8-face network exported for "
                f"{wanted}."
            )
        self._path = path
        self._digest = hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()
        self._lock = Lock()

    @property
    def name(self) -> str:
        return f"YOLOv8-face ({self._digest}), faces from a score of {_SURE}"

    @property
    def looks(self) -> bool:
        return True

    def find(self, picture: Pixels, image: str) -> list[Face]:
        del image
        height, width = picture.shape[:2]
        square, scale = _letterboxed(picture)
        batch = square.transpose(2, 0, 1)[None].astype(np.float32) / 255
        with self._lock:
            (rows, *_) = self._session.run(None, {self._input.name: batch})
        if rows.ndim != 3 or rows.shape[1] not in {
            _BOX_AND_SCORE,
            _BOX_AND_SCORE + 3 * _POINTS,
        }:
            raise InputError(
                f"{self._path}: answers {list(rows.shape)}; wanted 1 x 5 or 1 x 20 rows of "
                "candidates, as YOLOv8-face gives."
            )
        candidates = rows[0].T
        sure = candidates[candidates[:, 4] >= _SURE]
        faces = [_face(row, scale, width, height) for row in sure]
        return merged([face for face in faces if face.box.area])


def _letterboxed(picture: Pixels) -> tuple[Pixels, float]:
    """The picture in the upper left of a grey square, and how it was scaled."""
    import cv2

    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    down, across = max(1, round(height * scale)), max(1, round(width * scale))
    square = np.full((_SIDE, _SIDE, 3), _GREY, dtype=np.uint8)
    square[:down, :across] = cv2.resize(picture, (across, down)).reshape(down, across, 3)
    return square, scale


def _face(row: Float[np.ndarray, " values"], scale: float, width: int, height: int) -> Face:
    x, y, across, down = (float(value) / scale for value in row[:4])
    box = Box(round(x - across / 2), round(y - down / 2), round(across), round(down))
    points = row[_BOX_AND_SCORE:].reshape(-1, 3)[:, :2] / scale
    return Face(
        box.clipped(width=width, height=height),
        float(min(1.0, row[4])),
        tuple((float(px), float(py)) for px, py in points),
    )


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
