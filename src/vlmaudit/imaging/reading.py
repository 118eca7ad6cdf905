"""Who reads text in pictures: RapidOCR, or EasyOCR as in the paper."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.extras import missing_extra
from vlmaudit.imaging.seams import Line, TextReader

_LARGEST: Final = 2000
"""Pixels a side at which a picture is read, at the most."""
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
        return f"RapidOCR {version('rapidocr')}"

    def read(self, picture: Pixels) -> list[Line]:
        shown, scale = _shrunk(picture)
        if min(shown.shape[:2]) < _LEAST:
            return []
        with self._lock:
            found = self._engine(np.ascontiguousarray(shown[..., ::-1]))  # it wants blue first
        if found.txts is None or found.boxes is None:
            return []
        return _ordered(
            [
                _line(text, corners, score, scale)
                for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True)
            ]
        )


class EasyReader:
    """EasyOCR, which the paper used, with weights that the user has."""

    def __init__(self, folder: Path) -> None:
        """Load the networks.

        Raises:
            InputError: The package is not installed, or the weights are not there.
        """
        try:
            import easyocr
        except ImportError as problem:
            raise InputError(
                "--reader easyocr: EasyOCR is not installed: pip install easyocr, and give the "
                "folder of its weights (easyocr:FOLDER)."
            ) from problem
        try:
            self._reader: Any = easyocr.Reader(
                ["en"],
                gpu=False,
                model_storage_directory=str(folder),
                download_enabled=False,
                verbose=False,
            )
        except (OSError, ValueError) as problem:
            raise InputError(
                f"--reader easyocr:{folder}: no weights there; wanted craft_mlt_25k.pth and "
                "english_g2.pth."
            ) from problem
        self._lock = Lock()

    @property
    def name(self) -> str:
        return f"EasyOCR {version('easyocr')}"

    def read(self, picture: Pixels) -> list[Line]:
        shown, scale = _shrunk(picture)
        if min(shown.shape[:2]) < _LEAST:
            return []
        with self._lock:
            found = self._reader.readtext(np.ascontiguousarray(shown[..., ::-1]))
        return _ordered([_line(text, corners, score, scale) for corners, text, score in found])


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


def _shrunk(picture: Pixels) -> tuple[Pixels, float]:
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, _LARGEST / max(height, width))
    if scale == 1:
        return picture, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def _line(text: object, corners: Sequence[Sequence[float]], score: object, scale: float) -> Line:
    places = tuple((float(x) / scale, float(y) / scale) for x, y in corners)
    return Line(str(text), places, float(str(score)))


def _ordered(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (line.corners[0][1], line.corners[0][0]))
