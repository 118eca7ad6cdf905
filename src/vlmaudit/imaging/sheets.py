"""Contact sheets: pictures in rows, conditions in columns, for the eye."""

from collections.abc import Mapping, Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

SIDE: Final = 180
"""Pixels of a picture on a sheet."""
_GAP: Final = 6
_HEAD: Final = 30
_PAPER: Final = "white"
_INK: Final = "#222222"
_MISSING: Final = "#eeeeee"


def contact_sheet(rows: Sequence[Mapping[str, Image.Image]]) -> Image.Image:
    """One sheet of pictures, a row each, under every condition.

    Nothing on it says whose pictures they are.

    Args:
        rows: For each picture, how it looks under each condition; all have the same conditions.
    """
    conditions = list(rows[0]) if rows else []
    width = _GAP + len(conditions) * (SIDE + _GAP)
    sheet = Image.new("RGB", (max(width, 1), _HEAD + len(rows) * (SIDE + _GAP) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for column, condition in enumerate(conditions):
        left = _GAP + column * (SIDE + _GAP)
        pen.text((left, _GAP), condition, fill=_INK, font=font)
        for row, shown in enumerate(rows):
            top = _HEAD + row * (SIDE + _GAP)
            small = shown[condition].copy()
            small.thumbnail((SIDE, SIDE))
            sheet.paste(_MISSING, (left, top, left + SIDE, top + SIDE))
            sheet.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
    return sheet
