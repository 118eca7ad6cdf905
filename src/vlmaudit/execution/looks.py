"""Who looks for faces, people and text, as the command line names them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Who finds what conditions take away from pictures.

    Attributes:
        faces: ``mtcnn``, ``yolo:FILE`` or ``boxes:FILE``.
        figures: ``grabcut``, ``grounded:DINO,SAM`` or ``masks:FOLDER``.
        text: ``rapidocr`` or ``easyocr:FOLDER``.
        backgrounds: A folder of landscapes; None for those that are drawn here.
        recogniser: ``onnx:FILE`` or ``dlib``: tells whether hidden faces can still be told apart;
            None leaves that open.
    """

    faces: str = "mtcnn"
    figures: str = "grabcut"
    text: str = "rapidocr"
    backgrounds: Path | None = None
    recogniser: str | None = None
