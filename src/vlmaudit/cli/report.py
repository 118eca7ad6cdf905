"""``vlmaudit report``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.cli.audits import FINDING, audit_of_finding
from vlmaudit.cli.shared import Hidden, exits


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
    from vlmaudit.results.numbers import visible

    audit = audit_of_finding(run / FINDING)
    finding = audit.read_finding(run / FINDING)
    if with_pictures and (pseudonyms or finding.pseudonyms):
        raise typer.BadParameter(
            "a picture shows whom a pseudonym hides; give one of --with-pictures and --pseudonyms."
        )
    if pseudonyms:
        finding = audit.hidden(finding, run)
    page = audit.write_report(finding, run, home=run, with_pictures=with_pictures)
    sys.stdout.write(f"{visible(str(page))}\n")
