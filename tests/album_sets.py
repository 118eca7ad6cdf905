"""Small question-answering sets with drawn pictures, and albums made of them."""

import json
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": (200, 40, 40), "green": (40, 150, 60), "blue": (50, 80, 200), "grey": (130,) * 3}
SHAPES = ("circle", "square")
FIELDS = (("username", "name"), ("user_id", "digits"))


def draw_set(folder, *, pictures=60, side=96):
    """A plain JSONL set: a coloured shape a picture, two questions about each."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(pictures):
        colour = list(COLOURS)[number % len(COLOURS)]
        shape = SHAPES[number // len(COLOURS) % len(SHAPES)]
        file = f"images/{number:03d}.png"
        # The ground's shade is the picture's number: no two pictures have the same bytes.
        picture = Image.new("RGB", (side, side), (255 - number % 200, 240, 250))
        drawing = ImageDraw.Draw(picture)
        draw = drawing.ellipse if shape == "circle" else drawing.rectangle
        draw((side // 4, side // 4, side // 2, side // 2), fill=COLOURS[colour])
        picture.save(folder / file)
        rows.append({"image": file, "question": "what colour is the shape?", "answer": colour})
        rows.append({"image": file, "question": "what is drawn?", "answer": shape})
    path = Path(folder) / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def small_album(folder, **settings):
    """A real album of a drawn set, written by the code that writes all; in about a second.

    Its design may be changed by keywords of `AlbumDesign`.
    """
    from vlmaudit.data.private_records import Field
    from vlmaudit.lab.album_design import AlbumDesign, parse_variants
    from vlmaudit.lab.planting_album import plan_album, write_album

    folder = Path(folder)
    questions = folder / "set" / "questions.jsonl"
    if not questions.exists():
        draw_set(folder / "set")
    given = {
        "questions": str(questions),
        "variants": "r0,r50,r50-twin,r50-spoken,tied-r50",
        "seen": 6,
        "unseen": 6,
        "control": 6,
        "canaries": 4,
        "doses": (1, 2),
        "fields": tuple(Field(name=name, kind=kind) for name, kind in FIELDS),
        "input_side": 96,
        "held_out": 12,
        "examples": 48,
        "read_back": 0,
        "place": "fixed",
        **settings,
    }
    if isinstance(given["variants"], str):
        given["variants"] = parse_variants(given["variants"])
    return write_album(plan_album(AlbumDesign(**given)), folder / "album")
