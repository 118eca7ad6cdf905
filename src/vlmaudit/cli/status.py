"""``vlmaudit status``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmaudit.cli.shared import exits

if TYPE_CHECKING:
    from vlmaudit.results.status import Status


@exits
def status(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """How far a run is: answered, failed, left, and how long still."""
    from vlmaudit.results.run_folder import RunFolder
    from vlmaudit.results.status import read_status

    found = read_status(RunFolder(run))
    if json:
        sys.stdout.write(found.model_dump_json(indent=2) + "\n")
    else:
        _show(found, run)


def _show(status: "Status", run: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from vlmaudit.results.numbers import count, counted, duration, visible

    def line(label: str, number: int, note: str = "") -> None:
        table.add_row(label, count(number), Text(note))

    console = Console()
    console.print(Text(f"{visible(status.model)}: {_state(status)}"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    line("asked for", status.cases, f"in {counted(status.blocks, 'block', 'blocks')}")
    line("answered", status.answered, f"{count(status.blocks_sealed)} blocks are complete")
    line("failed for now", status.failed_for_now, "the same command asks again")
    line("failed for good", status.failed)
    for reason, number in sorted(status.reasons.items(), key=lambda item: -item[1]):
        line("", number, visible(reason))
    long = "" if status.seconds_left is None else f"about {duration(status.seconds_left)}"
    line("left", status.left, long if status.left else "")
    console.print(table)
    console.print(Text(visible(_finding(status, run))), soft_wrap=True)


def _state(status: "Status") -> str:
    if status.state == "at work":
        return f"{status.processes} blocks are being asked right now."
    return "everything was asked." if status.state == "through" else "stopped before its end."


def _finding(status: "Status", run: Path) -> str:
    if not status.has_finding:
        if status.left:
            return "No finding yet; the command that began the run goes on with it."
        return f"No finding yet: vlmaudit conclude {run}"
    if not status.is_finding_current:
        return f"Answers came since the finding was written: vlmaudit conclude {run}"
    return "The finding rests on all of it."
