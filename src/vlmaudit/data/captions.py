"""Pictures with captions, read one by one from the layouts in which such sets are handed round."""

import contextlib
import itertools
import json
import os
import re
import tarfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal

from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from pyarrow import Schema

_Layout = Literal["lines", "tars", "files", "parquet"]

_PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp")
_BESIDE: Final = (".txt", ".json")
_LAYOUT_OF_ENDING: Final[Mapping[str, _Layout]] = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".tar": "tars",
    ".parquet": "parquet",
}
_WANTED: Final = (
    "wanted captions.jsonl beside its pictures, webdataset .tar files, pictures with .txt beside "
    "them, or .parquet files with pictures in them"
)
# img2dataset writes "caption" and "txt", Hugging Face's image folders "file_name" and "text".
_PICTURE_FIELDS: Final = ("image", "file_name")
_PICTURE_COLUMNS: Final = ("image", "jpg", "jpeg", "png", "webp")
_CAPTION_FIELDS: Final = ("captions", "caption", "text", "txt")
_SHARD_OF_SPLIT: Final = re.compile(r"(.+)-\d+-of-\d+")
_ROWS: Final = 64  # of a Parquet file in memory at a time: pictures from the web have 0.1-1 MB


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
class _Source:
    """Where a set lies, and how."""

    layout: _Layout
    root: Path
    files: tuple[Path, ...]

    def prefix(self, path: Path) -> str:
        """What keeps the keys of one file apart from another's."""
        return spelt(path.relative_to(self.root).with_suffix("").as_posix())


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
            with _reading(found.files[0]), found.files[0].open("rb") as file:
                return sum(1 for line in file if line.strip())
        case "files":
            return sum(
                ending in _PICTURES
                for _, groups in _folders(found.root)
                for parts in groups.values()
                for ending in parts
            )
        case "parquet":
            return sum(map(_count_rows, found.files))


def _find(source: Path) -> _Source:
    if source.is_dir():
        return _find_in_folder(source)
    if source.is_file():
        return _Source(_layout_of(source), source.parent, (source,))
    if any(sign in source.name for sign in "*?["):
        files = tuple(sorted(path for path in source.parent.glob(source.name) if path.is_file()))
        layouts = {_layout_of(path) for path in files}
        if len(layouts) == 1 and (layouts != {"lines"} or len(files) == 1):
            return _Source(layouts.pop(), source.parent, files)
        raise InputError(
            f"{source}: {len(files)} files of {len(layouts)} kinds; "
            "wanted .tar files only, or .parquet files only."
        )
    raise InputError(f"{source}: no such file or folder; {_WANTED}.")


def _layout_of(path: Path) -> _Layout:
    layout = _LAYOUT_OF_ENDING.get(path.suffix.lower())
    if layout is None:
        raise InputError(f'{path}: ending "{path.suffix}"; {_WANTED}.')
    return layout


def _find_in_folder(folder: Path) -> _Source:
    with _reading(folder):
        names = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    lines = [path for path in names if path.suffix.lower() in {".jsonl", ".ndjson"}]
    if len(lines) > 1:
        raise InputError(
            f"{folder}: {len(lines)} files of JSON lines, such as {spelt(lines[0].name)}; "
            "say which of them."
        )
    if lines:
        return _Source("lines", folder, (lines[0],))
    tars = tuple(path for path in names if path.suffix.lower() == ".tar")
    if tars:
        return _Source("tars", folder, tars)
    # img2dataset leaves a table beside its folders too: it holds no pictures, so folders go first.
    if any(ending in _PICTURES for _, groups in _folders(folder) for ending in _endings(groups)):
        return _Source("files", folder, ())
    tables = tuple(sorted(folder.rglob("*.parquet")))
    if tables:
        return _Source("parquet", folder, tables)
    raise InputError(f"{folder}: no captioned pictures in it; {_WANTED}.")


def _not_empty(source: Path, pictures: Iterator[CaptionedPicture]) -> Iterator[CaptionedPicture]:
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{source}: no captioned picture in it; {_WANTED}.")
    yield first
    yield from pictures


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise InputError(f"{path}: cannot be read ({problem.strerror or problem}).") from problem


# JSON lines


def _read_lines(source: _Source) -> Iterator[CaptionedPicture]:
    path = source.files[0]
    seen: dict[str, int] = {}
    with _reading(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path.name}:{number}"
            record = _json(line, where)
            picture = _listed_picture(path.parent, record, where)
            key = spelt(picture.relative_to(path.parent).as_posix())
            if key in seen:
                raise InputError(
                    f'{where}: picture "{key}" appears twice (first on line {seen[key]}); '
                    "list all its captions on one line."
                )
            seen[key] = number
            captions = _captions(record, where) or _fail_without_caption(where)
            yield CaptionedPicture(key, captions, picture, _split(record, where))


def _listed_picture(folder: Path, record: Mapping[str, Any], where: str) -> Path:
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


# Pictures with texts beside them, in tars and in folders


def _read_tars(source: _Source) -> Iterator[CaptionedPicture]:
    for path in source.files:
        with contextlib.closing(_members(path)) as members:
            yield from _read_tar(path.name, source.prefix(path), members)


def _read_tar(
    name: str, prefix: str, members: Iterator[tuple[str, str, bytes]]
) -> Iterator[CaptionedPicture]:
    seen: set[str] = set()
    for stem, group in itertools.groupby(members, key=lambda member: member[0]):
        where = f'{name}: "{stem}"'
        if stem in seen:
            raise InputError(
                f"{where} appears twice; names must be unique, and the members of a picture "
                "stand together (sort them by name)."
            )
        seen.add(stem)
        parts: dict[str, bytes | Path] = {}
        for _, ending, content in group:
            if ending in parts:
                raise InputError(f"{where} has two members {ending}; names must be unique.")
            parts[ending] = content
        picture = _grouped(f"{prefix}/{stem}", where, parts)
        if picture is not None:
            yield picture


def _members(path: Path) -> Generator[tuple[str, str, bytes]]:
    """The files of a tar that matter here: name up to its first dot, ending, content."""
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                # Else it keeps a record of each, of millions.
                tar.members.clear()  # type: ignore[attr-defined]
                name = PurePosixPath(member.name)
                stem, dot, ending = name.name.partition(".")
                ending = dot + ending.lower()
                content = None
                if stem and member.isreg() and ending in _PICTURES + _BESIDE:
                    content = tar.extractfile(member)
                if content is not None:
                    yield spelt((name.parent / stem).as_posix()), ending, content.read()
            # What is no header ends a tar for Python without a word; a whole one ends in zeros.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("its end is missing")
    except (OSError, EOFError, tarfile.TarError) as problem:
        raise InputError(f"{path}: torn, or no tar ({problem}); get it again.") from problem


def _read_files(source: _Source) -> Iterator[CaptionedPicture]:
    for folder, groups in _folders(source.root):
        for stem, endings in sorted(groups.items()):
            where = spelt((folder / stem).relative_to(source.root).as_posix())
            parts: dict[str, bytes | Path] = {}
            for ending, path in endings.items():
                with _reading(path):
                    parts[ending] = path if ending in _PICTURES else path.read_bytes()
            picture = _grouped(where, f'{source.root.name}: "{where}"', parts)
            if picture is not None:
                yield picture


def _folders(root: Path) -> Iterator[tuple[Path, dict[str, dict[str, Path]]]]:
    """Folder by folder, the files that matter here: by name without ending, then by ending."""

    def fail(problem: OSError) -> None:
        raise InputError(f"{problem.filename}: cannot be read ({problem.strerror}).")

    for folder, subfolders, names in os.walk(root, onerror=fail):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        groups: dict[str, dict[str, Path]] = {}
        for name in sorted(names):
            path = Path(folder, name)
            ending = path.suffix.lower()
            if ending not in _PICTURES + _BESIDE or name.startswith("."):
                continue
            if groups.setdefault(path.stem, {}).setdefault(ending, path) is not path:
                raise InputError(f"{path}: there is another of this name; rename one.")
        yield Path(folder), groups


def _endings(groups: Mapping[str, Mapping[str, Path]]) -> Iterator[str]:
    return itertools.chain.from_iterable(groups.values())


def _grouped(key: str, where: str, parts: Mapping[str, bytes | Path]) -> CaptionedPicture | None:
    """One picture of what shares a name, or None for what is none, such as a shard's statistics."""
    record = _json(parts[".json"], where) if ".json" in parts else {}
    captions = _captions(record, where) or _text_lines(parts.get(".txt", b""), where)
    pictures = [ending for ending in parts if ending in _PICTURES]
    if len(pictures) > 1:
        raise InputError(f"{where} has {' and '.join(pictures)}; names must be unique.")
    if pictures:
        captions = captions or _fail_without_caption(where)
        return CaptionedPicture(key, captions, parts[pictures[0]], _split(record, where))
    if captions or ".txt" in parts:
        raise InputError(
            f"{where} has a caption but no picture ({', '.join(_PICTURES)}); "
            "add it or remove the caption."
        )
    return None


def _text_lines(text: bytes | Path, where: str) -> tuple[str, ...]:
    raw = text if isinstance(text, bytes) else text.read_bytes()
    try:
        return _clean(raw.decode("utf-8-sig").split("\n"), where)
    except UnicodeDecodeError as problem:
        raise InputError(f"{where}: the .txt is no UTF-8 text ({problem.reason}).") from problem


# Parquet


def _read_parquet(source: _Source) -> Iterator[CaptionedPicture]:
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
    captions = _captions(record, where) or _fail_without_caption(where)
    return CaptionedPicture(key, captions, picture, _split(record, where))


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
    captions = [name for name in _CAPTION_FIELDS if name in schema.names]
    for what, found, wanted in (
        ("pictures (bytes, or a struct of bytes and path)", pictures, _PICTURE_COLUMNS),
        ("captions", captions, _CAPTION_FIELDS),
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
    return _listed_picture(folder, {"image": cell["path"]}, where)


def _count_rows(path: Path) -> int:
    with _parquet(path) as file:
        columns = _columns(path, file.schema_arrow)
        if columns[0] == "image" or "status" not in columns:
            return file.metadata.num_rows
        statuses = file.read(columns=["status"]).column("status").to_pylist()
        return sum(status == "success" for status in statuses)


# What all layouts share


def _json(raw: bytes | Path, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(raw if isinstance(raw, bytes) else raw.read_bytes())
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{where}: no JSON ({problem}).") from problem
    if not isinstance(record, dict):
        raise InputError(f'{where}: wanted a JSON object such as {{"caption": "a dog"}}.')
    return record


def _captions(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """What the first field with any caption in it says."""
    for field in _CAPTION_FIELDS:
        value = record.get(field)
        texts = [value] if isinstance(value, str) else value or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError(f'{where}: "{field}" must be a text or a list of texts.')
        cleaned = _clean(texts, where)
        if cleaned:
            return cleaned
    return ()


def _clean(texts: list[str], where: str) -> tuple[str, ...]:
    cleaned = tuple(filter(None, (" ".join(text.split()) for text in texts)))
    try:
        "".join(cleaned).encode()
    except UnicodeEncodeError as problem:  # JSON can spell half a sign
        raise InputError(f"{where}: a caption is no text ({problem.reason}).") from problem
    return cleaned


def _fail_without_caption(where: str) -> tuple[str, ...]:
    raise InputError(f"{where}: no caption; add one or remove the picture.")


def _split(record: Mapping[str, Any], where: str) -> str:
    value = record.get("split")
    if value is not None and not isinstance(value, str):
        raise InputError(f'{where}: "split" must be a text such as train.')
    return value or ""


_READERS: Final = {
    "lines": _read_lines,
    "tars": _read_tars,
    "files": _read_files,
    "parquet": _read_parquet,
}
