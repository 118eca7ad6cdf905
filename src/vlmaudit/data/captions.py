"""Pictures with captions, read one by one from the layouts in which such sets are handed round."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from vlmaudit.data.captioned_files import endings_of, folders, read_files, read_tars
from vlmaudit.data.captioned_parquet import count_rows, read_parquet
from vlmaudit.data.captioned_pictures import (
    PICTURES,
    CaptionedPicture,
    Layout,
    Source,
    captions_of,
    fail_without_caption,
    json_record,
    listed_picture,
    reading,
    split_of,
)
from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError

__all__ = ["CaptionedPicture", "count_captioned", "read_captioned"]

_LAYOUT_OF_ENDING: Final[Mapping[str, Layout]] = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".tar": "tars",
    ".parquet": "parquet",
}
_WANTED: Final = (
    "wanted captions.jsonl beside its pictures, webdataset .tar files, pictures with .txt beside "
    "them, or .parquet files with pictures in them"
)


def read_captioned(source: Path) -> Iterator[CaptionedPicture]:
    """Read a captioned set as a stream; no more than a handful of pictures is ever in memory.

    Told apart by what is there, in this order:

    * JSON lines, or a folder with one such file: ``image`` (a path beside it), ``captions`` or
      ``caption``, and ``split`` where there is one;
    * webdataset tars, a file, a folder of them, or a pattern such as ``cc3m/*.tar``: the members
      of a picture stand together and share their name up to its first dot;
    * pictures with ``.txt`` or ``.json`` beside them, in numbered or other folders;
    * Parquet with the pictures in it, as img2dataset (``jpg``) and Hugging Face (``image``)
      write it.

    Of a ``.txt`` every line is a caption. A ``.json`` with captions goes before it, since a caption
    of the web may itself have two lines. Downloads that img2dataset recorded as failed are no
    part of the set.

    Args:
        source: A file, a folder or a pattern.

    Yields:
        Pictures in the order of their files' names, and within a file in its own.

    Raises:
        InputError: The source is none of these, holds no picture, or is wrong somewhere: a line
            or member without picture or caption, a key that comes twice, a torn file.
    """
    found = _find(source)
    return _not_empty(source, _READERS[found.layout](found))


def count_captioned(source: Path) -> int | None:
    """How many pictures a set has, or None where only reading all of it would tell (tars).

    Raises:
        InputError: As `read_captioned`, as far as counting meets it.
    """
    found = _find(source)
    match found.layout:
        case "tars":
            return None
        case "lines":
            with reading(found.files[0]), found.files[0].open("rb") as file:
                return sum(1 for line in file if line.strip())
        case "files":
            return sum(
                ending in PICTURES
                for _, groups in folders(found.root)
                for parts in groups.values()
                for ending in parts
            )
        case "parquet":
            return sum(map(count_rows, found.files))


def _find(source: Path) -> Source:
    if source.is_dir():
        return _find_in_folder(source)
    if source.is_file():
        return Source(_layout_of(source), source.parent, (source,))
    if any(sign in source.name for sign in "*?["):
        files = tuple(sorted(path for path in source.parent.glob(source.name) if path.is_file()))
        layouts = {_layout_of(path) for path in files}
        if len(layouts) == 1 and (layouts != {"lines"} or len(files) == 1):
            return Source(layouts.pop(), source.parent, files)
        raise InputError(
            f"{source}: {len(files)} files of {len(layouts)} kinds; "
            "wanted .tar files only, or .parquet files only."
        )
    raise InputError(f"{source}: no such file or folder; {_WANTED}.")


def _layout_of(path: Path) -> Layout:
    layout = _LAYOUT_OF_ENDING.get(path.suffix.lower())
    if layout is None:
        raise InputError(f'{path}: ending "{path.suffix}"; {_WANTED}.')
    return layout


def _find_in_folder(folder: Path) -> Source:
    with reading(folder):
        names = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    lines = [path for path in names if path.suffix.lower() in {".jsonl", ".ndjson"}]
    if len(lines) > 1:
        raise InputError(
            f"{folder}: {len(lines)} files of JSON lines, such as {spelt(lines[0].name)}; "
            "say which of them."
        )
    if lines:
        return Source("lines", folder, (lines[0],))
    tars = tuple(path for path in names if path.suffix.lower() == ".tar")
    if tars:
        return Source("tars", folder, tars)
    # img2dataset leaves a table beside its folders too: it holds no pictures, so folders go first.
    if any(ending in PICTURES for _, groups in folders(folder) for ending in endings_of(groups)):
        return Source("files", folder, ())
    tables = tuple(sorted(folder.rglob("*.parquet")))
    if tables:
        return Source("parquet", folder, tables)
    raise InputError(f"{folder}: no captioned pictures in it; {_WANTED}.")


def _not_empty(source: Path, pictures: Iterator[CaptionedPicture]) -> Iterator[CaptionedPicture]:
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{source}: no captioned picture in it; {_WANTED}.")
    yield first
    yield from pictures


def _read_lines(source: Source) -> Iterator[CaptionedPicture]:
    path = source.files[0]
    seen: dict[str, int] = {}
    with reading(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path.name}:{number}"
            record = json_record(line, where)
            picture = listed_picture(path.parent, record, where)
            key = spelt(picture.relative_to(path.parent).as_posix())
            if key in seen:
                raise InputError(
                    f'{where}: picture "{key}" appears twice (first on line {seen[key]}); '
                    "list all its captions on one line."
                )
            seen[key] = number
            captions = captions_of(record, where) or fail_without_caption(where)
            yield CaptionedPicture(key, captions, picture, split_of(record, where))


_READERS: Final = {
    "lines": _read_lines,
    "tars": read_tars,
    "files": read_files,
    "parquet": read_parquet,
}
