"""Pictures and texts that are drawn, always alike, and show or name nobody."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image
from PIL.ExifTags import Base

from vlmaudit.data.templates import IDIA_TEMPLATES, fill

# Short beside long: what is beside a text must not change it. The last one is cut at the end.
TEXTS: Final = (
    "a disc",
    "a photo of a person named Odalys Brennsuhl",
    "noise",
    "an image of Ýmir Østerfjäll-O'Quill, at a gala",
    "the name of the person is " + "Maribelle Quintessa Hollowbrook " * 12,
    "Ж. 王 in a dress",
)
_NAMES: Final = ("Odalys Brennsuhl", "Tavin Moorcastle", "Ysolde Karrabine")
# As long as what a study asks.
PROMPTS: Final = tuple(fill(template, name) for name in _NAMES for template in IDIA_TEMPLATES)

LABELS: Final = (
    "a white disc on a black ground",
    "a dog in the snow",
    "a page of handwriting",
    "a city at night",
)


@dataclass(frozen=True, slots=True)
class Format:
    """A picture in some format, and the plain RGB picture that must be the same to a model."""

    name: str
    picture: Image.Image
    plain: Image.Image


def pictures() -> list[Image.Image]:
    """Five plain pictures of several sizes, told apart at a glance."""
    return [noise(40, 30), disc(64, 64), waves(90, 33), noise(20, 64, key="other"), bars(48, 56)]


def others() -> list[Image.Image]:
    """As many other ones, to stand beside those."""
    return [bars(30, 40), noise(33, 33, key="third"), disc(80, 24), waves(64, 64), noise(50, 20)]


def photo_sized() -> list[Image.Image]:
    """Pictures as large as those of a study usually are."""
    return [waves(640, 480), noise(480, 640), disc(640, 480), bars(480, 640)]


def labelled() -> Image.Image:
    """A grey picture that the first of `LABELS` describes."""
    return disc(96, 96).convert("L")


def sizes() -> dict[str, Image.Image]:
    """Pictures of uncommon sizes by what they are."""
    return {
        "1 x 1": noise(1, 1),
        "a strip of 800 x 8": waves(800, 8),
        "a strip of 8 x 800": bars(8, 800),
        "3000 x 2000": waves(60, 40).resize((3000, 2000), Image.Resampling.NEAREST),
    }


def formats() -> list[Format]:
    """Pictures in every format that a collection of photos is likely to hold."""
    colour, grey = waves(48, 40), noise(40, 40).convert("L")
    indexed, print_ = colour.quantize(16), colour.convert("CMYK")
    two_tones, deep = grey.convert("1"), np.asarray(grey).astype(np.uint16) * 257
    opaque = grey.convert("LA")
    see_through, on_white = colour.convert("RGBA"), colour.copy()
    see_through.paste((200, 30, 30, 0), (0, 0, 20, 20))
    on_white.paste((255, 255, 255), (0, 0, 20, 20))
    lying = colour.transpose(Image.Transpose.ROTATE_90)
    lying.getexif()[Base.Orientation] = 6  # to be turned clockwise by a quarter
    return [
        Format("grey (L)", grey, grey.convert("RGB")),
        Format("grey with alpha (LA)", opaque, grey.convert("RGB")),
        Format("16-bit grey (I;16)", Image.fromarray(deep), grey.convert("RGB")),
        Format("two tones (1)", two_tones, two_tones.convert("RGB")),
        Format("alpha (RGBA)", colour.convert("RGBA"), colour),
        Format("transparent on white", see_through, on_white),
        Format("palette (P)", indexed, indexed.convert("RGB")),
        Format("CMYK", print_, print_.convert("RGB")),
        Format("turned by EXIF", lying, colour),
    ]


def noise(width: int, height: int, *, key: str = "noise") -> Image.Image:
    """Every pixel of a colour of its own, from a hash: no generator's stream lasts for ever."""
    values = hashlib.shake_128(key.encode()).digest(3 * width * height)
    return Image.frombytes("RGB", (width, height), values)


def waves(width: int, height: int) -> Image.Image:
    """Colours that run into each other, faster to the right than downwards."""
    y, x = _places(width, height)
    channels = (
        255 * x // width,
        255 * y // height,
        (x * 7 + y * 3) * 256 // (width + height) % 256,
    )
    return _picture(*channels)


def disc(width: int, height: int) -> Image.Image:
    """A white disc on black."""
    y, x = _places(width, height)
    is_in = (2 * x - width) ** 2 + (2 * y - height) ** 2 < min(width, height) ** 2 // 2
    return _picture(*[255 * is_in] * 3)


def bars(width: int, height: int) -> Image.Image:
    """Upright bars in eight colours."""
    _, x = _places(width, height)
    bar = 8 * x // width
    return _picture(255 * (bar & 1), 127 * (bar & 2), 63 * (bar & 4))


def _places(width: int, height: int) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
    y, x = np.mgrid[:height, :width]
    return y, x


def _picture(*channels: Int[np.ndarray, "h w"]) -> Image.Image:
    pixels: UInt8[np.ndarray, "h w 3"] = np.stack(channels, axis=-1).astype(np.uint8)
    return Image.fromarray(pixels)
