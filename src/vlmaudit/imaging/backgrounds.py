"""Landscapes that stand behind people who were cut out: drawn here, or given."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from vlmaudit.data.images import PictureError, is_picture, open_picture
from vlmaudit.errors import InputError
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.seeds import stream

_SIDE: Final = 768
"""Pixels of a drawn landscape; it is scaled to the picture's size."""
_MOST: Final = 2048
"""Pixels a side that are kept of a given one."""


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """One landscape, to be had in any size.

    Attributes:
        picture: As it was drawn or given.
    """

    picture: Image.Image

    def fill(self, width: int, height: int) -> Pixels:
        """The landscape in this size: scaled, with what does not fit cut off."""
        return np.asarray(ImageOps.fit(self.picture, (width, height), Image.Resampling.BILINEAR))


class Backgrounds:
    """Some landscapes, of which every picture has one."""

    def __init__(self, pictures: Sequence[Image.Image], *, name: str, seed: int) -> None:
        """Take the landscapes.

        Args:
            pictures: In a fixed order.
            name: Where they come from.
            seed: Deals them to pictures.
        """
        self._all = [Background(picture) for picture in pictures]
        self._seed = seed
        digests = [hashlib.blake2b(picture.tobytes()).hexdigest() for picture in pictures]
        self.name = fingerprint([name, seed, *digests])

    def __len__(self) -> int:
        return len(self._all)

    def choose(self, image: str) -> Background:
        """The one that stands in a picture, at random by its name: the paper merged at random."""
        rng = stream(self._seed, "background", image)
        return self._all[int(rng.integers(len(self._all)))]


def load_backgrounds(folder: Path | None, *, seed: int) -> Backgrounds:
    """The landscapes of a folder, or three that are drawn here.

    The paper has three, of nature and cities, and does not give them.

    Raises:
        InputError: The folder holds no picture that can be read.
    """
    if folder is None:
        return Backgrounds([_hills(), _lake(), _city()], name="drawn", seed=seed)
    if not folder.is_dir():
        raise InputError(f"--backgrounds {folder}: no such folder.")
    pictures = []
    for path in sorted(folder.iterdir()):
        if is_picture(path):
            try:
                picture = open_picture(path)
            except PictureError as problem:
                raise InputError(f"{path}: {problem}; remove it.") from problem
            picture.thumbnail((_MOST, _MOST))
            pictures.append(picture)
    if not pictures:
        raise InputError(f"--backgrounds {folder}: no picture in it; wanted landscapes.")
    return Backgrounds(pictures, name="given", seed=seed)


def _sky(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    down = np.linspace(0, 1, _SIDE)[:, None, None]
    colours = np.array(top) * (1 - down) + np.array(bottom) * down
    return Image.fromarray(np.broadcast_to(colours, (_SIDE, _SIDE, 3)).astype(np.uint8).copy())


def _ridge(rng: np.random.Generator, middle: float, height: float) -> list[tuple[float, float]]:
    """A skyline as nature's are: rough at every scale, rougher at large ones."""
    waves = 1 + np.arange(60)
    phases = rng.uniform(0, 2 * np.pi, len(waves))
    across = np.linspace(0, 1, _SIDE)
    line = (np.sin(2 * np.pi * across[:, None] * waves + phases) / waves**1.1).sum(axis=1)
    line = middle + height * line / np.abs(line).max()
    return [(float(x), float(y) * _SIDE) for x, y in enumerate(line)]


def _land(canvas: Image.Image, ridge: list[tuple[float, float]], colour: tuple[int, ...]) -> None:
    outline = [(0.0, float(_SIDE)), *ridge, (float(_SIDE), float(_SIDE))]
    ImageDraw.Draw(canvas).polygon(outline, fill=colour)


def _textured(canvas: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Grain of several sizes: flat colours would be no landscape."""
    grain = np.zeros((_SIDE, _SIDE))
    for step in (2, 6, 24, 96):
        few = rng.standard_normal((_SIDE // step + 1, _SIDE // step + 1)).astype(np.float32)
        grain += np.asarray(
            Image.fromarray(few, "F").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        )
    pixels = np.asarray(canvas).astype(np.float64) * (1 + strength * grain[..., None])
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _clouds(canvas: Image.Image, rng: np.random.Generator) -> None:
    layer = Image.new("L", canvas.size)
    pen = ImageDraw.Draw(layer)
    for _ in range(7):
        x, y = rng.uniform(0, _SIDE), rng.uniform(0.05, 0.3) * _SIDE
        for _ in range(9):
            dx, dy, r = rng.normal(0, 60), rng.normal(0, 10), rng.uniform(14, 40)
            pen.ellipse((x + dx - 1.7 * r, y + dy - r / 2, x + dx + 1.7 * r, y + dy + r / 2), 150)
    canvas.paste((248, 248, 250), mask=layer.filter(ImageFilter.GaussianBlur(14)))


def _hills() -> Image.Image:
    rng = stream(0, "hills")
    canvas = _sky((86, 142, 206), (205, 222, 236))
    _clouds(canvas, rng)
    for middle, height, colour in (
        (0.46, 0.13, (132, 154, 172)),
        (0.56, 0.09, (104, 136, 112)),
        (0.66, 0.06, (84, 122, 62)),
        (0.79, 0.04, (104, 140, 54)),
    ):
        _land(canvas, _ridge(rng, middle, height), colour)
    return _textured(canvas, rng, 0.035)


def _lake() -> Image.Image:
    rng = stream(0, "lake")
    canvas = _sky((242, 150, 92), (250, 214, 160))
    ImageDraw.Draw(canvas).ellipse((480, 230, 560, 310), fill=(255, 240, 205))
    _land(canvas, _ridge(rng, 0.48, 0.12), (112, 84, 104))
    _land(canvas, _ridge(rng, 0.54, 0.05), (70, 58, 78))
    shore = round(0.58 * _SIDE)
    mirrored = ImageOps.flip(canvas.crop((0, 2 * shore - _SIDE, _SIDE, shore)))
    tinted = Image.blend(mirrored, Image.new("RGB", mirrored.size, (70, 84, 122)), 0.35)
    canvas.paste(tinted.filter(ImageFilter.BoxBlur(3)), (0, shore))
    return _textured(canvas, rng, 0.03)


def _city() -> Image.Image:
    rng = stream(0, "city")
    canvas = _sky((126, 160, 196), (224, 228, 230))
    _clouds(canvas, rng)
    pen = ImageDraw.Draw(canvas)
    for depth in range(3):
        x = -20
        base = 0.82 * _SIDE
        while x < _SIDE:
            width = int(rng.integers(50, 110))
            top = base - rng.uniform(0.18, 0.62 - 0.13 * depth) * _SIDE
            shade = int(rng.integers(120, 170)) - 28 * depth
            warm = int(rng.integers(-10, 22))
            pen.rectangle((x, top, x + width, base), fill=(shade + warm, shade, shade - warm // 2))
            for row in range(int(top) + 10, int(base) - 10, 18):
                for column in range(x + 8, x + width - 12, 16):
                    is_lit = rng.random() < 0.25
                    pane = (226, 214, 164) if is_lit else (shade - 42, shade - 34, shade - 22)
                    pen.rectangle((column, row, column + 7, row + 10), fill=pane)
            x += width + int(rng.integers(0, 14))
    pen.rectangle((0, 0.82 * _SIDE, _SIDE, _SIDE), fill=(104, 104, 108))
    for x in range(30, _SIDE, 120):
        pen.rectangle((x, 0.91 * _SIDE, x + 60, 0.92 * _SIDE), fill=(222, 220, 210))
    return _textured(canvas, rng, 0.03)
