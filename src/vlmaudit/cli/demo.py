"""``vlmaudit demo``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.cli.shared import Seed, exits, present, progress_console


@exits
def demo(
    out: Annotated[
        Path, typer.Option(help="Where the demo's people, models and runs are kept.")
    ] = Path("demo-report"),
    seed: Seed = 0,
) -> None:
    """Train small models with planted, fictitious people, audit them, and write the reports."""
    from vlmaudit.cli import identity_audit, leakage_audit

    # The door to the lab: only here, once there is something to train.
    from vlmaudit.studies.demo import ANONYMISED_RUN, NAMED_RUN, RUN, run_demo

    found = run_demo(out, seed=seed, console=progress_console())
    for title, audit, finding, run in (
        ("A contrastive model: faces and names", identity_audit, found.identity, RUN),
        ("A model that speaks, aligned with names", leakage_audit, found.named, NAMED_RUN),
        ("The same parts, aligned without names", leakage_audit, found.anonymised, ANONYMISED_RUN),
    ):
        sys.stdout.write(f"\n== {title} ==\n\n")
        page = audit.write_report(finding, out / run, home=out / run)
        present(audit, finding, json=False, page=page)
