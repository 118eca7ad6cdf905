"""The folder of a run: what was asked, what came back, what it means."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import Field, ValidationError

from vlmaudit.data.paths import is_plain
from vlmaudit.errors import RunError
from vlmaudit.results import environment, self_test
from vlmaudit.results.blocks import BlockStore
from vlmaudit.results.files import make_private, remove_leftovers, write_text
from vlmaudit.results.locks import locked, try_lock
from vlmaudit.results.records import ModelRecord, Record

Observation: TypeAlias = dict[str, str | int | list[str] | None]
Conclusion: TypeAlias = dict[str, str | int | float | list[int] | list[str] | None]


# Files in the run's root that are written by whoever has the run prepared.
_COMMON: Final = ("*.json", "*.parquet")


class Manifest(Record):
    """manifest.json: what is asked, of which weights."""

    schema_version: int = Field(default=1, alias="schema")
    audit: str = Field(description="Which audit, such as identity-inference.")
    model_spec: str = Field(description="The model as the user named it.")
    model: ModelRecord
    people: str = Field(description="The folder of the audited people, as given.")
    controls: str | None = Field(description="The folder of the control people, as given.")
    observation: Observation = Field(
        description="What decides which answers are stored; a resumed run must agree in it."
    )
    conclusion: Conclusion = Field(
        description="What decides how they are read; may change without asking the model again."
    )


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, root: Path) -> None:
        """Name the folder; nothing is made or read yet.

        Raises:
            RunError: No run can be kept in a folder of that name.
        """
        if not is_plain(root):
            raise RunError(
                f"{root}: the folder's name is no UTF-8, or begins with a ~ that the shell left as "
                "it is; give another folder, or write it out."
            )
        self.root = root
        self.private = root / "private"
        self.manifest_file = root / "manifest.json"

    def make(self, *, fresh: bool) -> None:
        """Make the folder ready for a new run or for going on with the one it holds.

        Raises:
            RunError: It holds files that are no run of ours, or cannot be written.
        """
        try:
            is_run = self.manifest_file.exists()
            if not is_run and self._holds_something():
                raise RunError(f"{self.root}: holds other files; give a new folder (--out).")
            if fresh and is_run:
                self._forget()
            self.root.mkdir(parents=True, exist_ok=True)
            make_private(self.private)
        except OSError as problem:
            raise RunError(f"{self.root}: cannot be written ({problem.strerror}).") from problem

    def _holds_something(self) -> bool:
        """Anything but the private folder that a run leaves whose model did not load."""
        found = [*self.root.glob("*"), *self.private.glob("*")]
        return any(path not in {self.private, self._driven, self._prepared} for path in found)

    def _forget(self) -> None:
        """Remove what was observed, unless somebody is at it."""
        make_private(self.private)
        lock = try_lock(self._driven)
        if lock is None:
            raise RunError(
                f"{self.root}: another process is at work on this run; stop it before you start "
                "over (--fresh)."
            )
        try:
            # In this order: without its manifest, what is in it could be anybody's.
            shutil.rmtree(self.private, ignore_errors=True)
            for file in (environment.FILE, self_test.FILE):
                (self.root / file).unlink(missing_ok=True)
            self.manifest_file.unlink()
        finally:
            os.close(lock)

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be one of the processes at work on the run; nobody starts it over meanwhile."""
        lock = try_lock(self._driven, shared=True)
        if lock is None:
            raise RunError(f"{self.root}: another process is starting this run over; wait for it.")
        try:
            yield
        finally:
            os.close(lock)

    def is_driven(self) -> bool:
        """Whether some process is at work on the run right now."""
        if not self._driven.exists():
            return False
        lock = try_lock(self._driven)
        if lock is None:
            return True
        os.close(lock)
        return False

    @contextmanager
    def prepared(self, when_busy: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Change or read the run's common files while nobody else does.

        Args:
            when_busy: Called once if another process has to be waited for.
        """
        with locked(self._prepared, when_busy):
            remove_leftovers(self.private)
            for name in _COMMON:
                remove_leftovers(self.root, name)
            yield

    @property
    def _driven(self) -> Path:
        return self.private / "driven.lock"

    @property
    def _prepared(self) -> Path:
        return self.private / "prepared.lock"

    def blocks(self) -> BlockStore:
        """The outcomes of what was asked."""
        return BlockStore(self.private)

    def read_manifest(self) -> Manifest:
        """The manifest of a run that exists.

        Raises:
            RunError: There is none, or it is none of ours.
        """
        try:
            return Manifest.model_validate_json(self.manifest_file.read_bytes())
        except (FileNotFoundError, NotADirectoryError) as problem:
            raise RunError(f"{self.root}: no run here (no manifest.json).") from problem
        except (OSError, ValidationError) as problem:
            raise RunError(
                f"{self.manifest_file}: not a manifest that this version reads; give another "
                "folder (--out)."
            ) from problem

    def agree(self, manifest: Manifest) -> None:
        """Write the manifest, or check that the run it continues asks the same of the same model.

        Raises:
            RunError: Something that decides the answers differs; it is named.
        """
        if self.manifest_file.exists():
            before = self.read_manifest()
            was = {"model": before.model.model_dump(exclude={"name"}), **before.observation}
            now = {"model": manifest.model.model_dump(exclude={"name"}), **manifest.observation}
            for key, value in now.items():
                if was.get(key) != value:
                    raise RunError(
                        f"{self.root}: holds a run with another {key.replace('_', ' ')}; give "
                        "another folder (--out) or start over (--fresh)."
                    )
        write_text(self.manifest_file, manifest.model_dump_json(indent=2, by_alias=True) + "\n")
