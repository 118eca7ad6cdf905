"""Drawn people and captioned scenes in folders: a ladder's two sets for who has no photos."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from vlmaudit.data.candidates import draw_names
from vlmaudit.data.identities import TABLE_COLUMNS, TABLE_NAME
from vlmaudit.errors import InputError
from vlmaudit.lab.people import PICTURE_SIDE, draw_people, take_pictures
from vlmaudit.lab.planting import SEXES
from vlmaudit.results.files import write_csv, write_text
from vlmaudit.seeds import stream

PEOPLE: Final = "people"
CAPTIONS: Final = "captions.jsonl"
_SCENES: Final = "scenes"
_ORIGIN: Final = "en_US"
_COLOURS: Final = {
    "red": (205, 50, 45),
    "orange": (235, 140, 40),
    "yellow": (235, 215, 70),
    "green": (60, 150, 75),
    "blue": (50, 95, 200),
    "purple": (130, 70, 170),
    "brown": (120, 80, 50),
    "grey": (140, 140, 140),
    "black": (25, 25, 25),
    "white": (245, 245, 245),
}
_WORDINGS: Final = (
    "a {colour} {shape} on a {ground} ground",
    "{size} {colour} {shape}, {ground} background",
)


def spread(pictures: int, people: int) -> list[int]:
    """Pictures of so many people: as unequal as photos of real ones are, for a ladder's rungs.

    Of ten people one has six times as many, two have three times, and four have a third: too few
    to be audited, they are a ladder's bystanders. A woman and a man have the same number each.

    >>> spread(15, 20)[::2]
    [90, 45, 45, 15, 15, 15, 5, 5, 5, 5]
    """
    shares = (6, 3, 3, 1, 1, 1, 1 / 3, 1 / 3, 1 / 3, 1 / 3)
    places = [number // len(SEXES) % len(shares) for number in range(people)]
    return [max(1, round(pictures * shares[place])) for place in places]


def draw_sets(
    out: Path,
    *,
    pictures: list[int],
    scenes: int,
    seed: int,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Write a folder of folders of drawn people, and a captioned set of drawn scenes.

    The same numbers and seed write the same bytes.

    Args:
        out: Gets ``people/`` with its ``people.csv``, ``scenes/`` and ``captions.jsonl``.
        pictures: Pictures of each person; there are as many people.
        scenes: Pictures without people, with two captions each.
        seed: Decides all of it.
        progress: Told of every picture that is written.

    Raises:
        InputError: There is nobody, or somebody without pictures, or no scene.
    """
    if not pictures or min(pictures) < 1 or scenes < 1:
        raise InputError("drawn sets need a person, a picture of everybody, and a scene.")
    sexes = [SEXES[number % len(SEXES)] for number in range(len(pictures))]
    names = _names(sexes, seed)
    rows = []
    for number, drawing in enumerate(draw_people(sexes, seed=seed)):
        identity = f"person-{number + 1:04d}"
        folder = out / PEOPLE / identity
        folder.mkdir(parents=True, exist_ok=True)
        rng = stream(seed, "drawn pictures", number)
        for place, pixels in enumerate(take_pictures(drawing, pictures[number], rng=rng)):
            Image.fromarray(pixels).save(folder / f"{place + 1:03d}.png")
            progress(1)
        given = {
            "identity": identity,
            "folder": identity,
            "name": names[number],
            "sex": drawing.sex,
            "origin": _ORIGIN,
        }
        rows.append({column: given.get(column, "") for column in TABLE_COLUMNS})
    write_csv(out / PEOPLE / TABLE_NAME, TABLE_COLUMNS, rows)
    (out / _SCENES).mkdir(exist_ok=True)
    lines = []
    for number in range(scenes):
        file = f"{_SCENES}/{number + 1:05d}.png"
        picture, captions = _scene(stream(seed, "drawn scene", number))
        picture.save(out / file)
        lines.append(json.dumps({"image": file, "captions": captions}))
        progress(1)
    write_text(out / CAPTIONS, "\n".join(lines) + "\n")


def _names(sexes: list[str], seed: int) -> list[str]:
    drawn: dict[str, list[str]] = {}
    taken: list[str] = []
    for sex in SEXES:
        rng = stream(seed, "drawn names", sex)
        drawn[sex] = draw_names(sexes.count(sex), sex=sex, origin=_ORIGIN, rng=rng, exclude=taken)
        taken += drawn[sex]
    return [drawn[sex].pop() for sex in sexes]


def _scene(rng: np.random.Generator) -> tuple[Image.Image, list[str]]:
    side = PICTURE_SIDE
    colour, ground = rng.choice(list(_COLOURS), 2, replace=False).tolist()
    shape = str(rng.choice(list(_SHAPES)))
    is_large = bool(rng.integers(2))
    half = float(rng.uniform(20, 28) if is_large else rng.uniform(8, 14))
    x, y = rng.uniform(half, side - half, 2).tolist()
    picture = Image.new("RGB", (side, side), _COLOURS[ground])
    _SHAPES[shape](ImageDraw.Draw(picture), (x, y), half, _COLOURS[colour])
    noisy = np.asarray(picture, dtype=np.float32) + rng.normal(0, 8, (side, side, 3))
    words = {"colour": colour, "shape": shape, "ground": ground}
    words["size"] = "large" if is_large else "small"
    captions = [wording.format(**words) for wording in _WORDINGS]
    return Image.fromarray(np.clip(noisy, 0, 255).round().astype(np.uint8)), captions


Brush = ImageDraw.ImageDraw
Point = tuple[float, float]
Colour = tuple[int, int, int]


def _box(at: Point, half: float, tall: float) -> tuple[float, float, float, float]:
    return (at[0] - half, at[1] - tall, at[0] + half, at[1] + tall)


def _cross(brush: Brush, at: Point, half: float, colour: Colour) -> None:
    brush.rectangle(_box(at, half, half / 3), fill=colour)
    brush.rectangle(_box(at, half / 3, half), fill=colour)


def _ring(brush: Brush, at: Point, half: float, colour: Colour) -> None:
    brush.ellipse(_box(at, half, half), outline=colour, width=max(2, round(half / 3)))


def _triangle(brush: Brush, at: Point, half: float, colour: Colour) -> None:
    x, y = at
    brush.polygon([(x, y - half), (x - half, y + half), (x + half, y + half)], fill=colour)


_SHAPES: Final[dict[str, Callable[[Brush, Point, float, Colour], None]]] = {
    "circle": lambda brush, at, half, colour: brush.ellipse(_box(at, half, half), fill=colour),
    "square": lambda brush, at, half, colour: brush.rectangle(_box(at, half, half), fill=colour),
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "bar": lambda brush, at, half, colour: brush.rectangle(_box(at, half, half / 4), fill=colour),
}
