"""``vlmaudit conclude``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vlmaudit.cli.audits import FINDING, Audit, Finding, audit_of, audit_of_run
from vlmaudit.cli.shared import Hidden, Json, exits, present
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
    answers: Annotated[
        Path | None,
        typer.Option(help="A table identity,image,condition,prompt,answer made elsewhere."),
    ] = None,
    states: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder of hidden states captured elsewhere: states.npy, items.csv. Once a "
            "checkpoint; the audited one first, then its control, its base and its twin."
        ),
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
    against: Annotated[
        Path | None, typer.Option(help="Another model's run, to be compared person by person.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the finding and the report into this folder.")
    ] = None,
    json: Json = False,
    pseudonyms: Hidden = False,
) -> None:
    """Conclude on stored observations, or on what was observed elsewhere, without the model."""
    from vlmaudit.results.run_folder import RunFolder

    options = {
        "protocol": protocol, "pool": pool, "tau": tau, "alpha": alpha, "against": against,
    }  # fmt: skip
    if sum(bool(source) for source in (run, votes, answers, states)) != 1:
        raise typer.BadParameter(
            "give one of a run's folder, --votes FILE, --answers FILE and --states DIR."
        )
    _make(out)
    if run is not None:
        folder = RunFolder(run)
        audit = audit_of_run(folder)
        finding = audit.conclude_run(folder, options)
    elif states:
        audit, finding = _from_states(states, options, out)
    else:
        audit, finding = _from_elsewhere(votes, answers, people, names, options, out)
    if pseudonyms:
        finding = audit.hidden(finding, run or out)
    page = None
    if out is not None:
        from vlmaudit.results.files import write_text

        write_text(out / FINDING, audit.to_json(finding))
        page = audit.write_report(finding, out, home=run or out)
    present(audit, finding, json=json, page=page)


def _make(out: Path | None) -> None:
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as problem:
        raise InputError(f"--out {out}: no folder can be made here ({problem}).") from problem


def _from_states(
    states: Sequence[Path], options: Mapping[str, Any], out: Path | None
) -> tuple[Audit, Finding]:
    """What hidden states say that somebody else captured."""
    from vlmaudit.cli import memorization_run

    finding = memorization_run.conclude_states(states, options, out)
    return audit_of("memorization", states[0]), finding


def _from_elsewhere(
    votes: Path | None,
    answers: Path | None,
    people: Path | None,
    names: Path | None,
    options: Mapping[str, Any],
    out: Path | None,
) -> tuple[Audit, Finding]:
    """What a table says that somebody else made."""
    from vlmaudit.cli import identity_audit, leakage_audit

    table = "votes" if votes is not None else "answers"
    if people is None:
        raise typer.BadParameter(f"say who the people of the {table} are (--people FILE).")
    if votes is not None:
        finding: Finding = identity_audit.conclude_votes(votes, people, names, options)
        return audit_of("identity-inference", votes), finding
    assert answers is not None
    if names is not None:
        raise typer.BadParameter("--names goes with --votes.")
    return audit_of("name-leakage", answers), leakage_audit.conclude_answers(
        answers, people, options, out
    )
