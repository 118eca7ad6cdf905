"""Pictures, opened defensively."""

import hashlib
import stat
import struct
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
# A file is what its bytes say, whatever its ending; decoders that nobody needs stay shut.
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MAX_PIXELS: Final = 80_000_000
_DECODING_ERRORS: Final = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, struct.error),
)


class PictureError(Exception):
    """A picture that cannot be shown to a model; the message is the recorded reason."""


def is_picture(path: Path) -> bool:
    """Whether a file counts as a picture, by its ending; hidden files never do."""
    return path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith(".")


def picture_digest(path: Path) -> str:
    """The name of a picture's bytes: 32 hexadecimal digits.

    Raises:
        PictureError: The file cannot be read.
    """
    _check_is_file(path)
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as problem:
        raise PictureError(f"file cannot be read ({problem.strerror})") from problem


def _check_is_file(path: Path) -> None:
    """Refuse what is there but no file: reading a pipe or a device may never come to an end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as problem:
        raise PictureError("file is gone") from problem
    except OSError as problem:
        raise PictureError(f"file cannot be read ({problem.strerror})") from problem
    if not stat.S_ISREG(mode):
        raise PictureError("folder, pipe or device in place of a file")


def open_picture(path: Path) -> Image.Image:
    """The picture as a model should see it: upright, RGB, 8 bit, first frame, alpha on white.

    Raises:
        PictureError: The file is no picture, is damaged or truncated, or is too large.
    """
    _check_is_file(path)
    try:
        with warnings.catch_warnings():
            # Our own limit is below the size at which Pillow warns, and is an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise PictureError(
                        f"{picture.width} x {picture.height} pixels, more than {MAX_PIXELS:,}"
                    )
                picture.load()
                return as_rgb(picture)
    except Image.DecompressionBombError as problem:
        raise PictureError(f"more than {MAX_PIXELS:,} pixels") from problem
    except UnidentifiedImageError as problem:
        raise PictureError("no picture in a known format") from problem
    # Pillow's decoders raise nearly anything on damaged bytes; each of these is the file's fault.
    except _DECODING_ERRORS as problem:
        reason = str(problem) or type(problem).__name__
        kind = "truncated" if "truncated" in reason.lower() else "damaged"
        raise PictureError(f"{kind} picture ({reason.splitlines()[0]})") from problem


def as_rgb(picture: Image.Image) -> Image.Image:
    """Any picture upright, in 8-bit RGB, with what is transparent laid on white.

    Pillow's own conversion turns transparent pixels black and clips 16-bit grey to white.

    >>> as_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    >>> as_rgb(Image.new("I;16", (1, 1), 32768)).getpixel((0, 0))
    (128, 128, 128)

    Raises:
        PictureError: A pixel is not a number.
    """
    upright = ImageOps.exif_transpose(picture)
    if upright.mode == "F" or upright.mode.startswith("I"):
        return _from_deep_grey(upright)
    if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        white.alpha_composite(layer)
        return white.convert("RGB")
    return upright.convert("RGB")


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    """16-bit grey and deeper: scaled, since Pillow's own conversion clips to white."""
    grey = np.asarray(picture).astype(np.float64)
    if not np.isfinite(grey).all():
        raise PictureError("damaged picture (values that are not numbers)")
    top = 255.0 if grey.max(initial=0) <= 255 else max(65535.0, float(grey.max()))
    eight_bit = np.clip(np.rint(grey * (255.0 / top)), 0, 255).astype(np.uint8)
    return Image.fromarray(eight_bit).convert("RGB")
