"""Pictures as servers get them: their pixels, and nothing else."""

import base64
import hashlib
import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from vlmaudit.data.images import as_rgb

LONGEST_SIDE: Final = 1024
SENT_AS: Final = f"PNG, 8-bit RGB, at most {LONGEST_SIDE} pixels a side, no metadata"
"""How pictures reach a server, for the manifest: it bears on every answer.

PNG, since it loses nothing: the server sees the pixels that an adapter on this machine would show,
and no second compression stands between a picture and a model that may remember it. Measured on a
photograph of 1024 x 768 pixels: 1.4 MB in 57 ms, once for all questions about it; JPEG of quality
95 would be 0.4 MB.
"""

# Beyond the lowest, PNG's levels cost time and save about 3 % on photographs.
_COMPRESSION: Final = 1


@dataclass(frozen=True, slots=True)
class SentPicture:
    """A picture as it is sent, and the digest of its pixels."""

    base64_png: str
    digest: bytes


def prepare(image: Image.Image) -> SentPicture:
    """A picture of any mode and size, ready to be sent.

    Raises:
        PictureError: It cannot be shown.
    """
    rgb = as_rgb(image)
    rgb.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=None)
    pixels = rgb.tobytes()
    # A picture of nothing but these pixels: Pillow would write colour profile and more from `rgb`.
    bare = Image.frombytes("RGB", rgb.size, pixels)
    file = io.BytesIO()
    bare.save(file, "PNG", compress_level=_COMPRESSION)
    # Pixels and not the file, whose bytes change with the version of zlib.
    digest = hashlib.blake2b(f"{rgb.width}x{rgb.height}".encode() + pixels, digest_size=16)
    return SentPicture(base64.b64encode(file.getvalue()).decode(), digest.digest())
