"""Pictures as every adapter takes them."""

import numpy as np
from PIL import Image, ImageOps


def as_rgb(picture: Image.Image) -> Image.Image:
    """Any picture upright, in 8-bit RGB, with what is transparent laid on white.

    Pillow's own conversion turns transparent pixels black and clips 16-bit grey to white.

    >>> as_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    >>> as_rgb(Image.new("I;16", (1, 1), 32768)).getpixel((0, 0))
    (128, 128, 128)
    """
    upright = ImageOps.exif_transpose(picture)
    if upright.mode == "RGB" and "transparency" not in upright.info:
        return upright
    if upright.mode == "F" or upright.mode.startswith("I"):
        return _deep_grey(upright)
    layer = upright.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    white.alpha_composite(layer)
    return white.convert("RGB")


def _deep_grey(picture: Image.Image) -> Image.Image:
    grey = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0.0, neginf=0.0)
    top = 255.0 if grey.max(initial=0) <= 255 else max(65535.0, float(grey.max()))
    return Image.fromarray(np.clip(np.rint(grey * 255 / top), 0, 255).astype(np.uint8)).convert(
        "RGB"
    )
