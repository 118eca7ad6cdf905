"""Pictures decoded once, cropped and scaled as a model sees them, in one memory-mapped file."""

import hashlib
import io
import itertools
import json
import os
import struct
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import polars as pl
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from vlmaudit.data.images import MAX_PIXELS, PictureError, as_rgb
from vlmaudit.errors import InputError, RunError
from vlmaudit.results.files import make_private, remove_leftovers, write_text, write_whole

PICTURES_NAME: Final = "pictures.npy"
INDEX_NAME: Final = "index.parquet"
MANIFEST_NAME: Final = "cache.json"

_SCHEMA: Final = 1  # of the files and of how a picture is decoded: a cache of another is not used
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
# What Pillow was seen to raise on damaged bytes.
_DAMAGE: Final = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError),
    struct.error,
)
_GAP: Final = 2  # see `decode_picture`
_MAX_RATIO: Final = 100
_CHUNK: Final = 16  # pictures a task, so that threads decode and do not merely hand over
_CHUNKS_AHEAD: Final = 3  # a worker: some 50 stored pictures wait in memory, not a shard

Picture = bytes | Path


@dataclass(frozen=True, slots=True, eq=False)
class CachedPictures:
    """Decoded pictures on disk.

    Attributes:
        folder: Where they lie; open to its owner alone.
        pictures: Memory-mapped and read-only.
        keys: One a picture, in the same order.
        left_out: Why others are missing, by their keys.
    """

    folder: Path
    pictures: UInt8[np.ndarray, "pictures side side 3"]
    keys: tuple[str, ...]
    left_out: Mapping[str, str]


def cache_pictures(
    pictures: Iterable[tuple[str, Picture]],
    folder: Path,
    *,
    side: int,
    progress: Callable[[int], object] | None = None,
    workers: int | None = None,
) -> CachedPictures:
    """Decode pictures into a folder, or find them decoded.

    The iterable is gone through once, and never held in memory. The folder is found complete if
    it was made from the same keys in the same order at the same side, and if neither the bytes
    changed nor, where a picture is a file, its size and date. Otherwise it is written whole or not
    at all; one process at a time.

    Args:
        pictures: Keys, each unique, and pictures: stored bytes or files.
        folder: A folder of its own.
        side: Pixels.
        progress: Told how many pictures were done since.
        workers: Threads that decode; by default one for each processor that we may use.

    Raises:
        InputError: There is no picture that can be read, or a key comes twice.
        RunError: The folder holds something else, other pictures, or is damaged.
        OSError: The disk is full.
    """
    progress = progress or (lambda done: None)
    manifest = _read_manifest(folder)
    if manifest is not None:
        _check_same(folder, manifest, side, pictures, progress)
        return _open(folder, manifest)
    _check_nothing_else(folder)
    make_private(folder)
    remove_leftovers(folder)
    builder = _Builder(side, progress, workers or len(os.sched_getaffinity(0)))
    try:
        with warnings.catch_warnings():
            # Our own limit is below the size at which Pillow warns. The filter is the process's:
            # a worker must not set it, or another one restores it too early.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            write_whole(
                folder / PICTURES_NAME, lambda part: builder.write(part, pictures), private=True
            )
        builder.check(folder)
        index = pl.DataFrame(
            builder.rows, {"key": pl.String, "ok": pl.Boolean, "reason": pl.String}, orient="row"
        )
        write_whole(folder / INDEX_NAME, index.write_parquet, private=True)
        manifest = builder.manifest()
        write_text(folder / MANIFEST_NAME, json.dumps(manifest, indent=1) + "\n")
    except BaseException:
        for name in (PICTURES_NAME, INDEX_NAME, MANIFEST_NAME):
            (folder / name).unlink(missing_ok=True)
        raise
    return _open(folder, manifest)


def decode_picture(picture: Picture, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """One picture as an open_clip model of this input size sees it, before normalisation.

    Upright, RGB, its shortest side scaled to `side` by Pillow's antialiased bicubic filter, the
    centre cut out: what open_clip's evaluation transform does, rounding included, so that training
    on the cache and an audit of the files see the same. A picture less than four times too large,
    and any that is no JPEG, comes out byte for byte the same. Of larger JPEGs the decoder itself
    leaves out whole octaves, down to no less than twice the size wanted. That is twice as quick,
    and changes a 640 x 480 photo at 64 pixels by 0.25 of 255 grey levels on average and by 8 at
    most; without that reserve it would be half as quick again, and change it by 0.85 and 13.

    Raises:
        PictureError: The picture cannot be read, is too large or too narrow.
    """
    try:
        if isinstance(picture, Path) and not picture.is_file():
            raise PictureError("no such file")
        raw = picture.read_bytes() if isinstance(picture, Path) else picture
        with Image.open(io.BytesIO(raw), formats=_FORMATS) as opened:
            short, long = sorted(opened.size)
            if short * long > MAX_PIXELS:
                raise PictureError(f"{short} x {long} pixels, more than {MAX_PIXELS:,}")
            if long > _MAX_RATIO * short:
                raise PictureError(f"{short} x {long} pixels, too narrow to be cut square")
            box = None
            if opened.getexif().get(ExifTags.Base.Orientation, 1) == 1:
                # The scaled picture's last row and column may be part of a pixel: the box is
                # what there is of it. Lying pictures have these on other sides; few are.
                _, box = opened.draft("RGB", (side * _GAP, side * _GAP)) or (None, None)
            upright = as_rgb(opened)
    except Image.DecompressionBombError as problem:
        raise PictureError(f"more than {MAX_PIXELS:,} pixels") from problem
    except UnidentifiedImageError as problem:
        raise PictureError("no picture in a known format") from problem
    except _DAMAGE as problem:
        reason = str(problem) or type(problem).__name__
        raise PictureError(f"damaged picture ({reason.splitlines()[0]})") from problem
    along = int(side * long / short)
    size = (along, side) if upright.width > upright.height else (side, along)
    scaled = upright.resize(size, Image.Resampling.BICUBIC, box)
    left, top = (round((extent - side) / 2) for extent in size)
    return np.asarray(scaled.crop((left, top, left + side, top + side)))


class _Builder:
    """Decodes a stream of pictures into one file, and remembers what became of each."""

    def __init__(self, side: int, progress: Callable[[int], object], workers: int) -> None:
        self.rows: list[tuple[str, bool, str]] = []
        self._side = side
        self._progress = progress
        self._workers = workers
        self._fingerprint = _Fingerprint(side)
        self._n_ok = 0

    def write(self, part: Path, pictures: Iterable[tuple[str, Picture]]) -> None:
        with part.open("wb") as file:
            # NumPy leaves room in the header for any number of rows, which we learn at the end.
            self._write_header(file, 0)
            for keys, decoded in self._decoded(pictures):
                for key, picture in zip(keys, decoded, strict=True):
                    is_ok = not isinstance(picture, str)
                    self.rows.append((key, is_ok, "" if is_ok else str(picture)))
                    if not isinstance(picture, str):
                        file.write(picture.tobytes())
                        self._n_ok += 1
                self._progress(len(keys))
            file.seek(0)
            self._write_header(file, self._n_ok)

    def check(self, folder: Path) -> None:
        """Refuse what is no set of pictures."""
        if not self.rows:
            raise InputError(f"{folder}: no pictures were given to be decoded into it.")
        if not self._n_ok:
            key, _, reason = self.rows[0]
            raise InputError(
                f"{folder}: none of {len(self.rows)} pictures can be read, such as {key}: {reason}."
            )
        seen: set[str] = set()
        for key, _, _ in self.rows:
            if key in seen:
                raise InputError(f'{folder}: two pictures have the key "{key}"; rename one.')
            seen.add(key)

    def manifest(self) -> dict[str, Any]:
        return {
            "schema": _SCHEMA,
            "side": self._side,
            "pictures": self._n_ok,
            "left_out": len(self.rows) - self._n_ok,
            "fingerprint": self._fingerprint.hexdigest(),
        }

    def _write_header(self, file: BinaryIO, rows: int) -> None:
        shape = (rows, self._side, self._side, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

    def _decoded(
        self, pictures: Iterable[tuple[str, Picture]]
    ) -> Iterator[tuple[list[str], list[UInt8[np.ndarray, "side side 3"] | str]]]:
        """Chunks of pictures in their order, while others are being decoded."""
        waiting: deque[tuple[list[str], Future[list[UInt8[np.ndarray, "side side 3"] | str]]]]
        waiting = deque()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        try:
            for chunk in _chunks(pictures):
                for key, picture in chunk:
                    self._fingerprint.add(key, picture)
                stored = [picture for _, picture in chunk]
                waiting.append(
                    ([key for key, _ in chunk], pool.submit(_decode_all, stored, self._side))
                )
                if len(waiting) > _CHUNKS_AHEAD * self._workers:
                    keys, decoded = waiting.popleft()
                    yield keys, decoded.result()
            while waiting:
                keys, decoded = waiting.popleft()
                yield keys, decoded.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_all(pictures: list[Picture], side: int) -> list[UInt8[np.ndarray, "side side 3"] | str]:
    """Each picture, or the reason why there is none."""
    decoded: list[UInt8[np.ndarray, "side side 3"] | str] = []
    for picture in pictures:
        try:
            decoded.append(decode_picture(picture, side))
        except PictureError as problem:
            decoded.append(str(problem))
    return decoded


def _chunks(pictures: Iterable[tuple[str, Picture]]) -> Iterator[list[tuple[str, Picture]]]:
    stream = iter(pictures)
    while chunk := list(itertools.islice(stream, _CHUNK)):
        yield chunk


class _Fingerprint:
    """Names a stream of pictures: their keys, what is in them or since when, and the side."""

    def __init__(self, side: int) -> None:
        self._hash = hashlib.blake2b(f"{_SCHEMA} {side}".encode(), digest_size=16)

    def add(self, key: str, picture: Picture) -> None:
        if isinstance(picture, bytes):
            stamp = hashlib.blake2b(picture, digest_size=16).hexdigest()
        else:
            try:
                status = picture.stat()
                stamp = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                stamp = "none"
        self._hash.update(json.dumps([key, stamp]).encode())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _check_same(
    folder: Path,
    manifest: Mapping[str, Any],
    side: int,
    pictures: Iterable[tuple[str, Picture]],
    progress: Callable[[int], object],
) -> None:
    advice = "choose another folder, or remove this one."
    if manifest.get("schema") != _SCHEMA:
        raise RunError(f"{folder}: holds a cache of another version; {advice}")
    if manifest.get("side") != side:
        raise RunError(f"{folder}: holds pictures of side {manifest.get('side')}; {advice}")
    fingerprint = _Fingerprint(side)
    for chunk in _chunks(pictures):
        for key, picture in chunk:
            fingerprint.add(key, picture)
        progress(len(chunk))
    if manifest.get("fingerprint") != fingerprint.hexdigest():
        raise RunError(f"{folder}: holds other pictures, or some have changed since; {advice}")


def _check_nothing_else(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError(f"{folder}: is no folder; choose another name.")
    ours = {PICTURES_NAME, INDEX_NAME}
    for path in folder.iterdir():
        if path.name not in ours and path.suffix != ".part":
            raise RunError(
                f"{folder}: holds something else, such as {path.name}; choose another folder."
            )


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        raise _damaged(folder, problem) from problem
    if not isinstance(manifest, dict):
        raise _damaged(folder, "no manifest")
    return manifest


def _open(folder: Path, manifest: Mapping[str, Any]) -> CachedPictures:
    try:
        pictures = np.load(folder / PICTURES_NAME, mmap_mode="r", allow_pickle=False)
        index = pl.read_parquet(folder / INDEX_NAME)
        keys = tuple(index.filter("ok")["key"])
        left_out = dict(index.filter(~pl.col("ok")).select("key", "reason").iter_rows())
    except (OSError, ValueError, pl.exceptions.PolarsError) as problem:
        raise _damaged(folder, problem) from problem
    side, n_pictures = manifest["side"], manifest.get("pictures")
    if pictures.shape != (n_pictures, side, side, 3) or len(keys) != n_pictures:
        raise _damaged(folder, "its files do not fit each other")
    return CachedPictures(folder, pictures, keys, left_out)


def _damaged(folder: Path, problem: object) -> RunError:
    reason = (str(problem).splitlines() or [""])[0]
    return RunError(f"{folder}: the cache is damaged ({reason}); remove the folder.")
