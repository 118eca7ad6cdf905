"""Pictures of a run under its conditions: what was found in them, and showing them."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from PIL import Image
from rich.console import Console

from vlmaudit.audits.asking import open_case
from vlmaudit.audits.condition_rows import SCHEMA
from vlmaudit.data.conditions import ORIGINAL, Condition, parse_condition
from vlmaudit.data.images import PictureError, open_picture, picture_digest
from vlmaudit.execution.looks import Looks
from vlmaudit.execution.plan import Picture
from vlmaudit.execution.progress import progress, say
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.found import MOST_BYTES, Found, FoundCache
from vlmaudit.imaging.recognisers import verified
from vlmaudit.imaging.rendering import Finders, Renderer, pixels_of
from vlmaudit.imaging.seams import FaceRecogniser
from vlmaudit.models.base import Failed
from vlmaudit.results.cases import Case
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.numbers import size

_WORKERS: Final = 2
"""Pictures that are changed at the same time: finders mostly wait for one another."""


class Conditions:
    """The conditions of a run, and who makes pictures look so."""

    def __init__(
        self,
        texts: Sequence[str],
        renderer: Renderer,
        finders: Finders,
        *,
        cache: FoundCache,
        recogniser: FaceRecogniser | None,
    ) -> None:
        """Take conditions in canonical form; `open_conditions` is the way here."""
        self._conditions = [parse_condition(text) for text in texts]
        self._renderer = renderer
        self._finders = finders
        self._cache = cache
        self._recogniser = recogniser

    @property
    def notices(self) -> tuple[str, ...]:
        """Who looked for what, for the reader."""
        takes = frozenset[str]().union(*(each.takes for each in self._conditions))
        found = [f"Faces were found by {self._finders.faces.name}."]
        if takes & {"background", "person"}:
            found.append(f"People were cut out by {self._finders.figures.name}.")
        if "text" in takes and self._finders.text is not None:
            found.append(f"Text was read by {self._finders.text.name}.")
        if self._recogniser is not None:
            found.append(f"Hidden faces were compared by {self._recogniser.name}.")
        elif "face" in takes:
            found.append(
                "Whether hidden faces can still be told apart by a face recogniser was not looked "
                "at (--recogniser)."
            )
        return tuple(found)

    def under_all(self, pictures: Iterable[Picture]) -> list[Picture]:
        """Every picture under every condition; as it is, it stays what it was."""
        names = [(each, self._renderer.name(each)) for each in self._conditions]
        return [
            picture
            if condition.text == ORIGINAL
            else replace(
                picture,
                digest=fingerprint([picture.digest, name, picture.image]),
                condition=condition.text,
            )
            for picture in pictures
            for condition, name in names
        ]

    def look(
        self, pictures: Sequence[Picture], known: pl.DataFrame | None, console: Console
    ) -> pl.DataFrame:
        """What was found in every picture, and whether what was hidden is hidden.

        Args:
            pictures: As they are.
            known: What is known of some of them from before.
            console: Where progress goes.

        Returns:
            A row a picture and condition (`condition_rows.SCHEMA`); unreadable pictures have none.
        """
        wanted = {one.digest for one in self.under_all(pictures) if one.condition != ORIGINAL}
        before = pl.DataFrame(schema=SCHEMA) if known is None else known
        before = before.filter(pl.col("shown").is_in(wanted))
        if self._recogniser is not None:
            before = before.clear()  # faces are told apart among all pictures
        there = set(before["shown"])
        todo = [
            picture
            for picture in pictures
            if any(one.digest not in there for one in self.under_all([picture])[1:])
        ]
        rows: list[Mapping[str, Any]] = []
        with (
            progress("Looking for faces and people", len(todo), console) as advance,
            ThreadPoolExecutor(_WORKERS) as pool,
        ):
            looked = []
            for one in pool.map(self._look_at, todo):
                advance(1)
                looked.append(one)
        rows = [row for one in looked for row in one.rows]
        if self._recogniser is not None:
            _verify(looked)
        if todo:
            say(
                console,
                f"What was found takes {size(self._cache.n_bytes)} of the cache, which holds "
                f"{size(MOST_BYTES)} at the most.",
            )
        new = pl.DataFrame(rows, schema=SCHEMA, orient="row")
        return pl.concat([before, new]).sort("identity", "image", "condition")

    def show(self, case: Case) -> Image.Image | Failed:
        """The picture of a case under its condition, or why it cannot be shown."""
        condition = self._shown_as(case.condition)
        picture = open_case(case)
        if condition is None or isinstance(picture, Failed):
            return picture
        pixels = pixels_of(picture)
        try:
            found = self._renderer.find(pixels, picture_digest(case.path), case.image)
        except PictureError as problem:
            return Failed(str(problem), is_transient=False)
        return Image.fromarray(self._renderer.render(pixels, found, condition, case.image).pixels)

    def render(self, picture: Picture) -> dict[str, Image.Image]:
        """A picture under every condition; decoded once, and looked at once.

        Raises:
            PictureError: It cannot be read.
        """
        pixels = pixels_of(open_picture(picture.path))
        found = self._renderer.find(pixels, picture.digest, picture.image)
        return {
            condition.text: Image.fromarray(
                self._renderer.render(pixels, found, condition, picture.image).pixels
            )
            for condition in self._conditions
        }

    def names(self) -> dict[str, str]:
        """Everything that decides what pictures look like, by condition."""
        return {each.text: self._renderer.name(each) for each in self._conditions}

    def _shown_as(self, text: str) -> Condition | None:
        """The condition of that name; None for pictures as they are, and for nulls."""
        return next((one for one in self._conditions if one.steps and one.text == text), None)

    def _look_at(self, picture: Picture) -> "_Looked":
        """What was found in it; nothing at all where it could not be looked at."""
        try:
            return self._looked_at(picture)
        except PictureError:
            return _Looked(picture.identity, [], None, [])

    def _looked_at(self, picture: Picture) -> "_Looked":
        pixels = pixels_of(open_picture(picture.path))
        found = self._renderer.find(pixels, picture.digest, picture.image)
        looked = _Looked(picture.identity, [], self._describe(pixels, found), [])
        for one, condition in zip(self.under_all([picture]), self._conditions, strict=True):
            if condition.text == ORIGINAL:
                continue
            shown = self._renderer.render(pixels, found, condition, picture.image)
            hides_faces = "face" in condition.takes and bool(found.faces)
            left = (
                self._renderer.faces_left(shown.pixels, found, picture.image)
                if hides_faces
                else None
            )
            is_cut = condition.takes & {"background", "person"} and found.mask is not None
            looked.rows.append(
                {
                    "identity": picture.identity,
                    "image": picture.image,
                    "condition": condition.text,
                    "shown": one.digest,
                    "lacks": shown.lacks,
                    "faces": None if found.faces is None else len(found.faces),
                    "faces_left": left,
                    "verified": None,
                    "figures": found.figures,
                    "subject": found.subject if is_cut else "",
                    "mask_area": float(found.mask.mean()) / 255
                    if is_cut and found.mask is not None
                    else None,
                }
            )
            looked.hidden.append(self._describe(shown.pixels, found) if hides_faces else None)
        return looked

    def _describe(self, pixels: Pixels, found: Found) -> np.ndarray | None:
        """The largest face as the recogniser sees it, in the place where it was."""
        if self._recogniser is None or not found.faces:
            return None
        return self._recogniser.describe(pixels, found.faces[:1])[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """One picture, as it was looked at.

    Attributes:
        identity: Of whom it is.
        rows: Facts, a row a condition.
        face: Its largest face, as the recogniser describes it.
        hidden: The same under each condition; None where no face is hidden.
    """

    identity: str
    rows: list[dict[str, Any]]
    face: np.ndarray | None
    hidden: list[np.ndarray | None]


def _verify(looked: Sequence[_Looked]) -> None:
    """Fill in whether each hidden face is still tied to the original."""
    seen = [one for one in looked if one.face is not None]
    if not seen:
        return
    originals = np.stack([one.face for one in seen if one.face is not None])
    people = [one.identity for one in seen]
    n_conditions = max(len(one.rows) for one in seen)
    for place in range(n_conditions):
        mine = [n for n, one in enumerate(seen) if one.hidden[place] is not None]
        if not mine:
            continue
        hidden = np.stack([h for n in mine if (h := seen[n].hidden[place]) is not None])
        found = verified(originals, people, np.array(mine), hidden)
        if found is None:
            continue
        for n, is_tied in zip(mine, found.is_verified.tolist(), strict=True):
            seen[n].rows[place]["verified"] = int(is_tied)


def open_conditions(texts: Sequence[str], looks: Looks, *, seed: int, device: str) -> Conditions:
    """Load who looks for what these conditions take away.

    Raises:
        InputError: A finder cannot be used; the message says why.
    """
    from vlmaudit.imaging.backgrounds import load_backgrounds
    from vlmaudit.imaging.faces import load_face_finder
    from vlmaudit.imaging.people import load_figure_finder
    from vlmaudit.imaging.reading import load_text_reader
    from vlmaudit.imaging.recognisers import load_recogniser

    conditions = [parse_condition(text) for text in texts]
    reads = any("text" in condition.takes for condition in conditions)
    finders = Finders(
        faces=load_face_finder(looks.faces),
        figures=load_figure_finder(looks.figures, device=device),
        text=load_text_reader(looks.text) if reads else None,
    )
    cache = FoundCache()
    renderer = Renderer(
        conditions, finders, load_backgrounds(looks.backgrounds, seed=seed), cache=cache
    )
    recogniser = load_recogniser(looks.recogniser) if looks.recogniser else None
    return Conditions(texts, renderer, finders, cache=cache, recogniser=recogniser)
