"""Small pictures of detected people, where somebody asks for them."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from vlmaudit.audits.asked import PEOPLE
from vlmaudit.errors import RunError
from vlmaudit.report.parts import Pictures
from vlmaudit.report.persons import ShownFinding
from vlmaudit.results.cases import read_cases
from vlmaudit.results.numbers import counted, visible
from vlmaudit.results.run_folder import RunFolder

SIDE: Final = 96
_QUALITY: Final = 75
_AROUND: Final = 120
"""Bytes of page around a picture."""
_NOTES: Final = 2000
"""Bytes of page for what is missing."""
_NAMED: Final = 5
"""People without a picture whom a note names; it counts the others."""


def detected_pictures(finding: ShownFinding, run: RunFolder, budget: int) -> Pictures:
    """One picture of everybody who was detected, for so many bytes of page.

    Args:
        finding: Who was detected.
        run: The run that the finding concludes; it says where the pictures lie.
        budget: Bytes that the pictures may take altogether.

    Raises:
        RunError: The run does not say whose pictures it showed to the model.
    """
    detected = [row.identity for row in finding.people if row.detected]
    files = picture_files(run, detected)
    budget -= _NOTES
    shown: dict[str, str] = {}
    missing: list[str] = []
    for place, identity in enumerate(detected):
        address = next(_addresses(files.get(identity, ())), None)
        if address is None:
            missing.append(identity)
        elif len(address) + _AROUND > budget:
            return Pictures(shown, (*_missing(missing), _too_many(len(detected) - place)))
        else:
            budget -= len(address) + _AROUND
            shown[identity] = address
    return Pictures(shown, _missing(missing))


def picture_files(run: RunFolder, identities: Sequence[str]) -> Mapping[str, Sequence[Path]]:
    """The files that the run showed to the model, by identity; they need not be there still.

    Raises:
        RunError: The run does not say.
    """
    manifest = run.read_manifest()
    try:
        people = pl.read_parquet(run.private / PEOPLE)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise RunError(
            f"{run.private / PEOPLE}: cannot be read; without it no picture is found."
        ) from problem
    folder_of = dict(people.select("identity", "folder").iter_rows())
    cases = read_cases(run.private).select("identity", "image").unique().sort("identity", "image")
    wanted = set(identities)
    files: dict[str, list[Path]] = {}
    for identity, image in cases.iter_rows():
        # Cases call a picture folder/file; only names of files lead anywhere, and never out.
        folder, file = folder_of.get(identity) or identity, Path(image).name
        if identity in wanted and file and Path(folder).name == folder:
            files.setdefault(identity, []).append(Path(manifest.people) / folder / file)
    return files


def _addresses(files: Sequence[Path]) -> Iterator[str]:
    """The pictures that can be opened, small and without anything that the file says of itself."""
    from PIL import Image

    from vlmaudit.data.images import PictureError, open_picture

    for file in files:
        try:
            picture = open_picture(file)
        except PictureError:
            continue
        picture.thumbnail((SIDE, SIDE))
        # Painted anew: comments, places and profiles stay with the old one.
        bare = Image.new("RGB", picture.size)
        bare.paste(picture)
        content = io.BytesIO()
        bare.save(content, "JPEG", quality=_QUALITY, optimize=True)
        yield f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _missing(identities: Sequence[str]) -> tuple[str, ...]:
    if not identities:
        return ()
    named = ", ".join(visible(identity) for identity in identities[:_NAMED])
    more = f" and {len(identities) - _NAMED} more" if len(identities) > _NAMED else ""
    people = counted(len(identities), "detected person", "detected people")
    return (f"No picture could be opened of {people}: {named}{more}.",)


def _too_many(left: int) -> str:
    people = counted(left, "detected person has", "detected people have")
    return f"The page is full: {people} no picture in it."
