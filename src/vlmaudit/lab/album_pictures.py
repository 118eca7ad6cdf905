"""The pictures of an album: looked at, enlarged, printed on, and encoded."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeVar

from PIL import Image

from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import InputError
from vlmaudit.imaging.extras import missing_extra
from vlmaudit.imaging.legibility import Legibility, not_read, read_back
from vlmaudit.imaging.reading import RapidReader
from vlmaudit.imaging.stamping import Printing, enlarged

Encoding = Literal["png", "jpeg 95", "as the source"]
"""How all pictures of an album are encoded, printed on or not; the last is the paper's."""

BATCH: Final = 32
"""Pictures at a time: what a kill costs."""
_JPEG: Final = frozenset({".jpg", ".jpeg"})
_QUALITY: Final = 95

One = TypeVar("One")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Source:
    """A picture of the set that can be read.

    Attributes:
        path: The file.
        name: What the set calls it.
        sha256: Of its bytes.
        size: Width and height in pixels.
    """

    path: Path
    name: str
    sha256: str
    size: tuple[int, int]


def look_at(path: Path, name: str) -> Source | str:
    """A picture of the set, or why it cannot be used."""
    try:
        size = open_picture(path).size
        return Source(path, name, hashlib.sha256(path.read_bytes()).hexdigest(), size)
    except (PictureError, OSError) as problem:
        return str(problem)


def encoding_of(protocol: str, sources: Sequence[Source]) -> Encoding:
    """PNG, but where photographs come as JPEG, which PNG would make five times as large."""
    if protocol == "paper":
        return "as the source"
    photographs = sum(1 for one in sources if one.path.suffix.lower() in _JPEG)
    return "jpeg 95" if 2 * photographs > len(sources) else "png"


def ending_of(encoding: Encoding, source: Source) -> str:
    """The ending of a picture's name."""
    if encoding == "as the source":
        return source.path.suffix.lower()
    return ".png" if encoding == "png" else ".jpg"


@dataclass(frozen=True, slots=True)
class Pictures:
    """Makes the pictures of one album.

    Attributes:
        printing: How texts are printed.
        encoding: How pictures are encoded.
    """

    printing: Printing
    encoding: Encoding

    def opened(self, source: Source) -> Image.Image:
        """The picture as it is printed on.

        Raises:
            InputError: It is not what it was when the album was planned.
        """
        try:
            picture = open_picture(source.path)
        except PictureError as problem:
            raise InputError(
                f"{source.path}: {problem}; it could be read a moment ago. Run the same command "
                "again."
            ) from problem
        if self.encoding == "as the source":
            return picture
        return enlarged(picture, self.printing.input_side)

    def encoded(self, picture: Image.Image, source: Source, *, is_printed: bool) -> bytes:
        """The file's bytes; of the paper's, only what is printed on is encoded anew."""
        if self.encoding == "as the source":
            if not is_printed:
                return source.path.read_bytes()
            kind = Image.registered_extensions()[source.path.suffix.lower()]
            return _saved(picture, kind, {})
        if self.encoding == "png":
            return _saved(picture, "PNG", {})
        return _saved(picture, "JPEG", {"quality": _QUALITY, "subsampling": 0})


def _saved(picture: Image.Image, kind: str, options: Mapping[str, int]) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def legibility_of(
    printed: Sequence[tuple[Image.Image, Mapping[str, str]]],
    *,
    input_side: int,
    advance: Callable[[int], object],
) -> Legibility:
    """What a reader makes of printed pictures; without one, why there is none."""
    if not printed:
        return not_read("no picture was read back")
    try:
        reader = RapidReader()
    except InputError:
        return not_read(str(missing_extra("reading back", ImportError("rapidocr"))))
    return read_back(printed, reader, input_side=input_side, advance=advance)


def in_batches(some: Iterable[One], size: int = BATCH) -> Iterator[list[One]]:
    """So many at a time, the rest last."""
    rest = iter(some)
    while batch := list(islice(rest, size)):
        yield batch


class Workers:
    """Threads that decode and encode; what they give comes in order."""

    def __init__(self) -> None:
        """As many as there are cores that this process may use."""
        self._pool = ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)))

    def map(self, work: Callable[[One], Other], some: Sequence[One]) -> list[Other]:
        """The results, in order."""
        return list(self._pool.map(work, some))

    def close(self) -> None:
        """End them."""
        self._pool.shutdown(cancel_futures=True)
