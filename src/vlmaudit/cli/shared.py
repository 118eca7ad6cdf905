"""What all verbs share: exit codes, options that mean the same everywhere, the console."""

import contextlib
import errno
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, ParamSpec

import typer

from vlmaudit import __version__
from vlmaudit.errors import AuditError, InputError

if TYPE_CHECKING:  # `--help` shall not pay for what only a finished audit needs
    from rich.console import Console

    from vlmaudit.cli.audits import Audit, Finding

EXIT_ERROR: Final = 3
EXIT_TOO_MANY_FAILURES: Final = 4
EXIT_INTERRUPTED: Final = 130

_LONGEST_LINE: Final = 2000

# What a full, read-only or foreign disk says; the user can act on it, so it is no bug.
_DISK: Final = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EFBIG}
# What a folder in place of a file says, and the other way round.
_IN_THE_WAY: Final = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP}

Parameters = ParamSpec("Parameters")

Out = Annotated[
    Path, typer.Option(help="The run's folder. The same command again continues what it holds.")
]
Seed = Annotated[int, typer.Option(help="Everything random follows from it.")]
Limit = Annotated[int | None, typer.Option(help="Audit only the first so many people.")]
Counts = Annotated[
    Path | None,
    typer.Option(help="Who is in the training data: a table of names count or images find."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of continuing.")]
ShardText = Annotated[
    str, typer.Option(help="i/n: ask only every n-th block; other jobs ask the others.")
]
Reuse = Annotated[
    Path | None, typer.Option(help="Another run, whose answers to the same are taken over.")
]
NoRetry = Annotated[
    bool, typer.Option("--no-retry", help="Do not ask again what failed for the time being.")
]
AllowMixed = Annotated[
    bool, typer.Option("--allow-mixed", help="Go on under other library versions.")
]
Concurrency = Annotated[int, typer.Option(help="Requests to a server at a time.")]
RequestsPerSecond = Annotated[
    float | None, typer.Option(help="Requests to a server a second, at the most.")
]
Timeout = Annotated[float, typer.Option(help="Seconds that a request may take.")]
Attempts = Annotated[
    int, typer.Option(help="How often a request is sent before it counts as failed.")
]
ConditionsText = Annotated[
    str,
    typer.Option(
        "--conditions",
        help="How pictures are shown, such as original,white,pixelated,white+pixelated.",
    ),
]
Faces = Annotated[
    str, typer.Option(help="Who finds faces: mtcnn, yolo:FILE.onnx or boxes:FILE.csv.")
]
Figures = Annotated[
    str, typer.Option(help="Who cuts people out: grabcut, grounded:DINO,SAM or masks:FOLDER.")
]
Reader = Annotated[str, typer.Option(help="Who reads text: rapidocr or easyocr:FOLDER.")]
Backgrounds = Annotated[
    Path | None, typer.Option(help="Folder of landscapes; without it, three are drawn.")
]
Recogniser = Annotated[
    str | None,
    typer.Option(help="onnx:FILE or dlib: checks whether hidden faces can still be told apart."),
]
Json = Annotated[bool, typer.Option("--json", help="Print finding.json on standard output.")]
Hidden = Annotated[
    bool,
    typer.Option("--pseudonyms", help="Call people person-017 and so on, wherever they are named."),
]


def progress_console() -> "Console":
    """Where progress goes: never to standard output."""
    from rich.console import Console

    return Console(stderr=True)


def batch_size_of(text: str) -> int | None:
    """The number behind ``--batch-size``; None for auto.

    Raises:
        InputError: It is neither.
    """
    if text == "auto":
        return None
    number = whole_number(text)
    if not number:
        raise InputError(f"--batch-size {text}: wanted a number from 1, or auto.")
    return number


def whole_number(text: str) -> int | None:
    """The whole number that a text is, of up to fifteen digits; None if it is none."""
    return int(text) if text.isdecimal() and len(text) < 16 else None


def conditions_of(text: str) -> tuple[str, ...]:
    """What ``--conditions`` lists, in canonical form; pictures as they are come first.

    Raises:
        InputError: There is no such condition.
    """
    from vlmaudit.data.conditions import parse_conditions

    return tuple(each.text for each in parse_conditions(text.split(",")))


def names_of(text: str, default: int) -> tuple[int, Path | None]:
    """What ``--names`` says: a number of names a stratum, or a file that lists them.

    Raises:
        InputError: It is neither.
    """
    if (number := whole_number(text)) is not None:
        return number, None
    path = Path(text)
    with contextlib.suppress(OSError):  # too long a name, for one
        if path.is_file():
            return default, path
    raise InputError(f"--names {text}: neither a number nor a file.")


def exits(verb: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """End a verb with one line and the documented exit code where the user can act."""

    @functools.wraps(verb)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            verb(*args, **kwargs)
        except AuditError as problem:
            _say(error_line(problem))
            raise typer.Exit(EXIT_ERROR) from problem
        except OSError as problem:
            if problem.errno in _IN_THE_WAY:
                place = problem.filename2 or problem.filename
                _say(
                    f"error: {place}: {problem.strerror}. Something else stands where this file "
                    "belongs; remove it and run the same command again."
                )
                raise typer.Exit(EXIT_ERROR) from problem
            if problem.errno not in _DISK:
                raise
            _say(
                f"error: {problem.filename or 'disk'}: {problem.strerror}. Nothing was lost; make "
                "room or give another folder, and run the same command again."
            )
            raise typer.Exit(EXIT_ERROR) from problem
        except KeyboardInterrupt as problem:
            _say("Stopped. What was answered is kept; the same command goes on.")
            raise typer.Exit(EXIT_INTERRUPTED) from problem

    return wrapped


def present(audit: "Audit", finding: "Finding", *, json: bool, page: Path | None = None) -> None:
    """Print the finding, and exit with 4 where too much failed for a conclusion."""
    if json:
        sys.stdout.write(audit.to_json(finding))
    else:
        audit.show(finding, page)
    share = finding.failures.failed / max(1, finding.failures.asked)
    limit = finding.settings["max_failures"]
    if isinstance(limit, float | int) and share > limit:
        raise typer.Exit(EXIT_TOO_MANY_FAILURES)


def say_who_is_who(home: Path | None) -> None:
    """Say where the list of pseudonyms is kept."""
    from vlmaudit.report.pseudonyms import FILE

    if home is None:
        _say("Who is who is not kept; give a folder (--out) to have it there.")
    else:
        _say(f"Who is who stands in {home / 'private' / FILE}: keep that folder to yourself.")


def show_version(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Find out what a vision-language model remembers about people."""
    if version:
        sys.stdout.write(f"vlmaudit {__version__}\n")
        raise typer.Exit


def error_line(problem: AuditError) -> str:
    """An error as it is printed: one line that a terminal does not obey, and of bounded length.

    What is quoted of the input stands in the middle; the ends say where, and what to do.
    """
    from vlmaudit.results.numbers import visible

    line = visible(f"error: {problem}")
    if len(line) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2 - 2
        line = f"{line[:half]} … {line[-half:]}"
    return line


def _say(line: str) -> None:
    from vlmaudit.results.numbers import visible

    sys.stderr.write(f"{visible(line)}\n")
