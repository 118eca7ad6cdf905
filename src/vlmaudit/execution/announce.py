"""What is about to be done, said before it is: how much, how long, and whether it fits."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from vlmaudit.errors import RunError
from vlmaudit.execution.progress import say
from vlmaudit.results.numbers import counted, duration, size


@dataclass(frozen=True, slots=True)
class Work:
    """How much is left to do.

    Attributes:
        pictures: Pictures to be shown.
        texts: Texts to be encoded, those in the cache left out.
        requests: Requests to be sent.
        questions: Questions about the pictures, where one takes several.
        seconds: An estimate; NaN where nothing is known.
        n_bytes: Room that the answers take.
    """

    pictures: int
    texts: int
    requests: int
    seconds: float
    n_bytes: int
    questions: int = 0


def announce(work: Work, folder: Path, where: str, console: Console) -> None:
    """Say what is to be done, before it costs anything.

    Args:
        work: How much it is.
        folder: Where answers go.
        where: On which device, or to whom.
        console: Where to say it.

    Raises:
        RunError: The answers do not fit on the disk.
    """
    if not work.pictures and not work.texts:
        say(console, "Everything was asked already.")
        return
    parts = [counted(work.pictures, "picture", "pictures")] if work.pictures else []
    if work.texts:
        parts.append(counted(work.texts, "text", "texts"))
    if work.questions:
        parts.append(counted(work.questions, "question", "questions"))
    if work.requests:
        parts.append(f"{counted(work.requests, 'request', 'requests')} to {where}")
    else:
        parts[-1] += f" on {where}"
    if not math.isnan(work.seconds):
        parts.append(f"about {duration(work.seconds)}")
    if work.n_bytes:
        parts.append(f"{size(work.n_bytes)} on disk")
    say(console, f"To do: {', '.join(parts)}.")
    free = shutil.disk_usage(folder).free
    if work.n_bytes > free:
        raise RunError(
            f"{folder}: the answers need {size(work.n_bytes)}, and {size(free)} are free; make "
            "room or give another folder (--out)."
        )
