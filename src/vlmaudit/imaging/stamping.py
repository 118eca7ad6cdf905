"""Printing text on pictures, as the album paper did, and so that it can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Final, Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vlmaudit.errors import InputError

Protocol = Literal["paper", "audit"]
Place = Literal["random", "fixed"]

MOST_SHARE: Final = 1 / 28
"""Of the picture's longer side: letters of 12 pixels where it has 336."""

_PAPER_SIZE: Final = 10
_PAPER_INK: Final = (255, 255, 255, 128)
_CLEAR: Final = (0, 0, 0, 0)
_LIGHT: Final = (255, 255, 255)
_DARK: Final = (0, 0, 0)
_MIDDLE_GREY: Final = 127.5
_OUTLINE: Final = 12
"""Pixels of a letter's size for each pixel of its outline."""
_MARGIN: Final = 1 / 64
"""Of the longer side: how far from the corner a text of fixed place stands."""
_REFERENCE: Final = 40
"""Pixels of the letters in which texts are compared."""
_LEAST_SIZE: Final = 3
"""Pixels: below, Pillow's font draws nothing that differs from letter to letter."""


@dataclass(frozen=True, slots=True)
class Printing:
    """How texts are printed on all pictures of an album.

    Attributes:
        protocol: ``paper``: white, half transparent, 10 pixels, whatever the picture's size
            (PROTOCOLS 1.3); ``audit``: opaque, light or dark as the ground asks for, outlined, of
            a size relative to the picture.
        place: Anywhere the text fits, all places alike; or always near the upper left corner.
        input_side: Pixels of the side to which models scale the longer side of a picture.
        height_share: The letters' size (em) over the picture's longer side; ``audit`` alone.
    """

    protocol: Protocol = "audit"
    place: Place = "random"
    input_side: int = 336
    height_share: float = MOST_SHARE

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Printing":
        """What `to_dict` gave.

        Raises:
            InputError: It did not give that.
        """
        known = {one.name: given[one.name] for one in fields(cls) if one.name in given}
        if (
            known.keys() != given.keys()
            or given.get("protocol") not in get_args(Protocol)
            or given.get("place") not in get_args(Place)
            or not _is_number(given.get("input_side"))
            or not _is_number(given.get("height_share"))
        ):
            raise InputError(f"{dict(given)} is no way of printing; plant the album again.")
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """What album.json says."""
        return asdict(self)

    def letter_size(self, width: int, height: int) -> int:
        """Pixels of a letter's em on a picture."""
        if self.protocol == "paper":
            return _PAPER_SIZE
        return max(_LEAST_SIZE, round(self.height_share * max(width, height)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a text stands, in pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int


def print_text(
    picture: Image.Image, text: str, printing: Printing, rng: np.random.Generator
) -> tuple[Image.Image, Stamp]:
    """The picture with a text on it, as a new one.

    The same generator state gives the same place relative to what room there is, whatever the
    text: records that are printed in each other's place stand alike.

    Args:
        picture: In RGB; it is left as it is.
        text: Any number of lines.
        printing: How.
        rng: Decides the place, where it is random.

    Raises:
        InputError: The text is larger than the picture.
    """
    size = printing.letter_size(*picture.size)
    is_paper = printing.protocol == "paper"
    outline = 0 if is_paper else _outline(size)
    box = _extent(text, size, outline)
    width, height = box[2] - box[0], box[3] - box[1]
    if width > picture.width or height > picture.height:
        raise InputError(_too_large(picture, text, printing, (width, height)))
    shares = rng.random(2)
    if printing.place == "fixed":
        margin = round(_MARGIN * max(picture.size))
        x, y = min(margin, picture.width - width), min(margin, picture.height - height)
    else:
        x = int(shares[0] * (picture.width - width + 1))
        y = int(shares[1] * (picture.height - height + 1))
    if is_paper:
        return _print_as_paper(picture, text, x, y, box), Stamp(x, y, width, height)
    stamp = Stamp(x, y, width, height)
    return _print_legibly(picture, text, stamp, size), stamp


def fitting_share(texts: Sequence[str], size: tuple[int, int], printing: Printing) -> float:
    """The largest share, up to the one given, at which every text fits on a picture.

    Args:
        texts: What is to be printed.
        size: Width and height of the picture.
        printing: How; its share is the most.

    Returns:
        0 where they do not fit: not even in the smallest letters, or not in the paper's.
    """
    width, height = size
    if printing.protocol == "paper":
        fits = all(_fits(text, _PAPER_SIZE, 0, size) for text in texts)
        return printing.height_share if fits else 0.0
    letters = printing.letter_size(width, height)
    share = printing.height_share
    while not all(_fits(text, letters, _outline(letters), size) for text in texts):
        letters -= 1
        share = letters / max(width, height)
        if letters < _LEAST_SIZE:
            return 0.0
    return share


def widest(texts: Sequence[str]) -> list[str]:
    """Those of many texts that may be the ones that do not fit."""
    extents = [_extent(text, _REFERENCE, 0) for text in texts]
    widths, heights = [box[2] for box in extents], [box[3] for box in extents]
    return [
        text
        for text, width, height in zip(texts, widths, heights, strict=True)
        # Letters of another size are rounded otherwise: by less than a tenth.
        if width >= 0.9 * max(widths) or height >= 0.9 * max(heights)
    ]


def enlarged_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of a picture with a longer side of at least so many pixels.

    >>> enlarged_size((64, 32), 336), enlarged_size((640, 480), 336)
    ((336, 168), (640, 480))
    """
    longer = max(size)
    if longer >= side:
        return size
    return max(1, round(size[0] * side / longer)), max(1, round(size[1] * side / longer))


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """The picture with a longer side of at least so many pixels; a larger one as it is.

    On a picture of 64 pixels no record can be printed legibly, although the model that scales it
    up to 336 could read it there.
    """
    size = enlarged_size(picture.size, side)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)


def with_share(printing: Printing, share: float) -> Printing:
    """The same with letters of another size."""
    return replace(printing, height_share=share)


def _fits(text: str, letters: int, outline: int, size: tuple[int, int]) -> bool:
    left, top, right, bottom = _extent(text, letters, outline)
    return right - left <= size[0] and bottom - top <= size[1]


def _too_large(picture: Image.Image, text: str, printing: Printing, stamp: tuple[int, int]) -> str:
    what = (
        f"the text is {stamp[0]} x {stamp[1]} pixels, and the picture {picture.width} x "
        f"{picture.height}"
    )
    if printing.protocol == "paper":
        return f"{what}: the paper's letters have 10 pixels on any; use --protocol audit."
    share = fitting_share([text], picture.size, printing)
    if not share:
        return f"{what}: no letters are small enough; use larger pictures or fewer --fields."
    return f"{what}: letters of {share:.4f} of the longer side would fit (--letter-height)."


def _outline(size: int) -> int:
    return max(1, size // _OUTLINE)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=1 << 16)
def _extent(text: str, size: int, outline: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a text that is drawn at 0, 0."""
    drawing = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = drawing.textbbox(
        (0, 0), text, font=_font(size), stroke_width=outline
    )
    return int(left), int(top), int(right), int(bottom)


def _print_as_paper(
    picture: Image.Image, text: str, x: int, y: int, box: tuple[int, int, int, int]
) -> Image.Image:
    """What compositing a layer of the picture's size would give, on the text's own box alone.

    The paper's script draws at x, y what begins a little below y: at the lower edge it is cut.
    """
    printed = picture.copy()
    # Some letters begin a pixel before the place where they are drawn.
    before, above = min(0, box[0]), min(0, box[1])
    layer = _layer(text, before, above, box[2] - before, box[3] - above)
    left, top = x + before, y + above
    inside = (
        max(0, left),
        max(0, top),
        min(left + layer.width, picture.width),
        min(top + layer.height, picture.height),
    )
    under = picture.crop(inside).convert("RGBA")
    corner = (inside[0] - left, inside[1] - top)
    under.alpha_composite(
        layer, source=(*corner, corner[0] + under.width, corner[1] + under.height)
    )
    printed.paste(under.convert("RGB"), inside[:2])
    return printed


@lru_cache(maxsize=512)
def _layer(text: str, before: int, above: int, width: int, height: int) -> Image.Image:
    layer = Image.new("RGBA", (width, height), _CLEAR)
    drawing = ImageDraw.Draw(layer)
    drawing.text((-before, -above), text, font=_font(_PAPER_SIZE), fill=_PAPER_INK)
    return layer


def _print_legibly(picture: Image.Image, text: str, stamp: Stamp, size: int) -> Image.Image:
    """Opaque letters that are light on dark ground and dark on light, outlined in the other."""
    corner = (stamp.x, stamp.y)
    box = (stamp.x, stamp.y, stamp.x + stamp.width, stamp.y + stamp.height)
    ground = np.asarray(picture.crop(box).convert("L"))
    is_dark = float(ground.mean()) < _MIDDLE_GREY
    ink, rim = (_LIGHT, _DARK) if is_dark else (_DARK, _LIGHT)
    inner, outer = _masks(text, size)
    printed = picture.copy()
    printed.paste(rim, corner, outer)
    printed.paste(ink, corner, inner)
    return printed


@lru_cache(maxsize=512)
def _masks(text: str, size: int) -> tuple[Image.Image, Image.Image]:
    """The letters, and the letters with their outline, as masks of the stamp's box."""
    outline = _outline(size)
    left, top, right, bottom = _extent(text, size, outline)
    masks = []
    # Both with the outline, drawn or not: without one, Pillow sets lines closer together.
    for rim in (0, 255):
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).text(
            (-left, -top),
            text,
            font=_font(size),
            fill=255,
            stroke_width=outline,
            stroke_fill=rim,
        )
        masks.append(mask)
    return masks[0], masks[1]
