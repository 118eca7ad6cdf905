"""Whole folders of people under conditions, for the eye and for other programs."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from PIL import Image
from rich.console import Console

from vlmaudit.data.csv_tables import read_csv
from vlmaudit.data.identities import TABLE_NAME, People, read_people
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import RunError
from vlmaudit.execution.conditions import Conditions, open_conditions
from vlmaudit.execution.looks import Looks
from vlmaudit.execution.plan import Picture
from vlmaudit.execution.progress import progress
from vlmaudit.execution.running import first_people, list_all
from vlmaudit.imaging.faces import load_face_finder
from vlmaudit.imaging.rendering import pixels_of
from vlmaudit.imaging.sheets import contact_sheet
from vlmaudit.results.files import make_private, write_text, write_whole

FACTS: Final = "shown.csv"
MANIFEST: Final = "manifest.json"
SHEETS: Final = "sheets"

_ROWS_A_SHEET: Final = 12


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was written.

    Attributes:
        facts: A row a picture and condition, as in ``shown.csv``.
        unreadable: Pictures that could not be read, with the reason.
        sheets: Contact sheets.
    """

    facts: pl.DataFrame
    unreadable: tuple[tuple[str, str], ...]
    sheets: tuple[Path, ...]


def render_people(
    people: Path,
    out: Path,
    conditions: Sequence[str],
    looks: Looks,
    *,
    seed: int,
    device: str,
    limit: int | None,
    with_sheets: bool,
    console: Console,
) -> Rendered:
    """Write every picture of a people's folder under every condition, each a folder of people.

    The same command again goes on where it was stopped. Pictures are written as PNG files without
    any metadata; people and file names stay as they are, since other programs go by them.

    Args:
        people: Whose pictures.
        out: Gets a folder a condition, ``shown.csv`` and ``manifest.json``; its owner's alone.
        conditions: In canonical form, the original first.
        looks: Who finds what.
        seed: Deals landscapes to pictures.
        device: Where networks run.
        limit: Only the first so many people.
        with_sheets: Whether contact sheets are drawn.
        console: Where progress goes.

    Raises:
        AuditError: People, finders or folder cannot be used; the message says why.
    """
    shower = open_conditions(conditions, looks, seed=seed, device=device)
    found = first_people(read_people(people), limit)
    pictures, _ = list_all(found, None, console)
    _agree(out, shower)
    facts = shower.look(pictures, None, console)
    write_whole(out / FACTS, facts.write_csv, private=True)
    for condition in conditions:
        copy_people(found, out / folder_of(condition))
    unreadable: list[tuple[str, str]] = []
    sheets: list[Path] = []
    rows: list[dict[str, Image.Image]] = []
    with progress("Pictures", len(pictures), console) as advance:
        for place, picture in enumerate(pictures, start=1):
            advance(1)
            files = {one: _file(out, one, picture) for one in conditions}
            is_there = all(file.exists() for file in files.values())
            if is_there and not with_sheets:
                continue
            try:
                shown = shower.render(picture)
            except PictureError as problem:
                unreadable.append((picture.image, str(problem)))
                continue
            for condition, file in files.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                save_png(shown[condition], file)
            if with_sheets:
                rows.append(shown)
            if rows and (len(rows) == _ROWS_A_SHEET or place == len(pictures)):
                sheets.append(_write_sheet(out, len(sheets) + 1, rows))
                rows = []
    return Rendered(facts, tuple(unreadable), tuple(sheets))


def find_faces(people: Path, out: Path, faces: str, *, console: Console) -> tuple[int, int, int]:
    """Write where faces are, as ``--faces boxes:FILE`` reads it.

    Returns:
        Pictures, pictures without a face, and faces.

    Raises:
        AuditError: People, finder or file cannot be used; the message says why.
    """
    finder = load_face_finder(faces)
    pictures, _ = list_all(read_people(people), None, console)
    rows: list[tuple[str, int, int, int, int, float]] = []
    without = 0
    with progress("Looking for faces", len(pictures), console) as advance:
        for picture in pictures:
            advance(1)
            try:
                found = finder.find(pixels_of(open_picture(picture.path)), picture.image)
            except PictureError:
                found = []
            without += not found
            rows += [(picture.image, *face.box, round(face.score, 4)) for face in found]
    schema = {
        "image": pl.String,
        **dict.fromkeys(("left", "top", "width", "height"), pl.Int64),
        "score": pl.Float64,
    }
    write_whole(out, pl.DataFrame(rows, schema=schema, orient="row").write_csv, private=True)
    return len(pictures), without, len(rows)


def folder_of(condition: str) -> str:
    """What a condition's folder is called: no colon, which some file systems do not have.

    >>> folder_of("white+pixelated:16")
    'white+pixelated-16'
    """
    return condition.replace(":", "-")


def _agree(out: Path, shower: Conditions) -> None:
    """Make the folder, or see that it holds pictures made in the same way."""
    manifest = {"schema": 1, "conditions": shower.names(), "notices": list(shower.notices)}
    path = out / MANIFEST
    if path.exists():
        try:
            before = json.loads(path.read_bytes())["conditions"]
        except (OSError, ValueError, LookupError, TypeError) as problem:
            raise RunError(f"{path}: damaged; give another folder (--out).") from problem
        now = manifest["conditions"]
        assert isinstance(now, dict)
        if any(before[key] != now[key] for key in before.keys() & now.keys()):
            raise RunError(
                f"{out}: holds pictures that were made with other finders, backgrounds or seed; "
                "give another folder (--out)."
            )
        manifest["conditions"] = before | now
    empty_or_ours(out, MANIFEST)
    write_text(path, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def empty_or_ours(out: Path, mark: str) -> None:
    """Make a folder for its owner alone; refuse one that holds anything else.

    Args:
        out: The folder.
        mark: A file that stands in a folder of ours.

    Raises:
        RunError: It holds something else.
    """
    if out.exists() and not (out / mark).exists() and any(out.iterdir()):
        raise RunError(f"{out}: holds something else; give an empty folder (--out).")
    make_private(out)


def copy_people(people: People, folder: Path) -> None:
    """Make a folder of the same people, still without pictures: their folders, and their table.

    Whoever gets no picture stays in it, as in `read_people`; whoever `--limit` left out does not.
    """
    for person in people.persons:
        (folder / person.folder).mkdir(parents=True, exist_ok=True)
    table = people.root / TABLE_NAME
    if not table.exists():
        return
    identities = {person.identity for person in people.persons}
    rows = [row for _, row in read_csv(table, wanted=(), required=("identity",))]

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for row in rows if row["identity"] in identities)

    write_whole(folder / TABLE_NAME, write, private=True)


def _file(out: Path, condition: str, picture: Picture) -> Path:
    folder, name = picture.path.parent.name, picture.path.name
    return out / folder_of(condition) / folder / f"{name}.png"


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture whole, for its owner alone, and without any metadata."""

    def write(part: Path) -> None:
        picture.save(part, format="PNG", compress_level=1)

    write_whole(path, write, private=True)


def _write_sheet(out: Path, number: int, rows: Sequence[dict[str, Image.Image]]) -> Path:
    folder = out / SHEETS
    folder.mkdir(exist_ok=True)
    path = folder / f"sheet-{number:03d}.png"
    save_png(contact_sheet(rows), path)
    return path
