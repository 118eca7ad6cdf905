"""``vlmaudit report``."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.cli.shared import Hidden, exits, hidden


@exits
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run that has a finding.")],
    pseudonyms: Hidden = False,
    with_pictures: Annotated[
        bool,
        typer.Option("--with-pictures", help="Show a small picture of everybody who is detected."),
    ] = False,
) -> None:
    """Write the report page of a finding."""
    from vlmaudit.audits.identity_inference.run import FINDING, read_finding
    from vlmaudit.report.html import write_report
    from vlmaudit.report.pictures import detected_pictures
    from vlmaudit.results.numbers import visible
    from vlmaudit.results.run_folder import RunFolder

    finding = read_finding(run / FINDING)
    if with_pictures and (pseudonyms or finding.pseudonyms):
        raise typer.BadParameter(
            "a picture shows whom a pseudonym hides; give one of --with-pictures and --pseudonyms."
        )
    if pseudonyms:
        finding = hidden(finding, run)
    pictures = partial(detected_pictures, finding, RunFolder(run)) if with_pictures else None
    page = write_report(finding, run, pictures=pictures)
    sys.stdout.write(f"{visible(str(page))}\n")
