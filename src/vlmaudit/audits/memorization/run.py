"""Concluding on a run folder or on states from elsewhere, and writing what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

from vlmaudit.audits.memorization.conclude import Conclusion, conclude
from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.observed import STATES, read_elsewhere, read_run
from vlmaudit.audits.memorization.settings import MEANS, Mean, Memorization
from vlmaudit.errors import RunError
from vlmaudit.results.files import write_text, write_whole
from vlmaudit.results.run_folder import RunFolder

AUDIT: Final = "memorization"
FINDING: Final = "finding.json"
UNITS: Final = "units.parquet"

_OBSERVED: Final = (
    "token", "query", "pictures", "batch_size", "batches", "batch_sizes",
    "curve_batches", "fields", "decoys", "max_new_tokens",
)  # fmt: skip
"""Settings that decide what is stored; the others decide how it is read."""
_TUPLES: Final = ("batch_sizes", "fields")


def observation_settings(settings: Memorization) -> dict[str, Any]:
    """What decides which observations are stored, as the manifest keeps it.

    The seed is in both halves: it decides which pictures are shown, and how records are permuted.
    """
    kept = {name: getattr(settings, name) for name in (*_OBSERVED, "seed")}
    # Lists of texts, as a manifest's observation has them.
    return kept | {name: [str(one) for one in kept[name]] for name in _TUPLES}


def conclusion_settings(settings: Memorization) -> dict[str, Any]:
    """What decides how observations are read, as the manifest keeps it."""
    left_out = {*_OBSERVED, "means"}
    kept = (field.name for field in fields(settings) if field.name not in left_out)
    return {name: getattr(settings, name) for name in kept}


def read_settings(run: RunFolder) -> Memorization:
    """The settings of a run, from its manifest.

    Raises:
        RunError: There is no manifest, or it is no memorization run's.
    """
    manifest = run.read_manifest()
    known = {field.name for field in fields(Memorization)} - {"means"}
    asked = {
        name: value
        for name, value in cast("Mapping[str, Any]", manifest.observation).items()
        if name in _OBSERVED
    }
    told: dict[str, Any] = {**asked, **manifest.conclusion}
    if missing := known - set(told):
        raise RunError(
            f"{run.manifest_file}: says nothing of {', '.join(sorted(missing))}; give another "
            "folder (--out)."
        )
    told["batch_sizes"] = [int(size) for size in told["batch_sizes"]]
    kept: dict[str, Any] = {name: told[name] for name in known}
    kept |= {name: tuple(kept[name]) for name in _TUPLES}
    return Memorization(**kept, means=means_of(run))


def means_of(run: RunFolder) -> tuple[Mean, ...]:
    """The means of which there is anything: one may be added to a run after the other."""
    there = {
        "probe": (run.private / STATES).exists(),
        "gradients": (run.private / "gradients.parquet").exists(),
        "extraction": (run.private / "answers.parquet").exists(),
        "exposure": (run.private / "exposure.parquet").exists(),
    }
    return tuple(mean for mean in MEANS if there[mean]) or MEANS


def conclude_run(run: RunFolder, settings: Memorization) -> Finding:
    """Conclude on stored observations; write the finding and its units.

    The finding goes to ``finding.json``, or to ``finding.PROTOCOL.json`` where the protocol is
    another than the one the run was made with.

    Raises:
        AuditError: Something is missing or damaged.
    """
    manifest = run.read_manifest()
    variant = manifest.observation.get("variant")
    observed = read_run(run.private, manifest.model, str(variant or ""))
    concluded = conclude(observed, settings)
    is_main = settings.protocol == manifest.conclusion["protocol"]
    name = FINDING if is_main else f"finding.{settings.protocol}.json"
    write_text(run.root / name, to_json(concluded.finding))
    if is_main:
        write_units(concluded, run.root)
    return concluded.finding


def conclude_states(folders: Sequence[Path], settings: Memorization) -> Conclusion:
    """Conclude on hidden states that were captured elsewhere, a folder a checkpoint.

    Raises:
        InputError: A folder cannot be used; the message says where and why.
    """
    return conclude(read_elsewhere(folders), settings)


def write_units(concluded: Conclusion, root: Path) -> None:
    """units.parquet: a row a record."""
    write_whole(root / UNITS, concluded.units.write_parquet, private=True)


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
