"""Printing a record on pictures: compositing the text's box against the whole picture, on one core.

The paper's script makes a transparent layer of the picture's size, draws on it, and composites the
two; we composite where the text is. The pixels are compared first, and must be the same. Decoding
and encoding, which both need alike, are not in it.

    python benchmarks/stamping.py [--pictures 50] [--rounds 5]
"""

import argparse

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from _timing import alternate, print_table
from vlmaudit.data.albums import text_of
from vlmaudit.data.private_records import PAPER_FIELDS, draw_records
from vlmaudit.imaging.stamping import Printing, print_text
from vlmaudit.seeds import stream

TARGET = 2
SIZE = (640, 480)
RECORDS = 20
"""As many as the paper's set has."""
BASE = "whole picture (the paper's script)"
OURS = "the text's box"
AUDIT = "audit protocol"


def as_the_paper(picture: Image.Image, text: str, x: int, y: int) -> Image.Image:
    """What `add_privacy_to_image.py` does between opening and saving."""
    base = picture.convert("RGBA")
    layer = Image.new("RGBA", base.size, (255, 255, 255, 0))
    drawing = ImageDraw.Draw(layer)
    font = ImageFont.load_default()
    drawing.textbbox((0, 0), text, font=font)  # by which it draws x and y
    drawing.text((x, y), text, font=font, fill=(255, 255, 255, 128))
    return Image.alpha_composite(base, layer).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
        for _ in range(arguments.pictures)
    ]
    names = [field.name for field in PAPER_FIELDS]
    records = draw_records(PAPER_FIELDS, RECORDS, seed=0)
    texts = [text_of(names, records[place % RECORDS]) for place in range(len(pictures))]
    paper, audit = Printing(protocol="paper"), Printing()

    stamps = []
    for number, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        ours, stamp = print_text(picture, text, paper, stream(0, number))
        theirs = as_the_paper(picture, text, stamp.x, stamp.y)
        if ours.tobytes() != theirs.tobytes():
            raise SystemExit(f"picture {number}: other pixels than the paper's")
        stamps.append(stamp)
    print(f"{len(pictures)} pictures of {SIZE[0]} x {SIZE[1]}: every pixel is the paper's.")

    def whole() -> None:
        for picture, text, stamp in zip(pictures, texts, stamps, strict=True):
            as_the_paper(picture, text, stamp.x, stamp.y)

    def ours_with(printing: Printing) -> None:
        for number, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
            print_text(picture, text, printing, stream(0, number))

    seconds = alternate(
        {BASE: whole, OURS: lambda: ours_with(paper), AUDIT: lambda: ours_with(audit)},
        rounds=arguments.rounds,
    )
    print_table(seconds, base=BASE, target=f"target: {OURS} at least {TARGET} times as fast")


if __name__ == "__main__":
    main()
