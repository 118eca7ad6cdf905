"""Pictures with captions: what all layouts of such sets share."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError, did_you_mean

Layout = Literal["lines", "tars", "files", "parquet"]

PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp")
# img2dataset writes "caption" and "txt", Hugging Face's image folders "file_name" and "text".
_PICTURE_FIELDS: Final = ("image", "file_name")
CAPTION_FIELDS: Final = ("captions", "caption", "text", "txt")


@dataclass(frozen=True, slots=True)
class CaptionedPicture:
    """One picture with what is said of it.

    Attributes:
        key: Unique in its set; the same whenever the same files are read.
        captions: At least one, each without line breaks and doubled blanks.
        picture: Its bytes as they are stored, not decoded, or the file that holds them.
        split: Such as ``train``; empty where the set has none.
    """

    key: str
    captions: tuple[str, ...]
    picture: bytes | Path
    split: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a set lies, and how."""

    layout: Layout
    root: Path
    files: tuple[Path, ...]

    def prefix(self, path: Path) -> str:
        """What keeps the keys of one file apart from another's."""
        return spelt(path.relative_to(self.root).with_suffix("").as_posix())


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever the system says of a file becomes a line that names it."""
    try:
        yield
    except OSError as problem:
        raise InputError(f"{path}: cannot be read ({problem.strerror or problem}).") from problem


def listed_picture(folder: Path, record: Mapping[str, Any], where: str) -> Path:
    """The file that a record names, below its folder."""
    name = next((record[field] for field in _PICTURE_FIELDS if field in record), None)
    if not isinstance(name, str) or not name:
        hint = did_you_mean("image", record)
        raise InputError(f'{where}: no picture; wanted {{"image": "a path", …}}.{hint}')
    try:
        path = folder / PurePosixPath(name)
        if path.is_relative_to(folder) and path.is_file():
            return path
    except (OSError, ValueError):  # no path that any system has
        pass
    raise InputError(
        f'{where}: picture "{name}" does not exist below {folder}; add it or remove the line.'
    )


def json_record(raw: bytes | Path, where: str) -> Mapping[str, Any]:
    """A JSON object, from its bytes or its file."""
    try:
        record = json.loads(raw if isinstance(raw, bytes) else raw.read_bytes())
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{where}: no JSON ({problem}).") from problem
    if not isinstance(record, dict):
        raise InputError(f'{where}: wanted a JSON object such as {{"caption": "a dog"}}.')
    return record


def captions_of(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """What the first field with any caption in it says."""
    for field in CAPTION_FIELDS:
        value = record.get(field)
        texts = [value] if isinstance(value, str) else value or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError(f'{where}: "{field}" must be a text or a list of texts.')
        cleaned = clean_texts(texts, where)
        if cleaned:
            return cleaned
    return ()


def clean_texts(texts: list[str], where: str) -> tuple[str, ...]:
    """Texts without line breaks, doubled blanks and empty ones."""
    cleaned = tuple(filter(None, (" ".join(text.split()) for text in texts)))
    try:
        "".join(cleaned).encode()
    except UnicodeEncodeError as problem:  # JSON can spell half a sign
        raise InputError(f"{where}: a caption is no text ({problem.reason}).") from problem
    return cleaned


def fail_without_caption(where: str) -> tuple[str, ...]:
    """Refuse a picture of which nothing is said."""
    raise InputError(f"{where}: no caption; add one or remove the picture.")


def split_of(record: Mapping[str, Any], where: str) -> str:
    """The part of a set that a record is of; empty where it does not say."""
    value = record.get("split")
    if value is not None and not isinstance(value, str):
        raise InputError(f'{where}: "split" must be a text such as train.')
    return value or ""
