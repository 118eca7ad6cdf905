"""Concluding on a run folder or on a table from elsewhere, and writing what came out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

import polars as pl

from vlmaudit.audits.identity_inference.conclude import conclude
from vlmaudit.audits.identity_inference.design import read_design
from vlmaudit.audits.identity_inference.evidence import Evidence, weigh_embeddings, weigh_votes
from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.observed import Observed, read_observed
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.identity_inference.votes import (
    PersonVotes,
    read_votes,
    write_votes,
)
from vlmaudit.data.candidates import read_candidates
from vlmaudit.data.identities import read_people_table
from vlmaudit.errors import RunError
from vlmaudit.results.files import write_text, write_whole
from vlmaudit.results.records import Failures
from vlmaudit.results.run_folder import RunFolder

FINDING: Final = "finding.json"


def conclusion_settings(settings: IdentityInference) -> dict[str, Any]:
    """The settings as the manifest keeps them; templates stand with the observation."""
    kept = {field.name: getattr(settings, field.name) for field in fields(settings)}
    del kept["templates"]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}


def read_settings(run: RunFolder) -> IdentityInference:
    """The settings of a run, from its manifest."""
    manifest = run.read_manifest()
    if manifest.audit != "identity-inference":
        raise RunError(f"{run.root}: a run of {manifest.audit}, which cannot be concluded here.")
    kept: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in manifest.conclusion.items()
    }
    templates = cast("list[str]", manifest.observation["templates"])
    return IdentityInference(**kept, templates=tuple(templates))


def conclude_run(run: RunFolder, settings: IdentityInference) -> Finding:
    """Conclude on stored observations; write the finding and its tables.

    The finding goes to ``finding.json``, or to ``finding.PROTOCOL.json`` where the protocol is
    another than the one the run was made with.
    """
    manifest = run.read_manifest()
    observed = read_observed(run.private, manifest.model)
    design = read_design(observed.design) if observed.design else None
    evidence = weigh_embeddings(observed, settings)
    finding = conclude(
        evidence,
        settings,
        failures=_count_failures(observed),
        model=observed.model,
        design=design,
        notices=observed.notices,
    )
    is_main = settings.protocol == manifest.conclusion["protocol"]
    write_finding(finding, run.root / (FINDING if is_main else f"finding.{settings.protocol}.json"))
    if is_main:
        _write_tables(run, observed, evidence, settings, finding)
    return finding


def conclude_votes(
    votes: Path, people: Path, settings: IdentityInference, *, names: Path | None = None
) -> Finding:
    """Conclude on a table of votes that was made elsewhere.

    Raises:
        InputError: A table cannot be used; the message says where and why.
    """
    persons = read_people_table(people)
    table = read_votes(votes, persons, read_candidates(names) if names else None)
    asked = sum(len(part.codes) for part in table.votes.values())
    lost = [person.identity for person in persons if person.identity not in table.votes]
    failures = Failures(
        asked=asked,
        answered=asked,
        failed=0,
        people_asked=len(persons) - len(lost),
        people_lost=lost,
    )
    return conclude(weigh_votes(table, persons, settings), settings, failures=failures)


def write_finding(finding: Finding, path: Path) -> None:
    """Write a finding as JSON."""
    write_text(path, to_json(finding))


def to_json(finding: Finding) -> str:
    """A finding as its file holds it."""
    return finding.model_dump_json(indent=2, by_alias=True) + "\n"


def read_finding(path: Path) -> Finding:
    """Read a finding.

    Raises:
        RunError: There is none, or it is of another version.
    """
    try:
        return Finding.model_validate_json(path.read_text("utf-8"))
    except FileNotFoundError as problem:
        raise RunError(f"{path.parent}: no finding here; run vlmaudit conclude first.") from problem
    except ValueError as problem:
        raise RunError(f"{path}: not a finding that this version reads.") from problem


def _count_failures(observed: Observed) -> Failures:
    audited = {person.identity for person in observed.people}
    everyone = [*observed.people, *observed.controls]
    answered = sum(len(observed.images[person.identity]) for person in everyone)
    lost = [one for one in sorted(audited) if not observed.images[one]]
    return Failures(
        asked=answered + len(observed.failures),
        answered=answered,
        failed=len(observed.failures),
        reasons=dict(sorted(Counter(failure.reason for failure in observed.failures).items())),
        people_asked=len(audited) - len(lost),
        people_lost=lost,
    )


def _write_tables(
    run: RunFolder,
    observed: Observed,
    evidence: Sequence[Evidence],
    settings: IdentityInference,
    finding: Finding,
) -> None:
    """units.parquet (a row a person), outcomes.parquet (a row a picture), and the votes."""
    covariates = sorted({key for person in observed.people for key in person.covariates})
    units = pl.DataFrame(
        [
            {
                **row.model_dump(),
                **{f"covariate: {key}": person.covariates.get(key) for key in covariates},
            }
            for row, person in zip(finding.people, observed.people, strict=True)
        ],
        infer_schema_length=None,
    )
    write_whole(run.root / "units.parquet", units.write_parquet, private=True)
    votes = {one.person.identity: one.votes for one in evidence if one.votes is not None}
    write_whole(
        run.root / "outcomes.parquet", _outcomes(observed, votes).write_parquet, private=True
    )
    write_whole(
        run.private / "votes.parquet",
        lambda path: write_votes(path, votes, observed, settings.templates),
        private=True,
    )


def _outcomes(observed: Observed, votes: dict[str, PersonVotes]) -> pl.DataFrame:
    rows: list[tuple[str, str, str, str, int | None]] = []
    for person in observed.people:
        mine = votes.get(person.identity)
        own = (mine.codes == mine.own).sum(axis=1).tolist() if mine else None
        for place, image in enumerate(observed.images[person.identity]):
            rows.append((person.identity, image, "answered", "", own[place] if own else None))
    rows += [(f.identity, f.image, "failed", f.reason, None) for f in observed.failures]
    schema = ("identity", "image", "status", "reason", "votes_for_own_name")
    return pl.DataFrame(
        rows, schema=schema, orient="row", schema_overrides={"votes_for_own_name": pl.Int64}
    ).sort("identity", "image")
