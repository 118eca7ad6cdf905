"""Pictures with captions in Parquet tables."""

import contextlib
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vlmaudit.data.captioned_pictures import (
    CAPTION_FIELDS,
    CaptionedPicture,
    Source,
    captions_of,
    fail_without_caption,
    listed_picture,
    split_of,
)
from vlmaudit.errors import InputError

if TYPE_CHECKING:
    from pyarrow import Schema

_PICTURE_COLUMNS: Final = ("image", "jpg", "jpeg", "png", "webp")
_SHARD_OF_SPLIT: Final = re.compile(r"(.+)-\d+-of-\d+")
_ROWS: Final = 64  # of a Parquet file in memory at a time: pictures from the web have 0.1-1 MB


def read_parquet(source: Source) -> Iterator[CaptionedPicture]:
    """Tables that hold pictures, or name them; a download that failed is left out."""
    for path in source.files:
        named = _SHARD_OF_SPLIT.fullmatch(path.stem)
        split_of_name = named[1] if named else ""
        with contextlib.closing(_rows(path)) as rows:
            for number, record in enumerate(rows, start=1):
                picture = _of_row(f"{source.prefix(path)}/{number}", path, number, record)
                if picture is not None:
                    yield replace(picture, split=picture.split or split_of_name)


def _of_row(
    key: str, path: Path, number: int, record: Mapping[str, Any]
) -> CaptionedPicture | None:
    """One row's picture, or None for a download that failed."""
    where = f"{path.name}: row {number}"
    column = next(name for name in _PICTURE_COLUMNS if name in record)
    picture = _stored_picture(path.parent, record[column], where)
    if picture is None:
        if record.get("status", "success") != "success":
            return None
        raise InputError(f'{where}: no picture in "{column}"; remove the row.')
    captions = captions_of(record, where) or fail_without_caption(where)
    return CaptionedPicture(key, captions, picture, split_of(record, where))


def _rows(path: Path) -> Generator[dict[str, Any]]:
    """The columns that matter here, row by row."""
    with _parquet(path) as file:
        columns = _columns(path, file.schema_arrow)
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
            yield from batch.to_pylist()


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            yield file
    except (OSError, pyarrow.ArrowException) as problem:
        reason = str(problem).splitlines()[0]
        raise InputError(f"{path}: torn, or no Parquet ({reason}); get it again.") from problem


def _columns(path: Path, schema: "Schema") -> list[str]:
    """The columns to read: the first that holds pictures, and what is said of them."""
    from pyarrow import types

    def holds_pictures(name: str) -> bool:
        kind = schema.field(name).type
        if types.is_struct(kind):
            return "bytes" in {kind.field(place).name for place in range(kind.num_fields)}
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    pictures = [name for name in _PICTURE_COLUMNS if name in schema.names and holds_pictures(name)]
    captions = [name for name in CAPTION_FIELDS if name in schema.names]
    for what, found, wanted in (
        ("pictures (bytes, or a struct of bytes and path)", pictures, _PICTURE_COLUMNS),
        ("captions", captions, CAPTION_FIELDS),
    ):
        if not found:
            raise InputError(
                f"{path}: no column of {what}: wanted {' or '.join(wanted)}, has "
                f"{', '.join(schema.names)}."
            )
    further = [name for name in ("split", "status") if name in schema.names]
    return [pictures[0], *captions, *further]


def _stored_picture(
    folder: Path, cell: bytes | Mapping[str, Any] | None, where: str
) -> bytes | Path | None:
    """A cell's bytes, or the file that it names where the bytes were left out."""
    if cell is None or isinstance(cell, bytes):
        return cell
    if cell["bytes"] is not None or not cell.get("path"):
        return cell["bytes"]
    return listed_picture(folder, {"image": cell["path"]}, where)


def count_rows(path: Path) -> int:
    """How many pictures a table has."""
    with _parquet(path) as file:
        columns = _columns(path, file.schema_arrow)
        if columns[0] == "image" or "status" not in columns:
            return file.metadata.num_rows
        statuses = file.read(columns=["status"]).column("status").to_pylist()
        return sum(status == "success" for status in statuses)
