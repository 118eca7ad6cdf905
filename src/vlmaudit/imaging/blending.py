"""A person before another background, with soft edges."""

from typing import Final

import numpy as np

from vlmaudit.imaging.boxes import Mask, Pixels
from vlmaudit.imaging.filling import fill_in

_OPAQUE: Final = 255


def blend(picture: Pixels, mask: Mask, background: Pixels) -> Pixels:
    """The person of `mask` before `background`.

    Where the mask is 255 the picture's pixels stay as they are, bit by bit, and where it is 0 the
    background's do.

    >>> picture, background = np.full((1, 2, 3), 9, np.uint8), np.full((1, 2, 3), 4, np.uint8)
    >>> blend(picture, np.array([[255, 0]], np.uint8), background)[0, :, 0].tolist()
    [9, 4]
    """
    share = mask[..., None].astype(np.uint32)
    mixed = picture * share + background * (_OPAQUE - share) + _OPAQUE // 2
    return (mixed // _OPAQUE).astype(np.uint8)


def paste_back(picture: Pixels, mask: Mask) -> Pixels:
    """The person cut out and pasted back where they were: what the cutting alone does.

    Behind them stands their own background, painted in where they were; so person and background
    are those of the picture, and only the edge was made anew.
    """
    return blend(picture, mask, fill_in(picture, mask))
