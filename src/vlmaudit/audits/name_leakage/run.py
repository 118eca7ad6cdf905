"""Concluding on a run folder or on answers from elsewhere, and writing what came out."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

import polars as pl

from vlmaudit.audits.name_leakage.conclude import Against, Conclusion, conclude
from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.audits.name_leakage.labels import SHEET, draw_sheet, read_sheet
from vlmaudit.audits.name_leakage.observed import Observed, read_answers, read_run
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.audits.name_leakage.shown import choose_answers, write_shown
from vlmaudit.data.identities import read_people_table
from vlmaudit.data.prompts import PROMPTS, Prompt
from vlmaudit.errors import InputError, RunError
from vlmaudit.results.files import make_private, write_text, write_whole
from vlmaudit.results.run_folder import RunFolder

AUDIT: Final = "name-leakage"
FINDING: Final = "finding.json"
UNITS: Final = "units.parquet"
OUTCOMES: Final = "outcomes.parquet"

_OBSERVED: Final = ("prompts", "condition_prompts", "scored_prompts", "max_new_tokens")
_OUTCOME_COLUMNS: Final = (
    "identity",
    "image",
    "condition",
    "prompt",
    "status",
    "outcome",
    "matched",
    "names",
)


def conclusion_settings(settings: NameLeakage) -> dict[str, Any]:
    """The settings as the manifest keeps them; what was asked stands with the observation."""
    kept = {field.name: getattr(settings, field.name) for field in fields(settings)}
    # More conditions may come later: what was asked of others stays as it was.
    kept["conditions"] = list(settings.conditions)
    return {key: value for key, value in kept.items() if key not in _OBSERVED}


def read_settings(run: RunFolder) -> NameLeakage:
    """The settings of a run, from its manifest."""
    manifest = run.read_manifest()
    asked = manifest.observation
    concluded = cast("dict[str, Any]", manifest.conclusion)

    def prompts(kind: str) -> tuple[Prompt, ...]:
        return tuple(PROMPTS[id] for id in cast("list[str]", asked[kind]))

    return NameLeakage(
        **{**concluded, "conditions": tuple(concluded["conditions"])},
        prompts=prompts("prompts"),
        condition_prompts=prompts("condition_prompts"),
        scored_prompts=prompts("scored_prompts"),
        max_new_tokens=cast("int", asked["max_new_tokens"]),
    )


def conclude_run(run: RunFolder, settings: NameLeakage, *, against: Path | None = None) -> Finding:
    """Conclude on stored answers; write the finding and its tables.

    The finding goes to ``finding.json``, or to ``finding.PROTOCOL.json`` where the protocol is
    another than the one the run was made with.

    Raises:
        AuditError: Something is missing or damaged.
    """
    manifest = run.read_manifest()
    if manifest.observation["scored_prompts"] and settings.pool != manifest.conclusion["pool"]:
        raise RunError(
            f'{run.root}: names were scored with the pool "{manifest.conclusion["pool"]}", and '
            "another pool is another question; leave out --pool, or ask anew in another folder."
        )
    sheet = run.private / SHEET
    concluded = conclude(
        read_run(run.private, manifest.model, settings.pool),
        settings,
        against=read_against(against) if against else None,
        labels=read_sheet(sheet) if _is_judged(sheet) else None,
    )
    is_main = settings.protocol == manifest.conclusion["protocol"]
    name = FINDING if is_main else f"finding.{settings.protocol}.json"
    write_text(run.root / name, to_json(concluded.finding))
    if is_main:
        write_tables(concluded, run.root, settings)
    return concluded.finding


def conclude_answers(
    answers: Path, people: Path, settings: NameLeakage, *, against: Path | None = None
) -> Conclusion:
    """Conclude on a table of answers that was made elsewhere.

    Raises:
        InputError: A table cannot be used; the message says where and why.
    """
    persons = read_people_table(people)
    return conclude(
        Observed(people=persons, answers=read_answers(answers, persons)),
        settings,
        against=read_against(against) if against else None,
    )


def read_against(run: Path) -> Against:
    """Another run's units table, to compare with.

    Raises:
        RunError: There is none.
    """
    finding = read_finding(run / FINDING)
    try:
        units = pl.read_parquet(run / UNITS)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise RunError(f"{run}: no units.parquet to compare with; conclude it anew.") from problem
    return Against(finding.model.name if finding.model else run.name, units)


def write_tables(concluded: Conclusion, root: Path, settings: NameLeakage) -> None:
    """units.parquet (a row a person), outcomes.parquet (a row a question), the quoted answers."""
    write_whole(root / UNITS, concluded.units.write_parquet, private=True)
    outcomes = concluded.outcomes.select(_OUTCOME_COLUMNS)
    write_whole(root / OUTCOMES, outcomes.write_parquet, private=True)
    private = root / "private"
    make_private(private)
    write_shown(private, choose_answers(concluded.outcomes, settings.seed))


def write_sheet(run: RunFolder, settings: NameLeakage) -> Path:
    """Draw answers of a run to be judged by hand, and write them as a table to fill in.

    Raises:
        InputError: There is one already, in which something was judged.
    """
    path = run.private / SHEET
    if _is_judged(path):
        raise InputError(f"{path}: holds judgements; move it away to have a new sheet drawn.")
    manifest = run.read_manifest()
    observed = read_run(run.private, manifest.model, settings.pool)
    outcomes = conclude(observed, settings).outcomes
    sheet = draw_sheet(outcomes, observed.people, settings.seed)
    write_whole(path, sheet.write_csv, private=True)
    return path


def _is_judged(sheet: Path) -> bool:
    """Whether a sheet is there in which anything was filled in."""
    try:
        return bool((pl.read_csv(sheet, infer_schema=False)["leaks"].fill_null("") != "").any())
    except FileNotFoundError:
        return False
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise InputError(f"{sheet}: not a sheet of labels; remove it.") from problem


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


def to_json(finding: Finding) -> str:
    """A finding as its file holds it."""
    return finding.model_dump_json(indent=2, by_alias=True) + "\n"
