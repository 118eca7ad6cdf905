"""Pictures with texts beside them, in webdataset tars and in folders."""

import contextlib
import itertools
import os
import tarfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from vlmaudit.data.captioned_pictures import (
    PICTURES,
    CaptionedPicture,
    Source,
    captions_of,
    clean_texts,
    fail_without_caption,
    json_record,
    reading,
    split_of,
)
from vlmaudit.data.paths import spelt
from vlmaudit.errors import InputError

_BESIDE: Final = (".txt", ".json")


def read_tars(source: Source) -> Iterator[CaptionedPicture]:
    """Webdataset tars: the members of a picture stand together and share their name."""
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
                if stem and member.isreg() and ending in PICTURES + _BESIDE:
                    content = tar.extractfile(member)
                if content is not None:
                    yield spelt((name.parent / stem).as_posix()), ending, content.read()
            # What is no header ends a tar for Python without a word; a whole one ends in zeros.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("its end is missing")
    except (OSError, EOFError, tarfile.TarError) as problem:
        raise InputError(f"{path}: torn, or no tar ({problem}); get it again.") from problem


def read_files(source: Source) -> Iterator[CaptionedPicture]:
    """Pictures in folders, each with a .txt or .json beside it."""
    for folder, groups in folders(source.root):
        for stem, endings in sorted(groups.items()):
            where = spelt((folder / stem).relative_to(source.root).as_posix())
            parts: dict[str, bytes | Path] = {}
            for ending, path in endings.items():
                with reading(path):
                    parts[ending] = path if ending in PICTURES else path.read_bytes()
            picture = _grouped(where, f'{source.root.name}: "{where}"', parts)
            if picture is not None:
                yield picture


def folders(root: Path) -> Iterator[tuple[Path, dict[str, dict[str, Path]]]]:
    """Folder by folder, the files that matter here: by name without ending, then by ending."""

    def fail(problem: OSError) -> None:
        raise InputError(f"{problem.filename}: cannot be read ({problem.strerror}).")

    for folder, subfolders, names in os.walk(root, onerror=fail):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        groups: dict[str, dict[str, Path]] = {}
        for name in sorted(names):
            path = Path(folder, name)
            ending = path.suffix.lower()
            if ending not in PICTURES + _BESIDE or name.startswith("."):
                continue
            if groups.setdefault(path.stem, {}).setdefault(ending, path) is not path:
                raise InputError(f"{path}: there is another of this name; rename one.")
        yield Path(folder), groups


def endings_of(groups: Mapping[str, Mapping[str, Path]]) -> Iterator[str]:
    """The endings of all files of a folder."""
    return itertools.chain.from_iterable(groups.values())


def _grouped(key: str, where: str, parts: Mapping[str, bytes | Path]) -> CaptionedPicture | None:
    """One picture of what shares a name, or None for what is none, such as a shard's statistics."""
    record = json_record(parts[".json"], where) if ".json" in parts else {}
    captions = captions_of(record, where) or _text_lines(parts.get(".txt", b""), where)
    pictures = [ending for ending in parts if ending in PICTURES]
    if len(pictures) > 1:
        raise InputError(f"{where} has {' and '.join(pictures)}; names must be unique.")
    if pictures:
        captions = captions or fail_without_caption(where)
        return CaptionedPicture(key, captions, parts[pictures[0]], split_of(record, where))
    if captions or ".txt" in parts:
        raise InputError(
            f"{where} has a caption but no picture ({', '.join(PICTURES)}); "
            "add it or remove the caption."
        )
    return None


def _text_lines(text: bytes | Path, where: str) -> tuple[str, ...]:
    raw = text if isinstance(text, bytes) else text.read_bytes()
    try:
        return clean_texts(raw.decode("utf-8-sig").split("\n"), where)
    except UnicodeDecodeError as problem:
        raise InputError(f"{where}: the .txt is no UTF-8 text ({problem.reason}).") from problem
