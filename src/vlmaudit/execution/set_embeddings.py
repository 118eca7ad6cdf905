"""Embeddings of a whole set of pictures on the disk, batch by batch; a killed run goes on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from rich.console import Console

from vlmaudit.audits.asking import NO_MEMORY, NOT_NUMBERS
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import OutOfMemoryError, RunError
from vlmaudit.execution.progress import progress
from vlmaudit.lab.sessions import THUMBNAIL_SIDE, thumbnails
from vlmaudit.models.base import ContrastiveModel
from vlmaudit.results.files import make_private, sync_folder
from vlmaudit.results.journal import open_journal

JOURNAL: Final = "embedded.jsonl"

_BATCH: Final = 64
_READERS: Final = 4
_VECTORS: Final = "embeddings.f16"
_THUMBNAILS: Final = "thumbnails.f16"
_SMALL: Final = 2 * THUMBNAIL_SIDE
"""Pixels a side of the squashed pictures that thumbnails are made of."""


@dataclass(frozen=True, slots=True, eq=False)
class SetEmbeddings:
    """What a model makes of the pictures of a set.

    Attributes:
        vectors: Unit rows in half precision, a memory map; zeros where a picture failed. Half
            precision moves a cosine by less than 0.001, which only orders candidates.
        thumbnails: Unit rows that tell copies, as `lab.sessions` makes them; a memory map.
        is_embedded: Which pictures did not fail.
        failed: Their places in the set, with the reason.
    """

    vectors: Float[np.ndarray, "pictures dim"]
    thumbnails: Float[np.ndarray, "pictures pixels"]
    is_embedded: Bool[np.ndarray, " pictures"]
    failed: tuple[tuple[int, str], ...]


def embed_set(
    n_pictures: int,
    path: Callable[[int], Path],
    model: ContrastiveModel,
    folder: Path,
    *,
    title: str,
    console: Console,
) -> SetEmbeddings:
    """Embed what is not embedded yet.

    Numbers reach the disk before the journal says that they are there: a kill costs a batch. That
    folder and set belong together is the caller's to see to.

    Args:
        n_pictures: How many pictures the set has.
        path: Where each lies; may raise `PictureError`, which is recorded.
        model: Embeds them.
        folder: Gets the files; its owner's alone, since embeddings give pictures away.
        title: Of the progress bar.
        console: Where progress goes.

    Raises:
        RunError: Another process is at it, or files are damaged.
    """
    make_private(folder)
    journal = open_journal(folder / JOURNAL)
    if journal is None:
        raise RunError(f"{folder}: another process embeds this set; wait, or stop it.")
    try:
        dim = model.encode_images([Image.new("RGB", (_SMALL, _SMALL), "grey")]).shape[1]
        is_new = not journal.batches
        vectors = _mapped(folder / _VECTORS, np.float16, (n_pictures, dim), is_new=is_new)
        small = _mapped(
            folder / _THUMBNAILS, np.float16, (n_pictures, THUMBNAIL_SIDE**2), is_new=is_new
        )
        sync_folder(folder)
        done = {int(row["start"]) for batch in journal.batches for row in batch}
        starts = [start for start in range(0, n_pictures, _BATCH) if start not in done]
        left = [range(start, min(start + _BATCH, n_pictures)) for start in starts]
        with (
            progress(title, sum(map(len, left)), console) as advance,
            ThreadPoolExecutor(_READERS) as readers,
        ):
            for places, opened in _opened(path, left, readers):
                rows = _rows(model, opened)
                for place, row in zip(places, rows, strict=True):
                    if not isinstance(row, str):
                        vectors[place], small[place] = row
                vectors.flush()
                small.flush()
                reasons = zip(places, rows, strict=True)
                failed = [[place, row] for place, row in reasons if isinstance(row, str)]
                journal.append([{"start": places.start, "failed": failed}])
                advance(len(places))
        why = tuple(
            (int(place), str(reason))
            for batch in journal.batches
            for row in batch
            for place, reason in row["failed"]
        )
    finally:
        journal.close()
    is_embedded = np.ones(n_pictures, dtype=bool)
    is_embedded[[place for place, _ in why]] = False
    return SetEmbeddings(vectors, small, is_embedded, why)


def _opened(
    path: Callable[[int], Path], batches: Sequence[range], readers: Executor
) -> Iterator[tuple[range, list[Image.Image | str]]]:
    """The pictures of every batch; the next one is read while the model is at this one."""

    def read(batch: range) -> Iterator[Image.Image | str]:
        return readers.map(lambda place: _open(path, place), batch)

    ahead = read(batches[0]) if batches else iter(())
    for number, batch in enumerate(batches):
        opened = list(ahead)
        ahead = read(batches[number + 1]) if number + 1 < len(batches) else iter(())
        yield batch, opened


def _open(path: Callable[[int], Path], place: int) -> Image.Image | str:
    try:
        return open_picture(path(place))
    except PictureError as problem:
        return str(problem)


_Row = tuple[Float[np.ndarray, " dim"], Float[np.ndarray, " pixels"]]


def _rows(model: ContrastiveModel, opened: Sequence[Image.Image | str]) -> list[_Row | str]:
    """Embedding and thumbnail of every picture, or why there is none."""
    pictures = [one for one in opened if isinstance(one, Image.Image)]
    embeddings = iter(_embeddings(model, pictures))
    rows: list[_Row | str] = []
    for one in opened:
        if isinstance(one, str):
            rows.append(one)
            continue
        row = next(embeddings)
        rows.append(row if isinstance(row, str) else (row, _thumbnail(one)))
    return rows


def _thumbnail(picture: Image.Image) -> Float[np.ndarray, " pixels"]:
    small = picture.resize((_SMALL, _SMALL), Image.Resampling.LANCZOS)
    return thumbnails(np.asarray(small)[None])[0]


def _embeddings(
    model: ContrastiveModel, pictures: Sequence[Image.Image]
) -> list[Float[np.ndarray, " dim"] | str]:
    if not pictures:
        return []
    try:
        rows = model.encode_images(pictures)
    except OutOfMemoryError:
        if len(pictures) == 1:
            return [NO_MEMORY.reason]
        # One picture may be to blame; the others shall not fail with it.
        return [row for picture in pictures for row in _embeddings(model, [picture])]
    return [row if np.isfinite(row).all() else NOT_NUMBERS.reason for row in rows]


def _mapped(path: Path, dtype: Any, shape: tuple[int, ...], *, is_new: bool) -> np.memmap:  # noqa: ANN401
    """A file of numbers as an array that is written through.

    Raises:
        RunError: It has another size than the journal's numbers need.
    """
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if is_new:
        with path.open("wb") as file:
            path.chmod(0o600)
            file.truncate(n_bytes)
    elif not path.is_file() or path.stat().st_size != n_bytes:
        raise RunError(f"{path}: missing or damaged; give another folder (--out).")
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)
