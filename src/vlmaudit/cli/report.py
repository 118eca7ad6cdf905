"""``vlmaudit report``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.cli.shared import exits


@exits
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run that has a finding.")],
) -> None:
    """Write the report page of a finding."""
    from vlmaudit.audits.identity_inference.run import FINDING, read_finding
    from vlmaudit.report.html import write_report
    from vlmaudit.results.numbers import visible

    sys.stdout.write(f"{visible(str(write_report(read_finding(run / FINDING), run)))}\n")
