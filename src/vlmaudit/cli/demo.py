"""``vlmaudit demo``."""

from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.cli.shared import Seed, exits, present, progress_console


@exits
def demo(
    out: Annotated[Path, typer.Option(help="Where the demo's people, model and run are kept.")] = (
        Path("demo-report")
    ),
    seed: Seed = 0,
) -> None:
    """Train a small model with planted, fictitious people, audit it, and write the report."""
    from vlmaudit.cli import identity_audit

    # The door to the lab: only here, once there is something to train.
    from vlmaudit.studies.demo import run_demo

    finding = run_demo(out, seed=seed, console=progress_console())
    page = identity_audit.write_report(finding, out / "run", home=out / "run")
    present(identity_audit, finding, json=False, page=page)
