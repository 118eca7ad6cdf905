"""Fictitious people who are told apart by what a grid of ten squares hides.

Drawn faces (`people`) differ in large patches of colour, which the paper's pixelation leaves: a
model goes on knowing them. Of a photographed face it leaves too little to a face recogniser
(docs/results/image-conditions.md). So whoever studies what hiding a face takes away wants faces
that differ in fine detail alone: busts of one outline and one mean colour, hatched in nine zones,
each in one of four directions. The hatching is as narrow as a square of the grid is wide.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vlmaudit.errors import InputError
from vlmaudit.lab.people import RASTER_SIDE, Drawing
from vlmaudit.seeds import stream

STYLE: Final = "hatched"
_ZONES: Final = 3
_DIRECTIONS: Final = 4
_PERIOD: Final = 8.0
"""Pixels of the drawing from line to line."""
_GREY: Final = 128
_CONTRAST: Final = 70
_LEAST_APART: Final = 4
"""Zones of nine in which any two people differ."""
_MAX_ATTEMPTS: Final = 100
_TOP, _BOTTOM, _LEFT, _RIGHT = 6, RASTER_SIDE, 12, RASTER_SIDE - 12


def hatch_people(sexes: Sequence[str], *, seed: int) -> list[Drawing]:
    """As many different hatched busts as there are entries in `sexes`, which they do not show.

    As with `people.draw_people`, asking for more people never changes the first ones.
    """
    directions = np.empty((len(sexes), _ZONES**2), dtype=np.int64)
    for number in range(len(sexes)):
        rng = stream(seed, "hatching", number)
        for _ in range(_MAX_ATTEMPTS):
            own = rng.integers(_DIRECTIONS, size=_ZONES**2)
            if ((directions[:number] != own).sum(axis=1) >= _LEAST_APART).all():
                break
        else:
            raise InputError(
                f"{len(sexes)} people are more than can be hatched so that no two look alike; "
                "ask for fewer."
            )
        directions[number] = own
    return [
        Drawing(key=f"{seed}/{number}", sex=sex, raster=_hatched(own))
        for number, (sex, own) in enumerate(zip(sexes, directions, strict=True))
    ]


def outline() -> Bool[np.ndarray, "side side"]:
    """A head on shoulders: where every bust is."""
    y, x = np.mgrid[:RASTER_SIDE, :RASTER_SIDE]
    middle = (RASTER_SIDE - 1) / 2
    head = ((x - middle) / 25) ** 2 + ((y - 38) / 32) ** 2 <= 1
    shoulders = ((x - middle) / 36) ** 2 + ((y - _BOTTOM) / 32) ** 2 <= 1
    return head | shoulders


def _hatched(directions: Int[np.ndarray, " zones"]) -> UInt8[np.ndarray, "side side 4"]:
    y, x = np.mgrid[:RASTER_SIDE, :RASTER_SIDE]
    row = np.clip((y - _TOP) * _ZONES // (_BOTTOM - _TOP), 0, _ZONES - 1)
    column = np.clip((x - _LEFT) * _ZONES // (_RIGHT - _LEFT), 0, _ZONES - 1)
    angle = directions[row * _ZONES + column] * np.pi / _DIRECTIONS
    wave = np.cos((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / _PERIOD)
    raster = np.zeros((RASTER_SIDE, RASTER_SIDE, 4), dtype=np.uint8)
    raster[..., :3] = np.round(_GREY + _CONTRAST * wave)[..., None]
    raster[..., 3] = 255 * outline()
    raster[raster[..., 3] == 0] = 0
    return raster
