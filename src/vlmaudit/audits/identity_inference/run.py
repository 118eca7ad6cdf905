"""Concluding on a run folder or on a table from elsewhere, and writing what came out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Literal, cast

import polars as pl

from vlmaudit.audits.condition_rows import condition_rows, read_facts
from vlmaudit.audits.design import read_design
from vlmaudit.audits.identity_inference.conclude import conclude
from vlmaudit.audits.identity_inference.conditions import UnderCondition
from vlmaudit.audits.identity_inference.evidence import (
    Evidence,
    weigh_choices,
    weigh_embeddings,
    weigh_votes,
)
from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.observed import (
    EMBEDDINGS,
    LABELS,
    Shown,
    Study,
    read_choices,
    read_embeddings,
)
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.identity_inference.votes import (
    PersonVotes,
    read_votes,
    write_votes,
)
from vlmaudit.data.candidates import read_candidates
from vlmaudit.data.conditions import ORIGINAL
from vlmaudit.data.identities import read_people_table
from vlmaudit.errors import RunError
from vlmaudit.results.files import write_text, write_whole
from vlmaudit.results.outcomes import ANSWERED
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
    read = _READERS[str(manifest.observation["answers"])]
    study, evidence, failures = read(run, settings, ORIGINAL, None)
    facts = read_facts(run.private)
    finding = conclude(
        evidence,
        settings,
        failures=failures,
        model=study.model,
        design=read_design(study.design) if study.design else None,
        notices=[*study.notices, *_LIMITS[str(manifest.observation["answers"])]],
        conditions=_under_conditions(run, settings, facts) if facts is not None else (),
        facts=condition_rows(facts) if facts is not None else (),
    )
    is_main = settings.protocol == manifest.conclusion["protocol"]
    write_finding(finding, run.root / (FINDING if is_main else f"finding.{settings.protocol}.json"))
    if is_main:
        _write_tables(run, study, evidence, settings, finding)
    return finding


def _under_conditions(
    run: RunFolder, settings: IdentityInference, facts: pl.DataFrame
) -> list[UnderCondition]:
    """The evidence under every condition, beside that of the same pictures as they are."""
    read = _READERS[str(run.read_manifest().observation["answers"])]
    found = []
    for condition in settings.conditions[1:]:
        mine = facts.filter(pl.col("condition") == condition)
        if settings.protocol == "audit":  # where nothing was hidden, nothing is to be seen
            mine = mine.filter(pl.col("lacks") == "")
        shown = set(mine.select("identity", "image").iter_rows())
        if shown:
            _, changed, failures = read(run, settings, condition, shown)
            _, plain, _ = read(run, settings, ORIGINAL, shown)
            found.append(UnderCondition(condition, changed, plain, failures.failed))
    return found


def _weigh_embeddings(
    run: RunFolder, settings: IdentityInference, condition: str, shown: Shown | None
) -> tuple[Study, list[Evidence], Failures]:
    observed = read_embeddings(run.private, run.read_manifest().model, condition, shown)
    asked = sum(map(len, observed.study.images.values())) + len(observed.study.failures)
    return (
        observed.study,
        weigh_embeddings(observed, settings),
        _failures(observed.study, asked, "picture"),
    )


def _weigh_choices(
    run: RunFolder, settings: IdentityInference, condition: str, shown: Shown | None
) -> tuple[Study, list[Evidence], Failures]:
    manifest = run.read_manifest()
    if settings.pool != manifest.observation["pool"]:
        raise RunError(
            f"{run.root}: a label-only model was asked with the pool "
            f'"{manifest.observation["pool"]}", and another pool is another question; leave out '
            "--pool, or ask anew in another folder."
        )
    choices = read_choices(run.private, manifest.model, condition, shown)
    return (
        choices.study,
        weigh_choices(choices, settings),
        _failures(choices.study, choices.requests, "request"),
    )


_READERS: Final = {EMBEDDINGS: _weigh_embeddings, LABELS: _weigh_choices}

_LIMITS: Final = {
    EMBEDDINGS: (),
    LABELS: (
        "Only labels were asked for: how close the other names came is not known, so the test "
        "ranks numbers of votes and is coarser than with embeddings.",
        "The names to choose from were fixed when asking: another pool of names, more decoys or "
        "the paper's own pool would have to be asked anew.",
        "Whose weights answered, with which preprocessing, and whether they stayed the same, "
        "cannot be told from outside.",
    ),
}


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
        return Finding.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise RunError(f"{path.parent}: no finding here; run vlmaudit conclude first.") from problem
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: not a finding that this version reads.") from problem


def _failures(study: Study, asked: int, unit: Literal["picture", "request"]) -> Failures:
    lost = sorted(one.identity for one in study.people if not study.images[one.identity])
    return Failures(
        asked=asked,
        answered=asked - len(study.failures),
        failed=len(study.failures),
        reasons=dict(sorted(Counter(failure.reason for failure in study.failures).items())),
        unit=unit,
        people_asked=len(study.people) - len(lost),
        people_lost=lost,
    )


def _write_tables(
    run: RunFolder,
    study: Study,
    evidence: Sequence[Evidence],
    settings: IdentityInference,
    finding: Finding,
) -> None:
    """units.parquet (a row a person), outcomes.parquet (a row a picture), and the votes."""
    covariates = sorted({key for person in study.people for key in person.covariates})
    units = pl.DataFrame(
        [
            {
                **row.model_dump(),
                **{f"covariate: {key}": person.covariates.get(key) for key in covariates},
            }
            for row, person in zip(finding.people, study.people, strict=True)
        ],
        infer_schema_length=None,
    )
    write_whole(run.root / "units.parquet", units.write_parquet, private=True)
    votes = {one.person.identity: one.votes for one in evidence if one.votes is not None}
    write_whole(run.root / "outcomes.parquet", _outcomes(study, votes).write_parquet, private=True)
    write_whole(
        run.private / "votes.parquet",
        lambda path: write_votes(path, votes, study, settings.templates),
        private=True,
    )


def _outcomes(study: Study, votes: dict[str, PersonVotes]) -> pl.DataFrame:
    rows: list[tuple[str, str, str, str, str, int | None]] = []
    for person in study.people:
        mine = votes.get(person.identity)
        own = (mine.codes == mine.own).sum(axis=1).tolist() if mine else None
        for place, image in enumerate(study.images[person.identity]):
            rows.append((person.identity, image, "", ANSWERED, "", own[place] if own else None))
    rows += [(f.identity, f.image, f.question, "failed", f.reason, None) for f in study.failures]
    schema = ("identity", "image", "question", "status", "reason", "votes_for_own_name")
    return pl.DataFrame(
        rows, schema=schema, orient="row", schema_overrides={"votes_for_own_name": pl.Int64}
    ).sort("identity", "image", "question")
