"""``vlmaudit conclude``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.cli.shared import Hidden, Json, exits, hidden, present
from vlmaudit.data.candidates import Pool
from vlmaudit.errors import InputError
from vlmaudit.results.vocabulary import Protocol


@exits
def conclude(
    run: Annotated[Path | None, typer.Argument(help="A run's folder.")] = None,
    votes: Annotated[
        Path | None,
        typer.Option(help="A table identity,image,template,predicted made elsewhere."),
    ] = None,
    people: Annotated[Path | None, typer.Option(help="The people of that table.")] = None,
    names: Annotated[
        Path | None, typer.Option(help="The names the model could choose: name,sex,origin.")
    ] = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="audit or paper; a run's own if not given.")
    ] = None,
    pool: Annotated[
        Pool | None, typer.Option(help="Whom a person's name and face are compared with.")
    ] = None,
    tau: Annotated[int | None, typer.Option(help="Templates that must agree.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Share of false detections that is accepted.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the finding and the report into this folder.")
    ] = None,
    json: Json = False,
    pseudonyms: Hidden = False,
) -> None:
    """Conclude on stored observations, or on a table of votes, without the model."""
    from vlmaudit.audits.identity_inference.run import (
        FINDING,
        conclude_run,
        conclude_votes,
        read_settings,
        write_finding,
    )
    from vlmaudit.audits.identity_inference.settings import IdentityInference
    from vlmaudit.report.html import write_report
    from vlmaudit.results.run_folder import RunFolder

    chosen = {"protocol": protocol, "pool": pool, "tau": tau, "alpha": alpha}
    given = {key: value for key, value in chosen.items() if value is not None}
    if (run is None) == (votes is None):
        raise typer.BadParameter("give either a run's folder or --votes FILE.")
    if run is not None:
        folder = RunFolder(run)
        # Keyword by keyword, since replace() cannot know that each value fits its field.
        finding = conclude_run(folder, replace(read_settings(folder), **given))  # type: ignore[arg-type]
    elif votes is not None and people is not None:
        settings = replace(IdentityInference(), **given)  # type: ignore[arg-type]
        finding = conclude_votes(votes, people, settings, names=names)
    else:
        raise typer.BadParameter("say who the people of the votes are (--people FILE).")
    if pseudonyms:
        finding = hidden(finding, run or out)
    page = None
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as problem:
            raise InputError(f"--out {out}: no folder can be made here ({problem}).") from problem
        write_finding(finding, out / FINDING)
        page = write_report(finding, out)
    present(finding, json=json, page=page)
