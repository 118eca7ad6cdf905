"""Text embeddings kept across runs: the text tower is the real cost on a CPU."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vlmaudit.errors import RunError
from vlmaudit.models.base import ContrastiveModel
from vlmaudit.results.caches import cache_folder
from vlmaudit.results.files import make_private
from vlmaudit.results.fingerprint import fingerprint

_CHUNK = 2048  # texts between two commits: what an interruption may cost


class CachedTexts:
    """Encodes texts once for ever a checkpoint.

    Rows are keyed by the weights' digest, the arithmetic and a hash of the text, so that the
    cache holds no name in readable form.
    """

    def __init__(self, model: ContrastiveModel, folder: Path | None = None) -> None:
        """Open the checkpoint's cache; any number of processes may share it."""
        self._model = model
        record = model.record
        texts = make_private((folder or cache_folder()) / "texts")
        key = fingerprint(record.model_dump(exclude={"name"}))
        self._path = texts / f"{key}.sqlite"
        with self._open() as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, row BLOB)")

    def encode_texts(
        self, texts: Sequence[str], *, advance: Callable[[int], None] = lambda _: None
    ) -> Float[np.ndarray, "texts dim"]:
        """Unit-length text embeddings, from the cache where it has them.

        Args:
            texts: What to encode; duplicates are encoded once.
            advance: Told how many texts were settled since it was last called.
        """
        keys = _keys(texts)
        unique = list(keys)
        rows: dict[str, Float[np.ndarray, " dim"]] = {}
        with self._open() as database:
            for start in range(0, len(unique), _CHUNK):
                chunk = unique[start : start + _CHUNK]
                found = self._look_up(database, [keys[text] for text in chunk])
                missing = [text for text in chunk if keys[text] not in found]
                if missing:
                    encoded = self._model.encode_texts(missing)
                    found |= dict(zip((keys[text] for text in missing), encoded, strict=True))
                    self._store(database, [(keys[text], found[keys[text]]) for text in missing])
                rows |= {text: found[keys[text]] for text in chunk}
                advance(len(chunk))
        if not rows:
            return self._model.encode_texts([])
        return np.stack([rows[text] for text in texts])

    def count_missing(self, texts: Sequence[str]) -> int:
        """How many different texts would have to be encoded."""
        keys = list(_keys(texts).values())
        with self._open() as database:
            return sum(
                len(chunk) - len(self._look_up(database, chunk))
                for start in range(0, len(keys), _CHUNK)
                for chunk in [keys[start : start + _CHUNK]]
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The cache; what is wrong with its file is the user's to mend, and no bug."""
        try:
            with closing(sqlite3.connect(self._path, timeout=60)) as database:
                yield database
        except sqlite3.DatabaseError as problem:
            raise RunError(
                f"{self._path}: the cache of text embeddings cannot be used ({problem}); make room "
                "or delete it, or name another folder (VLMAUDIT_CACHE)."
            ) from problem

    @staticmethod
    def _look_up(
        database: sqlite3.Connection, keys: Sequence[bytes]
    ) -> dict[bytes, Float[np.ndarray, " dim"]]:
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, row FROM texts WHERE key IN ({marks})"
        return {key: np.frombuffer(row, np.float32) for key, row in database.execute(query, keys)}

    @staticmethod
    def _store(
        database: sqlite3.Connection, rows: Sequence[tuple[bytes, Float[np.ndarray, " dim"]]]
    ) -> None:
        # What is not a number is not worth keeping: another run shall ask again.
        sound = [(key, row.tobytes()) for key, row in rows if np.isfinite(row).all()]
        with database:
            database.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", sound)


def _keys(texts: Sequence[str]) -> dict[str, bytes]:
    """Each different text's key; a text cannot be told from it."""
    return {text: hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts}
