"""Writing an album: every picture once, what stops goes on, and what is not whole does not read."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vlmaudit.data.albums import (
    ALBUM_FILE,
    HELD_OUT_FILE,
    HELD_OUT_FOLDER,
    PICTURES_FILE,
    RECORDS_FILE,
    Album,
    read_album,
)
from vlmaudit.errors import RunError
from vlmaudit.lab.album_plan import AlbumPlan, plan_album
from vlmaudit.lab.album_pool import Watch, unwatched
from vlmaudit.lab.album_tables import write_tables
from vlmaudit.lab.album_writing import picture_count, write_pictures
from vlmaudit.lab.manifests import differing, read_json, write_json
from vlmaudit.results.files import remove_leftovers
from vlmaudit.results.journal import Journal, open_journal

__all__ = ["plan_album", "write_album"]

PLANTING_FILE: Final = "planting.json"
"""What is being planted; it stands beside an album, so that another one is told from it."""
_JOURNAL: Final = ".pictures.jsonl"


def write_album(
    plan: AlbumPlan,
    out: Path,
    *,
    fresh: bool = False,
    watch: Watch = unwatched,
) -> Album:
    """Write an album, or go on with one that was stopped.

    Until album.json is there, which comes last, nobody takes the folder for an album.

    Args:
        plan: What it shall be.
        out: The folder.
        fresh: Whether to remove an album, or a part of one, that is there.
        watch: Shows how many pictures were written, and read back.

    Raises:
        RunError: The folder holds something else, or another process is writing it.
        InputError: A picture of the set changed meanwhile.
    """
    _make(out, plan, fresh=fresh)
    if (out / ALBUM_FILE).exists():
        album = read_album(out)
        if album.about.settings != plan.digest:
            raise RunError(
                f"{out}: the pictures, the set or the drawing library changed since this album was "
                "planted; give another folder (--out) or start over (--fresh)."
            )
        return album
    journal = _open_journal(out)
    try:
        with watch("Writing pictures", picture_count(plan)) as advance:
            rows = write_pictures(plan, out, journal, advance)
        write_tables(plan, out, rows, watch)
        journal.remove()
    except BaseException:
        journal.close()
        raise
    return read_album(out)


def _make(out: Path, plan: AlbumPlan, *, fresh: bool) -> None:
    """The folder, which is new, empty, or holds what is planted."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is no folder; give another (--out).")
    design = dict(plan.design.as_plain())
    about = {"design": design, "digest": plan.digest}
    known = read_json(out / PLANTING_FILE)
    if known is None and out.exists() and any(one.name[0] != "." for one in out.iterdir()):
        raise RunError(f"{out}: holds something that is no album; give another folder (--out).")
    if known is not None and fresh:
        _open_journal(out).remove()
        _remove(out, known)
        known = None
    if known is not None and known != about:
        what = differing(known.get("design", {}), design) or "the pictures of the set"
        raise RunError(
            f"{out}: holds another album ({what}: not the same); give another folder (--out) or "
            "start over (--fresh)."
        )
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    if known is None:
        write_json(out / PLANTING_FILE, about)


def _open_journal(out: Path) -> Journal:
    journal = open_journal(out / _JOURNAL)
    if journal is None:
        raise RunError(f"{out}: another process is planting this album; wait for it.")
    return journal


def _remove(out: Path, known: Mapping[str, Any]) -> None:
    """Remove an album, and nothing that somebody put beside it."""
    (out / ALBUM_FILE).unlink(missing_ok=True)
    variants = known.get("design", {}).get("variants", [])
    for name in (*variants, HELD_OUT_FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (RECORDS_FILE, PICTURES_FILE, HELD_OUT_FILE, PLANTING_FILE):
        (out / name).unlink(missing_ok=True)
