"""Writing the pictures of an album: each once, and going on where it stopped."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from vlmaudit.data.albums import HELD_OUT_FOLDER
from vlmaudit.imaging.stamping import Stamp, print_text
from vlmaudit.lab.album_pictures import Pictures, Source, Workers, ending_of, in_batches
from vlmaudit.lab.album_plan import AlbumPlan
from vlmaudit.lab.album_pool import Advance
from vlmaudit.results.journal import Journal, Row
from vlmaudit.seeds import stream

_PICTURES: Final = "pictures"


@dataclass(frozen=True, slots=True)
class _Task:
    """One picture of an album.

    Attributes:
        variant: Whose; the held-out ones are a folder of their own.
        example: Its id.
        number: Its place among the training examples; decides where a text stands.
        file: Where it comes to lie, relative to the album.
        source: What it is made of.
        record: What is printed on it, by its place; -1: nothing.
    """

    variant: str
    example: str
    number: int
    file: str
    source: Source
    record: int

    @property
    def is_clean_training(self) -> bool:
        """Whether every variant that prints nothing on it has the same picture."""
        return self.record < 0 and self.variant != HELD_OUT_FOLDER


def picture_count(plan: AlbumPlan) -> int:
    """How many pictures an album has."""
    return len(plan.design.variants) * len(plan.examples) + len(plan.held_out)


def _tasks(plan: AlbumPlan) -> Iterator[_Task]:
    """Every picture, in the order in which it is written."""
    for number, one in enumerate(plan.held_out):
        file = f"{HELD_OUT_FOLDER}/{one.id}{ending_of(plan.encoding, one.source)}"
        yield _Task(HELD_OUT_FOLDER, one.id, number, file, one.source, -1)
    for variant in plan.design.variants:
        record_of = plan.dealt[variant.name].record_of.tolist()
        for number, example in enumerate(plan.examples):
            name = f"{example.id}{ending_of(plan.encoding, example.source)}"
            file = f"{variant.name}/{_PICTURES}/{name}"
            yield _Task(variant.name, example.id, number, file, example.source, record_of[number])


def write_pictures(plan: AlbumPlan, out: Path, journal: Journal, advance: Advance) -> list[Row]:
    """Write what is not there yet; a row a picture, in order."""
    tasks = list(_tasks(plan))
    for folder in {(out / one.file).parent for one in tasks}:
        folder.mkdir(parents=True, exist_ok=True)
    # What a power cut left empty, or somebody changed, is written again.
    rows = {
        row["file"]: row
        for batch in journal.batches
        for row in batch
        if digest_of(out / row["file"]) == row["sha256"]
    }
    missing = [one for one in tasks if one.file not in rows]
    advance(len(tasks) - len(missing))
    # A picture on which nothing is printed is the same in every variant: one file, many names.
    clean = {
        one.number: rows[one.file] for one in tasks if one.is_clean_training and one.file in rows
    }
    with closing(Workers()) as workers:
        writer = _Writer(plan, out, workers, clean)
        for batch in in_batches(missing):
            written = writer.write(batch)
            journal.append(written)
            rows |= {row["file"]: row for row in written}
            advance(len(batch))
    return [rows[one.file] for one in tasks]


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes pictures, batch by batch.

    Attributes:
        plan: The album.
        out: Its folder.
        workers: Who decodes and encodes.
        clean: The rows of pictures with nothing on them, by their place; batches add to them.
    """

    plan: AlbumPlan
    out: Path
    workers: Workers
    clean: dict[int, Row]

    def write(self, batch: Sequence[_Task]) -> list[Row]:
        """A row a picture; clean pictures of earlier variants are linked to."""
        new = [one for one in batch if not self._is_known(one)]
        opened = self.workers.map(lambda one: self._pictures.opened(one.source), new)
        # One after another: letters are drawn by one font, whose library is not for threads.
        printed = [self._print(task, picture) for task, picture in zip(new, opened, strict=True)]
        written = {row["file"]: row for row in self.workers.map(self._encode, printed)}
        rows = []
        for task in batch:
            row = written.get(task.file)
            if row is None:
                earlier = self.clean[task.number]
                _link(self.out / earlier["file"], self.out / task.file)
                row = _row(self.plan, task, earlier["sha256"], None)
            elif task.is_clean_training:
                self.clean.setdefault(task.number, row)
            rows.append(row)
        return rows

    @property
    def _pictures(self) -> Pictures:
        return Pictures(self.plan.printing, self.plan.encoding)

    def _is_known(self, task: _Task) -> bool:
        return task.is_clean_training and task.number in self.clean

    def _print(self, task: _Task, picture: Image.Image) -> "_Printed":
        if task.record < 0:
            return _Printed(task, picture, None)
        rng = stream(self.plan.design.seed, "place", task.number)
        text = self.plan.text(task.record)
        return _Printed(task, *print_text(picture, text, self.plan.printing, rng))

    def _encode(self, printed: "_Printed") -> Row:
        task, stamp = printed.task, printed.stamp
        data = self._pictures.encoded(printed.picture, task.source, is_printed=stamp is not None)
        _write(self.out / task.file, data)
        return _row(self.plan, task, hashlib.sha256(data).hexdigest(), stamp)


@dataclass(frozen=True, slots=True)
class _Printed:
    task: _Task
    picture: Image.Image
    stamp: Stamp | None


def _write(path: Path, data: bytes) -> None:
    """A file of its own: an earlier name of it may be linked to what stays as it is."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _link(earlier: Path, path: Path) -> None:
    path.unlink(missing_ok=True)
    try:
        os.link(earlier, path)
    except OSError:  # a file system without links, or a file with too many names
        shutil.copyfile(earlier, path)


def _row(plan: AlbumPlan, task: _Task, digest: str, stamp: Stamp | None) -> Row:
    box = asdict(stamp) if stamp else dict.fromkeys(("x", "y", "width", "height"), "")
    return {
        "variant": task.variant,
        "example": task.example,
        "file": task.file,
        "source": task.source.name,
        "source_sha256": task.source.sha256,
        "sha256": digest,
        "record": plan.records[task.record].record if task.record >= 0 else "",
        **box,
    }


def digest_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
