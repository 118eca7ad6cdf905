"""What is found in a picture, and a cache of it: boxes and silhouettes, never a face."""

import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from vlmaudit.errors import RunError
from vlmaudit.imaging.boxes import Box, Mask
from vlmaudit.imaging.seams import Face, Line
from vlmaudit.results.caches import cache_folder
from vlmaudit.results.files import make_private
from vlmaudit.results.fingerprint import fingerprint

MOST_BYTES: Final = 512 << 20
"""What the cache may hold; silhouettes of some 50,000 pictures. The oldest go first."""

_PRUNE_EVERY: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What finders say of one picture.

    Attributes:
        faces: All faces; None: nobody looked for them.
        figures: How many people there are.
        subject: Why the person in `mask` is whom the picture is of; empty where nobody is.
        mask: Which pixels are that person; None: nobody was found, or looked for.
        lines: The text that can be read; None: nobody looked for any.
    """

    faces: tuple[Face, ...] | None = None
    figures: int = 0
    subject: str = ""
    mask: Mask | None = None
    lines: tuple[Line, ...] | None = None


class FoundCache:
    """What was found in pictures, by the pictures' bytes and by who looked.

    Any number of processes may share it. It holds boxes, silhouettes and what was read of text,
    and so lies in a folder that only its owner may enter.
    """

    def __init__(self, folder: Path | None = None, *, most_bytes: int = MOST_BYTES) -> None:
        """Open the cache, or make it."""
        self._path = make_private((folder or cache_folder()) / "found") / "found.sqlite"
        self._most = most_bytes
        self._since = 0
        with self._open() as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS found (key BLOB PRIMARY KEY, place INTEGER, "
                "content BLOB, mask BLOB)"
            )
            database.execute("CREATE INDEX IF NOT EXISTS found_place ON found (place)")

    def get(self, digest: str, finders: str, find: Callable[[], Found]) -> Found:
        """What is in a picture: from the cache where it has it, else looked for and kept.

        Args:
            digest: Of the picture's bytes.
            finders: Everything that decides what is found.
            find: Looks for it.
        """
        key = fingerprint([digest, finders]).encode()
        with self._open() as database:
            row = database.execute(
                "SELECT content, mask FROM found WHERE key = ?", (key,)
            ).fetchone()
            if row is not None and (known := _read(*row)) is not None:
                return known
        found = find()
        self._keep(key, found)
        return found

    @property
    def n_bytes(self) -> int:
        """How much it holds."""
        with self._open() as database:
            return self._held(database)

    def _keep(self, key: bytes, found: Found) -> None:
        content, mask = _written(found)
        with self._open() as database, database:
            database.execute(
                "INSERT OR REPLACE INTO found VALUES "
                "(?, (SELECT COALESCE(MAX(place), 0) + 1 FROM found), ?, ?)",
                (key, content, mask),
            )
            self._since += 1
            if self._since >= _PRUNE_EVERY or len(mask or b"") > self._most // 8:
                self._since = 0
                self._prune(database)

    def _prune(self, database: sqlite3.Connection) -> None:
        while self._held(database) > self._most:
            oldest = "SELECT key FROM found ORDER BY place LIMIT 1 + (SELECT COUNT(*) FROM found)/8"
            database.execute(f"DELETE FROM found WHERE key IN ({oldest})")  # no user's text in it

    @staticmethod
    def _held(database: sqlite3.Connection) -> int:
        query = "SELECT COALESCE(SUM(LENGTH(content) + COALESCE(LENGTH(mask), 0)), 0) FROM found"
        return int(database.execute(query).fetchone()[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The cache; what is wrong with its file is the user's to mend, and no bug."""
        try:
            with closing(sqlite3.connect(self._path, timeout=60)) as database:
                yield database
        except sqlite3.DatabaseError as problem:
            raise RunError(
                f"{self._path}: the cache of what was found in pictures cannot be used "
                f"({problem}); make room or delete it, or name another folder (VLMAUDIT_CACHE)."
            ) from problem


def _written(found: Found) -> tuple[bytes, bytes | None]:
    content = {
        "faces": None
        if found.faces is None
        else [[tuple(face.box), face.score, face.points] for face in found.faces],
        "figures": found.figures,
        "subject": found.subject,
        "lines": None if found.lines is None else [astuple(line) for line in found.lines],
    }
    mask = None
    if found.mask is not None:
        file = io.BytesIO()
        Image.fromarray(found.mask).save(file, format="PNG", compress_level=1)
        mask = file.getvalue()
    return json.dumps(content).encode(), mask


def _read(content: bytes, mask: bytes | None) -> Found | None:
    """What was kept; None where its bytes are damaged: then it is looked for again."""
    try:
        kept = json.loads(content)
        pixels = None
        if mask is not None:
            with Image.open(io.BytesIO(mask), formats=("PNG",)) as picture:
                pixels = np.asarray(picture.convert("L"))
        return Found(
            faces=None
            if kept["faces"] is None
            else tuple(
                Face(Box(*box), score, tuple((x, y) for x, y in points))
                for box, score, points in kept["faces"]
            ),
            figures=int(kept["figures"]),
            subject=str(kept["subject"]),
            mask=pixels,
            lines=None
            if kept["lines"] is None
            else tuple(
                Line(text, tuple((x, y) for x, y in corners), score)
                for text, corners, score in kept["lines"]
            ),
        )
    except (OSError, SyntaxError, ValueError, LookupError, TypeError):
        return None
