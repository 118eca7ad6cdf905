"""The OCR filter: pictures in which a person's name can be read are dropped, or painted over."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from PIL import Image
from rich.console import Console

from vlmaudit.data.identities import People, read_people
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.plan import Picture
from vlmaudit.execution.progress import progress
from vlmaudit.execution.rendering import MANIFEST, copy_people, empty_or_ours, save_png
from vlmaudit.execution.running import first_people, list_all
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.filling import fill_in
from vlmaudit.imaging.found import Found, FoundCache
from vlmaudit.imaging.names_in_text import RULES, NameRead, Rule, find_name
from vlmaudit.imaging.reading import load_text_reader
from vlmaudit.imaging.rendering import pixels_of
from vlmaudit.imaging.seams import Line, TextReader
from vlmaudit.imaging.text_masks import text_mask
from vlmaudit.results.files import write_text, write_whole
from vlmaudit.results.fingerprint import fingerprint

DROPPED: Final = "dropped.csv"
SCHEMA: Final = {
    "identity": pl.String,
    "image": pl.String,
    "became": pl.String,
    "rule": pl.String,
    "part": pl.String,
    "read": pl.String,
}
"""A row a picture that was not kept as it was: what became of it, and what was read."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """What was written.

    Attributes:
        pictures: How many there were.
        kept: How many were kept as they are.
        dropped: The others, as in ``dropped.csv``.
        without: People of whom no picture is left.
    """

    pictures: int
    kept: int
    dropped: pl.DataFrame
    without: tuple[str, ...]


def filter_text(
    people: Path,
    out: Path,
    *,
    rule: str,
    reader: str,
    inpaint: bool,
    limit: int | None,
    console: Console,
) -> Filtered:
    """Copy a people's folder without the pictures in which the person's name can be read.

    Pictures are written anew, as PNG files under numbers: no metadata and no file name that says
    who it is. What was read is kept in the cache, so that the same command again goes on quickly.

    Args:
        people: Whose pictures.
        out: Gets the folder of people, ``dropped.csv`` and ``manifest.json``; its owner's alone.
        rule: ``paper`` or ``audit``, as in `names_in_text.find_name`.
        reader: Who reads, as on the command line.
        inpaint: Paint all text of such a picture over, instead of dropping it.
        limit: Only the first so many people.
        console: Where progress goes.

    Raises:
        AuditError: People, reader or folder cannot be used; the message says why.
    """
    if rule not in RULES:
        raise InputError(f'--rule "{rule}": wanted {" or ".join(RULES)}.')
    which: Rule = "paper" if rule == "paper" else "audit"
    reads = load_text_reader(reader)
    found = first_people(read_people(people), limit)
    names = {one.identity: (one.name, *one.aliases) for one in found.persons}
    pictures, _ = list_all(found, None, console)
    _agree(out, found, pictures, {"rule": rule, "reader": reads.name, "inpaint": inpaint})
    copy_people(found, out)
    cache = FoundCache()
    rows: list[tuple[str, ...]] = []
    left = dict.fromkeys(names, 0)
    with progress("Reading text in pictures", len(pictures), console) as advance:
        for place, picture in enumerate(pictures, start=1):
            advance(1)
            try:
                pixels = pixels_of(open_picture(picture.path))
            except PictureError as problem:
                rows.append((picture.identity, picture.image, "unreadable", "", "", str(problem)))
                continue
            lines = _read(reads, cache, pixels, picture)
            name = find_name(names[picture.identity], [line.text for line in lines], which)
            if name is not None:
                became = "painted over" if inpaint else "dropped"
                rows.append((picture.identity, picture.image, became, which, name.part, name.read))
            if (shown := _shown(pixels, lines, name, inpaint=inpaint)) is not None:
                left[picture.identity] += 1
                file = out / picture.path.parent.name / f"{place:06d}.png"
                if not file.exists():
                    save_png(Image.fromarray(shown), file)
    dropped = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    write_whole(out / DROPPED, dropped.write_csv, private=True)
    without = tuple(identity for identity, number in left.items() if not number)
    return Filtered(len(pictures), len(pictures) - len(rows), dropped, without)


def _agree(
    out: Path, people: People, pictures: Sequence[Picture], settings: dict[str, object]
) -> None:
    """Make the folder, or see that what it holds was filtered from the same in the same way.

    Otherwise pictures that one rule keeps would stay where another drops them.

    Raises:
        RunError: It holds something else.
    """
    if out.resolve().is_relative_to(people.root.resolve()):
        raise RunError(f"{out}: lies in the folder of people; give a folder elsewhere (--out).")
    empty_or_ours(out, MANIFEST)
    names = [[one.identity, one.folder, one.name, *one.aliases] for one in people.persons]
    files = [[picture.image, picture.digest] for picture in pictures]
    manifest = {"schema": 1, "of": fingerprint([names, files]), **settings}
    path = out / MANIFEST
    try:
        before = json.loads(path.read_bytes()) if path.exists() else manifest
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: damaged; give another folder (--out).") from problem
    if before != manifest:
        raise RunError(
            f"{out}: holds pictures that were filtered by another rule or reader, or other "
            "pictures; give another folder (--out)."
        )
    write_text(path, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _read(
    reader: TextReader, cache: FoundCache, pixels: Pixels, picture: Picture
) -> Sequence[Line]:
    def look() -> Found:
        return Found(lines=tuple(reader.read(pixels)))

    return cache.get(picture.digest, reader.name, look).lines or ()


def _shown(
    pixels: Pixels, lines: Sequence[Line], name: NameRead | None, *, inpaint: bool
) -> Pixels | None:
    """What is written of a picture; None where it is dropped."""
    if name is None:
        return pixels
    if not inpaint:
        return None
    height, width = pixels.shape[:2]
    return fill_in(pixels, text_mask(lines, width=width, height=height))
