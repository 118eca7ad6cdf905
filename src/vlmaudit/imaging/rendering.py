"""Pictures under conditions: each decoded once, looked at once, and changed step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image

from vlmaudit.data.conditions import Condition, Step
from vlmaudit.imaging import hiding
from vlmaudit.imaging.backgrounds import Backgrounds
from vlmaudit.imaging.blending import blend, paste_back
from vlmaudit.imaging.boxes import Box, Pixels
from vlmaudit.imaging.filling import fill_in
from vlmaudit.imaging.found import Found, FoundCache
from vlmaudit.imaging.people import choose_subject
from vlmaudit.imaging.seams import FaceFinder, FigureFinder, TextReader
from vlmaudit.imaging.text_masks import text_mask
from vlmaudit.results.fingerprint import fingerprint

VERSION: Final = 2
"""Counts changes of what a condition does to pixels: another one is another picture."""

NO_FACE: Final = "no face was found"
NO_PERSON: Final = "no person was found"
"""Why a condition could not take away what it should."""

_WHITE: Final = 255
_GREY: Final = 128
_NEEDS_FACES: Final = ("pixelated", "blurred", "masked", "face-only")
_NEEDS_FIGURE: Final = ("white", "landscape", "own-background", "person-removed")
_NEEDS_TEXT: Final = ("no-text",)


@dataclass(frozen=True, slots=True)
class Finders:
    """Who looks for what in pictures.

    Attributes:
        faces: Finds faces.
        figures: Finds people.
        text: Reads text; None where no condition takes any away.
    """

    faces: FaceFinder
    figures: FigureFinder
    text: TextReader | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A picture under a condition.

    Attributes:
        pixels: What is shown; of the size it had.
        lacks: What was to be taken away and was not found; empty where all was.
    """

    pixels: Pixels
    lacks: str


class Renderer:
    """Shows pictures under conditions; what was found in them is looked for once and kept."""

    def __init__(
        self,
        conditions: Sequence[Condition],
        finders: Finders,
        backgrounds: Backgrounds,
        *,
        cache: FoundCache | None = None,
    ) -> None:
        """Take who looks for what.

        Args:
            conditions: What will be asked for; decides what is looked for.
            finders: Who looks for it.
            backgrounds: What stands behind people under ``landscape``.
            cache: Keeps what was found; None looks every time.
        """
        names = {step.name for condition in conditions for step in condition.steps}
        self._figures = finders.figures if names & set(_NEEDS_FIGURE) else None
        # A person is cut out from the face on, and whose picture it is the largest face says.
        needs_faces = names & {*_NEEDS_FACES, *_NEEDS_FIGURE}
        self._faces = finders.faces if needs_faces else None
        self._text = finders.text if names & set(_NEEDS_TEXT) else None
        assert finders.text is not None or not names & set(_NEEDS_TEXT), "nobody to read text"
        self._backgrounds = backgrounds
        self._cache = cache
        self._finders = fingerprint(
            [each.name if each else "" for each in (self._faces, self._figures, self._text)]
        )

    def name(self, condition: Condition) -> str:
        """Everything that decides what a picture looks like under a condition, but the picture."""
        steps = {step.name for step in condition.steps}
        return fingerprint(
            [
                VERSION,
                condition.text,
                self._faces.name if self._faces and steps & {*_NEEDS_FACES, *_NEEDS_FIGURE} else "",
                self._figures.name if self._figures and steps & set(_NEEDS_FIGURE) else "",
                self._text.name if self._text and steps & set(_NEEDS_TEXT) else "",
                self._backgrounds.name if "landscape" in steps else "",
            ]
        )

    def find(self, pixels: Pixels, digest: str, image: str) -> Found:
        """What is in a picture, as far as the conditions need it.

        Args:
            pixels: The picture.
            digest: Of its bytes.
            image: How tables call it.
        """

        def look() -> Found:
            return self._look(pixels, image)

        # Given boxes and masks go by the picture's name; so a copy of it is another picture.
        return self._cache.get(f"{digest} {image}", self._finders, look) if self._cache else look()

    def render(self, pixels: Pixels, found: Found, condition: Condition, image: str) -> Rendered:
        """A picture under a condition; the picture itself is left as it is.

        Where what a step takes away was not found, that step does nothing, and `lacks` says so.
        """
        lacks: list[str] = []
        shown = pixels
        for step in condition.steps:
            shown, missing = _STEPS[step.name](self, shown, found, step, image)
            lacks += [missing] if missing and missing not in lacks else []
        return Rendered(shown, "; ".join(lacks))

    def faces_left(self, shown: Pixels, found: Found, image: str) -> int | None:
        """How many of the faces that were hidden the same finder still finds in their place.

        None where boxes were given: a table cannot look again.
        """
        assert self._faces is not None and found.faces is not None, "no face was looked for"
        if not self._faces.looks:
            return None
        still = [face.box for face in self._faces.find(shown, image)]
        return sum(
            any(before.box.overlap(after) >= _SAME_PLACE for after in still)
            for before in found.faces
        )

    def _look(self, pixels: Pixels, image: str) -> Found:
        faces = self._faces.find(pixels, image) if self._faces else None
        lines = tuple(self._text.read(pixels)) if self._text else None
        all_faces = None if faces is None else tuple(faces)
        if self._figures is None:
            return Found(faces=all_faces, lines=lines)
        figures = self._figures.find(pixels, faces or (), image)
        height, width = pixels.shape[:2]
        subject = choose_subject(figures, faces or (), width=width, height=height)
        return Found(
            faces=all_faces,
            figures=len(figures),
            subject=subject.why if subject else "",
            mask=figures[subject.place].mask if subject else None,
            lines=lines,
        )

    def _on_colour(self, shown: Pixels, found: Found, step: Step, image: str) -> tuple[Pixels, str]:
        del step, image
        return self._before(shown, found, np.full_like(shown, _WHITE))

    def _on_landscape(
        self, shown: Pixels, found: Found, step: Step, image: str
    ) -> tuple[Pixels, str]:
        del step
        height, width = shown.shape[:2]
        return self._before(shown, found, self._backgrounds.choose(image).fill(width, height))

    @staticmethod
    def _before(shown: Pixels, found: Found, background: Pixels) -> tuple[Pixels, str]:
        if found.mask is None:
            return shown, NO_PERSON
        return blend(shown, found.mask, background), ""

    def _pasted_back(
        self, shown: Pixels, found: Found, step: Step, image: str
    ) -> tuple[Pixels, str]:
        del step, image
        return (shown, NO_PERSON) if found.mask is None else (paste_back(shown, found.mask), "")

    def _person_removed(
        self, shown: Pixels, found: Found, step: Step, image: str
    ) -> tuple[Pixels, str]:
        del step, image
        return (shown, NO_PERSON) if found.mask is None else (fill_in(shown, found.mask), "")

    def _face_hidden(
        self, shown: Pixels, found: Found, step: Step, image: str
    ) -> tuple[Pixels, str]:
        del image
        boxes = [face.box for face in found.faces or ()]
        if not boxes:
            return shown, NO_FACE
        return _HIDING[step.name](shown, boxes, step.parameter), ""

    def _without_text(
        self, shown: Pixels, found: Found, step: Step, image: str
    ) -> tuple[Pixels, str]:
        del step, image
        if not found.lines:  # nothing to read: nothing to take away
            return shown, ""
        height, width = shown.shape[:2]
        return fill_in(shown, text_mask(found.lines, width=width, height=height)), ""

    def _grey(self, shown: Pixels, found: Found, step: Step, image: str) -> tuple[Pixels, str]:
        del found, step, image
        return np.full_like(shown, _GREY), ""


_SAME_PLACE: Final = 0.2
"""Overlap from which a face found afterwards is the one that was hidden; boxes shift a little."""

_Step = Callable[[Renderer, Pixels, Found, Step, str], tuple[Pixels, str]]
_STEPS: Final[Mapping[str, _Step]] = MappingProxyType(
    {
        "white": Renderer._on_colour,
        "landscape": Renderer._on_landscape,
        "own-background": Renderer._pasted_back,
        "person-removed": Renderer._person_removed,
        "face-only": Renderer._face_hidden,
        "pixelated": Renderer._face_hidden,
        "blurred": Renderer._face_hidden,
        "masked": Renderer._face_hidden,
        "no-text": Renderer._without_text,
        "grey": Renderer._grey,
    }
)
_Hide = Callable[[Pixels, Sequence[Box], "float | None"], Pixels]
_HIDING: Final[Mapping[str, _Hide]] = MappingProxyType(
    {
        "face-only": lambda shown, boxes, _: hiding.only(shown, boxes),
        "pixelated": lambda shown, boxes, grid: hiding.pixelate(shown, boxes, int(grid or 0)),
        "blurred": lambda shown, boxes, sigma: hiding.blur(shown, boxes, float(sigma or 0)),
        "masked": lambda shown, boxes, _: hiding.mask(shown, boxes),
    }
)


def pixels_of(picture: Image.Image) -> Pixels:
    """An opened picture as an array."""
    return np.asarray(picture.convert("RGB"))
