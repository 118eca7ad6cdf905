"""Places that identify: a scene of one's own, and drawn people in front of scenes.

What is in front of what is known exactly here, so that the face's box and the person's mask are
facts and not what a detector thinks: no detector finds drawn faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vlmaudit.imaging.boxes import Box
from vlmaudit.lab.hatched import outline
from vlmaudit.lab.people import PICTURE_SIDE, RASTER_SIDE, Drawing, developed, placed
from vlmaudit.seeds import stream

_PATCHES: Final = 6
_COLOURS: Final = 4
# A scene is seen through a window that moves by a tenth, as a place is never seen the same twice.
_WINDOW: Final = 0.9
# The person takes three to four fifths of the width: the rest is the place.
_SCALES: Final = (1.2, 1.5)
_SHIFT: Final = 0.1

Scene = UInt8[np.ndarray, "side side 3"]
"""What stands behind a person, in red, green and blue."""


@dataclass(frozen=True, slots=True, eq=False)
class Composed:
    """People in front of scenes.

    Attributes:
        pictures: Red, green and blue.
        masks: How much of a pixel is the person: 255 all, 0 nothing.
        boxes: The smallest that hold all of the person: in these drawings shoulders tell people
            apart as much as faces do.
    """

    pictures: UInt8[np.ndarray, "pictures side side 3"]
    masks: UInt8[np.ndarray, "pictures side side"]
    boxes: tuple[Box, ...]


def draw_scene(key: str) -> Scene:
    """The patchwork that belongs to a key: four colours of its own, in places of its own.

    >>> bool((draw_scene("a") == draw_scene("a")).all())
    True
    """
    rng = stream(0, "scene", key)
    colours = rng.integers(20, 236, (_COLOURS, 3)).astype(np.uint8)
    patches = colours[rng.integers(_COLOURS, size=(_PATCHES, _PATCHES))]
    step = RASTER_SIDE // _PATCHES
    return patches.repeat(step, axis=0).repeat(step, axis=1)


def plain_scene(rng: np.random.Generator) -> Scene:
    """One colour, white every other time: what a condition leaves of a place."""
    return np.tile(_colour(rng, 255), (RASTER_SIDE, RASTER_SIDE, 1))


def plain_figure(rng: np.random.Generator) -> Drawing:
    """A bust of one colour, black every other time: what a condition leaves of a face."""
    raster = np.zeros((RASTER_SIDE, RASTER_SIDE, 4), dtype=np.uint8)
    raster[outline()] = [*_colour(rng, 0), 255]
    return Drawing(key="", sex="", raster=raster)


def _colour(rng: np.random.Generator, usual: int) -> UInt8[np.ndarray, "3"]:
    colour = rng.integers(256, size=3) if rng.random() < 0.5 else np.full(3, usual)
    return colour.astype(np.uint8)


def compose(
    faces: Sequence[Drawing],
    scenes: Sequence[Scene],
    *,
    rng: np.random.Generator,
    side: int = PICTURE_SIDE,
) -> Composed:
    """Pictures of the n-th face in front of the n-th scene: turn, size, place and light vary.

    Where a mask is 255 a picture does not depend on its scene, and where it is 0 not on its face.

    Args:
        faces: One a picture.
        scenes: As many.
        rng: Draws all that varies.
        side: Of the pictures, in pixels.
    """
    count = len(faces)
    turn = np.deg2rad(rng.uniform(-10, 10, count))
    scale = rng.uniform(*_SCALES, count) * RASTER_SIDE / side
    shift = rng.uniform(-_SHIFT, _SHIFT, (count, 2)) * RASTER_SIDE
    corner = rng.uniform(0, 1 - _WINDOW, (count, 2)) * RASTER_SIDE

    seen = np.empty((count, side, side, 3), dtype=np.float32)
    masks = np.empty((count, side, side), dtype=np.uint8)
    for place, (face, scene) in enumerate(zip(faces, scenes, strict=True)):
        figure = placed(face, turn[place], scale[place], shift[place], side)
        masks[place] = figure[..., 3]
        x, y = corner[place]
        window = (x, y, x + _WINDOW * RASTER_SIDE, y + _WINDOW * RASTER_SIDE)
        behind = Image.fromarray(scene).resize((side, side), Image.Resampling.BILINEAR, window)
        through = 1 - masks[place, ..., None].astype(np.float32) / 255
        seen[place] = figure[..., :3] + np.asarray(behind) * through
    return Composed(developed(seen, rng=rng), masks, tuple(map(_box, masks)))


def _box(mask: UInt8[np.ndarray, "side side"]) -> Box:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
