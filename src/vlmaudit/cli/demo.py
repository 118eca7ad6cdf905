"""``vlmaudit demo``, and ``vlmaudit demo memorization``."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from vlmaudit.cli.shared import Seed, exits, present, progress_console


@exits
def demo(
    what: Annotated[
        Literal["people", "memorization"],
        typer.Argument(help="people: faces and names; memorization: what fine-tuning keeps."),
    ] = "people",
    out: Annotated[
        Path, typer.Option(help="Where the demo's pictures, models and runs are kept.")
    ] = Path("demo-report"),
    seed: Seed = 0,
) -> None:
    """Train small models with something planted, fictitious, audit them, and write the reports."""
    if what == "people":
        _people(out, seed)
    else:
        _memorization(out / "memorization", seed)


def _people(out: Path, seed: int) -> None:
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


def _memorization(out: Path, seed: int) -> None:
    from vlmaudit.cli import memorization_run
    from vlmaudit.studies.memorization_demo import CLEAN_RUN, PLANTED_RUN, run_memorization_demo

    found = run_memorization_demo(out, seed=seed, console=progress_console())
    for title, finding, run in (
        ("Tuned on pictures with records that its answers spoke", found.planted, PLANTED_RUN),
        ("Tuned on the same pictures with nothing on them", found.clean, CLEAN_RUN),
    ):
        sys.stdout.write(f"\n== {title} ==\n\n")
        page = memorization_run.write_report(finding, out / run, home=out / run)
        present(memorization_run, finding, json=False, page=page)
