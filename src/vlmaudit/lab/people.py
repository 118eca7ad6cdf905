"""Fictitious people: drawn faces, and any number of different pictures of each."""

import functools
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vlmaudit.errors import InputError
from vlmaudit.seeds import stream

# "Pixel Art" by DiceBear is CC0, quick to rasterise, and rich in colours: people differ at 64 px.
STYLE: Final = "pixel-art"
PICTURE_SIDE: Final = 64
RASTER_SIDE: Final = 96

_CELLS: Final = 16  # the style draws on a grid of 16 x 16
# Root mean square difference of two drawings over the grid, in grey levels of 255. Below it two
# people share all but a mouth or a shade. Of 3000 people 53 are drawn again for it.
MIN_DISTANCE: Final = 18.0
_MAX_ATTEMPTS: Final = 100


@dataclass(frozen=True, slots=True)
class Drawing:
    """One fictitious person's face, before any picture is taken of it.

    Attributes:
        key: The seed given to dicebear; it alone decides who this is.
        sex: ``female`` or ``male``.
        raster: Red, green, blue and opacity, transparent around the person.
    """

    key: str
    sex: str
    raster: UInt8[np.ndarray, "side side 4"]


@functools.cache
def _style() -> tuple[Any, Mapping[str, Sequence[str]]]:
    """The style as dicebear wants it, and its hair by the sex that usually wears it."""
    from dicebear import Style

    definition = json.loads(files("dicebear_styles").joinpath(f"{STYLE}.json").read_text("utf-8"))
    hair = sorted(definition["components"]["hair"]["variants"])
    usual = {"female": "long", "male": "short"}
    return Style(definition), {
        sex: [variant for variant in hair if variant.startswith(length)]
        for sex, length in usual.items()
    }


def draw_person(key: str, sex: str) -> Drawing:
    """The face that belongs to a key: always the same, whoever else is drawn.

    Beards are men's, and six of seven women but one of seven men have long hair: drawn people
    have demographics, as real ones do, and an audit must not take them for knowledge.

    >>> bool((draw_person("p1", "female").raster == draw_person("p1", "female").raster).all())
    True
    """
    import resvg_py
    from dicebear import Avatar

    style, hair = _style()
    if sex not in hair:
        raise InputError(f'drawn people are female or male, not "{sex}".')
    rng = stream(0, "hair", key)
    of_sex = sex if rng.random() < 6 / 7 else {"female": "male", "male": "female"}[sex]
    options = {
        "seed": key,
        "size": RASTER_SIDE,
        # dicebear could weigh the variants itself, but takes 2 ms to check such a table.
        "hairVariant": str(rng.choice(hair[of_sex])),
        "beardProbability": 0 if sex == "female" else 25,
    }
    svg = Avatar(style, options).to_string()
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=RASTER_SIDE, height=RASTER_SIDE, skip_system_fonts=True
    )
    with Image.open(io.BytesIO(bytes(png))) as picture:
        return Drawing(key=key, sex=sex, raster=np.asarray(picture.convert("RGBA")))


def draw_people(sexes: Sequence[str], *, seed: int) -> list[Drawing]:
    """As many different faces as there are entries in `sexes`, the n-th of the n-th sex.

    Person n tries the keys ``seed/n/0``, ``seed/n/1``, … until a drawing is at least
    `MIN_DISTANCE` away from everybody's before. So a person's face depends on those with lower
    numbers alone: asking for more people never changes the first ones.
    """
    drawings: list[Drawing] = []
    cells = np.empty((len(sexes), _CELLS * _CELLS * 3), dtype=np.float32)
    squares = np.empty(len(sexes), dtype=np.float32)
    nearest_allowed = MIN_DISTANCE**2 * cells.shape[1]
    for number, sex in enumerate(sexes):
        for attempt in range(_MAX_ATTEMPTS):
            drawing = draw_person(f"{seed}/{number}/{attempt}", sex)
            own = grid(drawing)
            # |a - b|^2 by products: subtracting doubles the time that 3000 people take to draw.
            distances = squares[:number] + own @ own - 2 * (cells[:number] @ own)
            if distances.min(initial=np.inf) >= nearest_allowed:
                break
        else:
            raise InputError(
                f"{len(sexes)} people are more than can be drawn so that no two look alike; "
                "ask for fewer."
            )
        cells[number], squares[number] = own, own @ own
        drawings.append(drawing)
    return drawings


def grid(drawing: Drawing) -> Float[np.ndarray, " cells"]:
    """A drawing on grey, cell by cell of the style's own grid: what tells two people apart."""
    step = drawing.raster.shape[0] // _CELLS
    cells = drawing.raster[step // 2 :: step, step // 2 :: step].astype(np.float32)
    opacity = cells[..., 3:] / 255
    return (cells[..., :3] * opacity + 128 * (1 - opacity)).reshape(-1)


def take_pictures(
    drawing: Drawing, count: int, *, rng: np.random.Generator, side: int = PICTURE_SIDE
) -> UInt8[np.ndarray, "count side side 3"]:
    """Different pictures of one person: turn, crop, place, light, background and noise vary."""
    turn = np.deg2rad(rng.uniform(-12, 12, count))
    scale = rng.uniform(0.8, 1.0, count) * RASTER_SIDE / side
    shift = rng.uniform(-0.06, 0.06, (count, 2)) * RASTER_SIDE
    background = rng.uniform(60, 255, (count, 1, 1, 3)).astype(np.float32)

    seen = np.empty((count, side, side, 4), dtype=np.float32)
    for place in range(count):
        seen[place] = placed(drawing, turn[place], scale[place], shift[place], side)
    return developed(seen[..., :3] + background * (1 - seen[..., 3:] / 255), rng=rng)


def placed(
    drawing: Drawing, turn: float, scale: float, shift: Float[np.ndarray, "2"], side: int
) -> UInt8[np.ndarray, "side side 4"]:
    """A drawing turned, scaled and moved, its colours multiplied by the opacity.

    Args:
        drawing: Of whom.
        turn: Radians.
        scale: Pixels of the drawing a pixel.
        shift: Of the middle, across and down, in pixels of the drawing.
        side: Of what is returned, in pixels.
    """
    along, across = scale * np.cos(turn), scale * np.sin(turn)
    x, y = RASTER_SIDE / 2 + shift
    matrix = (
        *(along, -across, x - (along - across) * side / 2),
        *(across, along, y - (across + along) * side / 2),
    )
    whole = Image.fromarray(drawing.raster, "RGBA").convert("RGBa")
    moved = whole.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(moved)


def developed(
    seen: Float[np.ndarray, "count side side 3"], *, rng: np.random.Generator
) -> UInt8[np.ndarray, "count side side 3"]:
    """Pictures in the light of a moment: brighter or darker, tinted, with noise."""
    count, side = seen.shape[:2]
    light = rng.uniform(0.75, 1.15, (count, 1, 1, 1)).astype(np.float32)
    tint = rng.normal(0, 8, (count, 1, 1, 3)).astype(np.float32)
    noise = rng.standard_normal((count, side, side, 3), dtype=np.float32) * 6
    return np.clip(seen * light + tint + noise, 0, 255).round().astype(np.uint8)
