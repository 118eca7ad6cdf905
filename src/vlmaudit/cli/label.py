"""``vlmaudit label``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.cli.shared import exits


@exits
def label(
    run: Annotated[Path, typer.Argument(help="The folder of a name-leakage run.")],
) -> None:
    """Draw answers of a run to be judged by hand: the honest correction of its rates."""
    from vlmaudit.audits.name_leakage.run import read_settings, write_sheet
    from vlmaudit.results.numbers import visible
    from vlmaudit.results.run_folder import RunFolder

    folder = RunFolder(run)
    path = write_sheet(folder, read_settings(folder))
    sys.stdout.write(
        f"{visible(str(path))}\n"
        "Fill in yes or no below leaks: does the answer give this person's name away? "
        f"Then: vlmaudit conclude {visible(str(run))}\n"
    )
