"""Files of captions as streams of bytes, wherever they lie and however they are packed."""

import contextlib
import os
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import pyarrow as pa

Kind = Literal["parquet", "csv", "tsv", "lines", "text", "tar", "json"]

KIND_OF_ENDING: Final[dict[str, Kind]] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".txt": "text",
    ".tar": "tar",
    ".json": "json",
}
COMPRESSION_OF_ENDING: Final = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
_PIECE: Final = 1 << 20  # bytes
_PACKED_PIECE: Final = 1 << 16  # a torn stream loses the piece in which it tears
_BLOCK: Final = 1 << 22
_MARK: Final = b"\xef\xbb\xbf"
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


class CaptionError(Exception):
    """A file, or a part of one, that cannot be read.

    Its message is one line that says what is wrong and what to do, without the file's name.
    """


def is_address(path: str) -> bool:
    """Whether a path is for fsspec, such as ``s3://bucket/part.parquet``."""
    return "://" in path


def endings_of(path: str) -> tuple[str, str]:
    """The ending that tells the kind and the one that tells the packing, in small letters.

    >>> endings_of("cc3m/captions.JSONL.gz"), endings_of("https://host/part.parquet?download=1")
    (('.jsonl', '.gz'), ('.parquet', ''))
    """
    name = path.lower()
    if name.startswith(("http://", "https://")):
        name = name.partition("?")[0]
    stem, ending = posixpath.splitext(name)
    if ending in COMPRESSION_OF_ENDING:
        return posixpath.splitext(stem)[1], ending
    return ending, ""


def kind_of(path: str) -> Kind | None:
    """What a file is by its ending, or None where captions cannot be read from such.

    >>> kind_of("a.jsonl.zst"), kind_of("a.jpg"), kind_of("a.parquet.gz")
    ('lines', None, None)
    """
    ending, packing = endings_of(path)
    kind = KIND_OF_ENDING.get(ending)
    return None if kind == "parquet" and packing else kind  # it must be read at any place


def store_of(address: str) -> tuple[Any, str]:
    """The file system of an address, and the place in it."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    return url_to_fs(address)


def size_of(path: str) -> int:
    """How many bytes a file has.

    Raises:
        CaptionError: It is not there, or cannot be asked.
    """
    with reading(path):
        if not is_address(path):
            return os.stat(path).st_size  # noqa: PTH116 - paths here may be addresses
        files, place = store_of(path)
        return files.size(place) or 0  # a server may not tell


@contextlib.contextmanager
def opened(path: str) -> Iterator[Any]:
    """A file as it is stored, open to be read at any place.

    Raises:
        CaptionError: It cannot be opened or read.
    """
    with reading(path), contextlib.ExitStack() as stack:
        if is_address(path):
            files, place = store_of(path)
            yield stack.enter_context(files.open(place, "rb"))
        else:
            yield stack.enter_context(pa.OSFile(path))


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Give what can go wrong with a file a line that says so.

    Raises:
        CaptionError: Anything that the file or its store is to blame for.
    """
    # Stores far away fail in ways of their own; with a file of ours, anything else is a bug.
    blamed = (Exception,) if is_address(path) else (OSError, EOFError, pa.ArrowException)
    try:
        yield
    except CaptionError:
        raise
    except FileNotFoundError as problem:
        raise CaptionError("there is no such file; check the path.") from problem
    except PermissionError as problem:
        raise CaptionError("may not be read; allow it.") from problem
    except IsADirectoryError as problem:
        raise CaptionError("is a folder; name its files.") from problem
    except blamed as problem:
        reason = (str(problem) or type(problem).__name__).splitlines()[0].rstrip(". ")
        raise CaptionError(f"torn or unreadable ({reason}); get it again.") from problem


@contextlib.contextmanager
def unpacked(path: str) -> Iterator[Any]:
    """A file, unpacked if its ending says so, open to be read from its beginning.

    Raises:
        CaptionError: It cannot be opened or read, or is torn.
    """
    packing = COMPRESSION_OF_ENDING.get(endings_of(path)[1])
    with opened(path) as file:
        if packing is None:
            yield file
            return
        if not file.read(1):
            raise CaptionError(f"empty, hence no {packing} file; get it again.")
        file.seek(0)
        with pa.CompressedInputStream(file, packing) as stream:
            yield stream


def pieces_of(path: str) -> Iterator[bytes]:
    """The unpacked bytes of a file, piece by piece.

    Raises:
        CaptionError: It cannot be read, or is torn; what came before the tear was yielded.
    """
    size = _PACKED_PIECE if endings_of(path)[1] else _PIECE
    with unpacked(path) as file:
        while piece := file.read(size):
            yield piece


def text_pieces_of(path: str) -> Iterator[bytes]:
    """The pieces of a text file, without the mark that some programs put before it.

    Raises:
        CaptionError: As `pieces_of`, or it is UTF-16.
    """
    pieces = pieces_of(path)
    first = next(pieces, b"")
    if first.startswith(_WIDE_MARKS):
        raise CaptionError("UTF-16 text; store it as UTF-8.")
    yield first.removeprefix(_MARK)
    yield from pieces


def line_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of some megabytes of whole lines, each with its line feed.

    Raises:
        CaptionError: As `pieces`; what was whole before it was yielded, a line cut short was not.
    """
    held: list[bytes] = []
    size, wanted = 0, _BLOCK
    torn = None
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size < wanted:
                continue
            block = b"".join(held)
            end = block.rfind(b"\n") + 1
            held, size = [block[end:]], len(block) - end
            wanted = max(_BLOCK, 2 * size)  # a line without end is not joined at every piece
            if end:
                yield block[:end]
    except CaptionError as problem:
        torn = problem
    block = b"".join(held)
    if torn is not None:
        block = block[: block.rfind(b"\n") + 1]
    elif block and not block.endswith(b"\n"):
        block += b"\n"
    if block:
        yield block
    if torn is not None:
        raise torn
