"""Whether hidden faces can still be told apart: what an attacker with a recogniser would get."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Int

from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.extras import missing_extra
from vlmaudit.imaging.seams import Face, FaceRecogniser

_SIDE: Final = 112
_AROUND: Final = 0.15
# Where eyes, nose and mouth stand in the 112 x 112 pictures that such networks are trained on.
_PLACES: Final = (
    (38.3, 51.7),
    (73.5, 51.5),
    (56.0, 71.7),
    (41.5, 92.4),
    (70.7, 92.2),
)
_DLIB_SIDE: Final = 150
# dlib's network was trained on faces whose eyes stand here, in 150 x 150 pixels.
_DLIB_EYES: Final = ((47.7, 47.1), (100.3, 47.1))
FALSE_MATCHES: Final = 0.01
"""Share of pairs of different people that the threshold lets through."""
_LEAST_PAIRS: Final = 100
"""Pairs of different people below which a threshold at 1 % would rest on no pair at all."""


class OnnxRecogniser:
    """A network of ArcFace's kind in ONNX: 1 x 3 x 112 x 112 in, a vector out."""

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
                f"--recogniser onnx:{path}: no such file; give a face recogniser in ONNX that "
                "takes faces of 112 x 112 pixels."
            )
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # the library has no common class for what it says of a file
            said = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise InputError(f"{path}: not an ONNX network ({said}).") from problem
        self._input = self._session.get_inputs()[0]
        if list(self._input.shape[1:]) != [3, _SIDE, _SIDE]:
            raise InputError(
                f"{path}: takes {self._input.shape}; wanted faces of 3 x {_SIDE} x {_SIDE}."
            )
        self._digest = hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()
        self._lock = Lock()

    @property
    def name(self) -> str:
        return f"a face recogniser in ONNX ({self._digest})"

    def describe(self, picture: Pixels, faces: Sequence[Face]) -> Float[np.ndarray, "faces dim"]:
        rows = []
        for face in faces:
            square = aligned(picture, face).astype(np.float32)
            batch = ((square - 127.5) / 127.5).transpose(2, 0, 1)[None]
            with self._lock:
                rows.append(self._session.run(None, {self._input.name: batch})[0].reshape(-1))
        return _unit(np.stack(rows)) if rows else np.empty((0, 0), dtype=np.float32)


class DlibRecogniser:
    """dlib's ResNet, where dlib and its models are installed."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            InputError: It is not installed.
        """
        from importlib.util import find_spec

        models = find_spec("face_recognition_models")
        try:
            import dlib
        except ImportError:
            dlib = None
        if dlib is None or models is None or models.origin is None:
            raise InputError(
                "--recogniser dlib: needs dlib and its models: pip install dlib-bin && pip install "
                "--no-deps face_recognition_models."
            )
        weights = Path(models.origin).parent / "models/dlib_face_recognition_resnet_model_v1.dat"
        self._network: Any = dlib.face_recognition_model_v1(str(weights))
        self._lock = Lock()

    @property
    def name(self) -> str:
        return "dlib's ResNet"

    def describe(self, picture: Pixels, faces: Sequence[Face]) -> Float[np.ndarray, "faces dim"]:
        rows = []
        for face in faces:
            chip = aligned(picture, face, _DLIB_PLACES, _DLIB_SIDE)
            with self._lock:
                rows.append(np.array(self._network.compute_face_descriptor(chip)))
        return _unit(np.stack(rows)) if rows else np.empty((0, 0), dtype=np.float32)


def load_recogniser(spec: str) -> FaceRecogniser:
    """The recogniser that a word names: ``onnx:FILE`` or ``dlib``.

    Raises:
        InputError: There is none of that name, or it cannot be used.
    """
    kind, _, rest = spec.partition(":")
    if kind == "onnx" and rest:
        return OnnxRecogniser(Path(rest))
    if spec == "dlib":
        return DlibRecogniser()
    raise InputError(
        f'--recogniser "{spec}": wanted onnx:FILE or dlib.{did_you_mean(kind, ["onnx", "dlib"])}'
    )


Places = Sequence[tuple[float, float]]


def _moved(places: Places, eyes: Places) -> Places:
    """All five points, scaled and shifted so that the first two, the eyes, stand elsewhere."""
    points = np.array(places)
    (left, top), (right, _) = eyes
    scale = (right - left) / (points[1, 0] - points[0, 0])
    return [(float(x), float(y)) for x, y in (points - points[0]) * scale + (left, top)]


_DLIB_PLACES: Final = _moved(_PLACES, _DLIB_EYES)


def aligned(picture: Pixels, face: Face, places: Places = _PLACES, side: int = _SIDE) -> Pixels:
    """A face as a recogniser wants it: turned and scaled by its points, or else its box.

    Args:
        picture: In which it is.
        face: Where it is.
        places: Where its points are to stand.
        side: Pixels a side.
    """
    import cv2

    if len(face.points) == len(places):
        matrix, _ = cv2.estimateAffinePartial2D(
            np.array(face.points, dtype=np.float64), np.array(places), method=cv2.LMEDS
        )
        if matrix is not None:
            return cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    height, width = picture.shape[:2]
    box = face.box.grown(_AROUND).clipped(width=width, height=height)
    return cv2.resize(np.ascontiguousarray(picture[box.window]), (side, side))


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """Hidden faces against originals.

    Attributes:
        is_verified: Of each hidden face, whether it is as near to its own original as only
            `FALSE_MATCHES` of different people's originals are to one another.
        threshold: The cosine that takes.
        pairs: Pairs of different people that it rests on.
    """

    is_verified: Bool[np.ndarray, " hidden"]
    threshold: float
    pairs: int


def verified(
    originals: Float[np.ndarray, "faces dim"],
    people: Sequence[str],
    which: Int[np.ndarray, " hidden"],
    hidden: Float[np.ndarray, "hidden dim"],
) -> Verified | None:
    """Which hidden faces a recogniser still ties to their original, at 1 % false matches.

    Args:
        originals: Unit vectors of faces as they are.
        people: Whose they are.
        which: Of each hidden face, the place of its original.
        hidden: Unit vectors of the hidden faces.

    Returns:
        None where there are too few pairs of different people for a threshold.
    """
    names = np.array(people)
    cosines = originals @ originals.T
    is_other = np.triu(names[:, None] != names[None, :], 1)
    others = np.sort(cosines[is_other])
    if len(others) < _LEAST_PAIRS:
        return None
    # The largest of those that may pass is just below the threshold.
    allowed = int(np.floor(FALSE_MATCHES * len(others)))
    threshold = float(others[len(others) - 1 - allowed])
    own = np.einsum("hd,hd->h", hidden, originals[which])
    return Verified(own > threshold, threshold, len(others))


def _unit(rows: np.ndarray) -> Float[np.ndarray, "faces dim"]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
