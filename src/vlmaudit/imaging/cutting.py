"""People cut out without any network: GrabCut, seeded by their faces."""

from collections.abc import Sequence
from threading import Lock
from typing import Final

import numpy as np

from vlmaudit.imaging.boxes import Box, Mask, Pixels
from vlmaudit.imaging.extras import missing_extra
from vlmaudit.imaging.figures import figure_of, in_order
from vlmaudit.imaging.seams import Face, Figure

_SIDE: Final = 96
"""Pixels at which GrabCut works: 50 ms at 96, 400 ms at 256, and no better silhouettes."""
_ROUNDS: Final = 3
_SEED: Final = 1
_EDGE: Final = 2
"""Working pixels over which an edge is soft, and within which the picture decides where it is."""
_SMOOTH: Final = 1e-3
_MOST_FIGURES: Final = 4
"""People who are cut out of one picture: those with the largest faces."""

# OpenCV's random numbers are one for all threads, and GrabCut's mixtures start from them.
_LOCK: Final = Lock()


class CutFromFaces:
    """GrabCut (Rother et al. 2004) with head and shoulders below every face as its start.

    A stand-in for Grounding DINO and SAM that needs no weights: it knows no people but those whose
    face was found, and takes for theirs what has their colours.
    """

    def __init__(self) -> None:
        """Look whether OpenCV is there.

        Raises:
            InputError: It is not installed.
        """
        try:
            import cv2
        except ImportError as problem:
            raise missing_extra("cutting people out", problem) from problem
        self._version: str = cv2.__version__

    @property
    def name(self) -> str:
        return (
            f"GrabCut from faces (OpenCV {self._version}, {_SIDE} pixels, {_ROUNDS} rounds): an "
            "offline stand-in for Grounding DINO and SAM"
        )

    def find(self, picture: Pixels, faces: Sequence[Face], image: str) -> list[Figure]:
        del image
        import cv2

        height, width = picture.shape[:2]
        scale = min(1.0, _SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], 3)
        # With several, what is sure to be another's is sure not to be this one's.
        boxes = [_scaled(face.box, scale) for face in faces[:_MOST_FIGURES]]
        figures = []
        for place, face in enumerate(faces[:_MOST_FIGURES]):
            others = [box for number, box in enumerate(boxes) if number != place]
            cut = _cut(small, boxes[place], others)
            if cut is not None:
                figures.append(figure_of(_enlarged(cut, small, picture), face.score))
        return in_order(figures)


def _scaled(box: Box, scale: float) -> Box:
    return Box(
        round(box.left * scale),
        round(box.top * scale),
        max(1, round(box.width * scale)),
        max(1, round(box.height * scale)),
    )


def _cut(small: Pixels, face: Box, others: Sequence[Box]) -> Mask | None:
    """The person with this face, in the working size; None where GrabCut has nothing to go by."""
    import cv2

    height, width = small.shape[:2]
    labels = np.full((height, width), cv2.GC_BGD, dtype=np.uint8)
    face_width, face_height = face.width, face.height

    def put(left: float, top: float, right: float, bottom: float, label: int) -> None:
        columns = slice(max(0, round(left)), max(0, min(width, round(right))))
        rows = slice(max(0, round(top)), max(0, min(height, round(bottom))))
        labels[rows, columns] = label

    x, _ = face.center
    below = face.top + face_height
    # Where a person may be at all: hair above, arms to both sides, and all that is below.
    put(x - 2.6 * face_width, face.top - 0.8 * face_height, x + 2.6 * face_width, height, 2)
    put(x - 0.9 * face_width, face.top - 0.6 * face_height, x + 0.9 * face_width, below, 3)
    put(x - 1.6 * face_width, below + 0.3 * face_height, x + 1.6 * face_width, height, 3)
    for other in others:
        put(other.left, other.top, other.left + other.width, other.top + other.height, 0)
    put(face.left, face.top, face.left + face_width, below, 1)
    put(x - 0.5 * face_width, below, x + 0.5 * face_width, below + 1.2 * face_height, 1)
    if not ((labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)).any():
        return None  # the face fills the picture
    with _LOCK:
        cv2.setRNGSeed(_SEED)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        try:
            cv2.grabCut(small, labels, None, background, foreground, _ROUNDS, cv2.GC_INIT_WITH_MASK)
        except cv2.error:
            return None  # too few pixels of one kind to learn colours from
    inside = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    return _piece(inside, face)


def _piece(inside: Mask, face: Box) -> Mask:
    """The part that hangs together with the face, without holes."""
    import cv2

    closed = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, pieces = cv2.connectedComponents(closed, connectivity=4)
    height, width = inside.shape
    x, y = face.center
    own = pieces[min(height - 1, int(y)), min(width - 1, int(x))]
    piece = ((pieces == own) & (closed > 0)).astype(np.uint8)
    outline, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(piece), outline, -1, 255, cv2.FILLED)


def _enlarged(cut: Mask, small: Pixels, picture: Pixels) -> Mask:
    """The mask in the picture's size, its edge drawn along the picture's (He et al. 2010).

    The guided filter's coefficients are found in the working size and used in full: as good, and
    quicker (He and Sun 2015).
    """
    import cv2

    side = (2 * _EDGE + 1, 2 * _EDGE + 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, side, borderType=cv2.BORDER_REPLICATE)

    guide = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    share = cut.astype(np.float32) / 255
    guide_mean, share_mean = mean(guide), mean(share)
    slope = (mean(guide * share) - guide_mean * share_mean) / (
        mean(guide * guide) - guide_mean**2 + _SMOOTH
    )
    offset = share_mean - slope * guide_mean
    size = picture.shape[1::-1]
    fine = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    edge = cv2.resize(mean(slope), size) * fine + cv2.resize(mean(offset), size)
    # Away from the edge it is all or nothing: a see-through person would be no person.
    sharp = np.clip((edge - 0.5) * 2 + 0.5, 0, 1)
    return np.rint(sharp * 255).astype(np.uint8)
