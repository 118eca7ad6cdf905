"""What a run, or states from elsewhere, hold of a checkpoint and its album: plain tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from vlmaudit.errors import InputError, RunError
from vlmaudit.results.outcomes import PERMANENT, TRANSIENT
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.state_files import States, read_states

TUNED: Final = "tuned"
CONTROL: Final = "control"
BASE: Final = "base"
TWIN: Final = "twin"
ROLES: Final = (TUNED, CONTROL, BASE, TWIN)
"""The audited checkpoint, and those it is held against, in the order of a report."""

SEEN: Final = "seen"
UNSEEN: Final = "unseen"
CANARY: Final = "canary"
ARMS: Final = (SEEN, UNSEEN, CONTROL)
"""Arms that are held against each other; the third is never printed in any training set."""

RECORDS: Final = "records.csv"
ALBUM: Final = "album.json"
UTILITY: Final = "utility.csv"
STATES: Final = "states"
_FAILED: Final = ("failed", TRANSIENT, PERMANENT)
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "gradients": ("role", "batch", "batch_size", "kind", "record", "arm", "module", "cosine"),
    "answers": ("role", "way", "record", "arm", "field", "status", "answer"),
    "exposure": ("role", "record", "arm", "field", "with_picture", "higher", "equal", "decoys"),
    "utility": ("role", "measure", "right", "asked"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Everything that a conclusion reads; what was not asked is None or not in it.

    Attributes:
        records: A row a record: ``record, arm, dose, included``, and a column a field where their
            values are known (they decide whether an answer holds one).
        states: Hidden states by role: entities are records.
        gradients: ``role, batch, batch_size, kind, record, arm, module, cosine``.
        answers: ``role, way, record, arm, field, status, answer``.
        exposure: ``role, record, arm, field, with_picture, higher, equal, decoys``.
        utility: ``role, measure, right, asked``.
        album: What album.json says; None of states from elsewhere.
        model: The audited checkpoint; None of states from elsewhere.
        variant: The training set that it was tuned on.
        notices: What was noticed on the way, for the reader.
    """

    records: pl.DataFrame
    states: Mapping[str, States] = field(default_factory=dict)
    gradients: pl.DataFrame | None = None
    answers: pl.DataFrame | None = None
    exposure: pl.DataFrame | None = None
    utility: pl.DataFrame | None = None
    album: Mapping[str, Any] | None = None
    model: ModelRecord | None = None
    variant: str = ""
    notices: tuple[str, ...] = ()

    @property
    def roles(self) -> list[str]:
        """The checkpoints there are observations of, the audited one first."""
        tables = (self.gradients, self.answers, self.exposure, self.utility)
        found = {*self.states}.union(*(set(table["role"]) for table in tables if table is not None))
        return sorted(found, key=lambda role: (ROLES.index(role) if role in ROLES else 9, role))


def has_failed() -> pl.Expr:
    """Whether an observation failed, in a run's words or in a table's from elsewhere."""
    return pl.col("status").is_in(_FAILED)


def read_run(private: Path, model: ModelRecord | None, variant: str) -> Observed:
    """Read what a run has observed, as far as it got.

    Args:
        private: The run's private folder.
        model: The audited checkpoint.
        variant: The training set that it was tuned on.

    Raises:
        RunError: Something is missing or damaged.
        InputError: States cannot be read.
    """
    records = _records(_csv(private / RECORDS), private / RECORDS)
    tables = {name: _table(private, name) for name in ("gradients", "answers", "exposure")}
    utility = private / UTILITY
    folders = [folder for folder in sorted((private / STATES).glob("*")) if folder.is_dir()]
    return Observed(
        records=records,
        states={folder.name: read_states(folder) for folder in folders},
        gradients=tables["gradients"],
        answers=tables["answers"],
        exposure=tables["exposure"],
        utility=_checked(_csv(utility), utility, "utility") if utility.exists() else None,
        album=_album(private / ALBUM),
        model=model,
        variant=variant,
    )


def read_elsewhere(folders: Sequence[Path]) -> Observed:
    """Read states that were captured elsewhere, a folder a checkpoint.

    The role is what states.json says; of folders without one the first is the audited checkpoint,
    then come the control, the base and the twin.

    Raises:
        InputError: A folder cannot be used; the message says why.
    """
    states: dict[str, States] = {}
    for folder in folders:
        one = read_states(folder)
        said = one.about.get("role")
        role = str(said) if said else next((each for each in ROLES if each not in states), "")
        if role not in ROLES:
            wanted = f"wanted one of {', '.join(ROLES)}" if role else "there are only four roles"
            raise InputError(f'{folder}: no such role as "{role}" ({wanted}; states.json says it).')
        if role in states:
            raise InputError(
                f"{folder}: the role {role} has {states[role].folder} already; say in states.json "
                "which is which."
            )
        states[role] = one
    if TUNED not in states:
        raise InputError(
            f"--states: none of these is the audited checkpoint (role {TUNED} in states.json)."
        )
    return Observed(records=_entities(states), states=states)


def _entities(states: Mapping[str, States]) -> pl.DataFrame:
    """The records that items are of, each in one arm."""
    items = pl.concat([one.items.select("entity", "arm") for one in states.values()]).unique()
    where = states[TUNED].folder
    twice = items.filter(pl.col("entity").is_duplicated()).sort("entity", "arm").head(2)
    if twice.height:
        arms = " and ".join(twice["arm"])
        raise InputError(
            f'{where}: the record "{twice["entity"][0]}" is in two arms ({arms}); a record belongs '
            "to one."
        )
    known = set(items["arm"])
    if strange := sorted(known - {*ARMS}):
        raise InputError(
            f'{where}: no such arm as "{strange[0]}"; wanted {", ".join(ARMS[:-1])} or {ARMS[-1]}.'
        )
    if not {SEEN, UNSEEN} <= known:
        raise InputError(
            f"{where}: there are records of {', '.join(sorted(known)) or 'no arm'} alone; nothing "
            f"is concluded without both {SEEN} and {UNSEEN}."
        )
    return items.sort("arm", "entity").select(
        record="entity",
        arm="arm",
        dose=pl.lit(None, pl.Int64),
        included=pl.lit(None, pl.Boolean),
    )


def _records(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    for column in ("record", "arm"):
        if column not in table.columns:
            raise RunError(f"{path}: has no column {column}; the run is damaged, start it over.")
    twice = table.filter(pl.col("record").is_duplicated())
    if twice.height:
        raise InputError(f'{path}: the record "{twice["record"][0]}" is listed twice.')
    missing = [pl.lit("").alias(name) for name in ("dose", "included") if name not in table.columns]
    return table.with_columns(missing).with_columns(
        pl.col("dose").cast(pl.Int64, strict=False),
        pl.when(pl.col("included").is_in(["true", "false"])).then(pl.col("included") == "true"),
    )


def _table(private: Path, name: str) -> pl.DataFrame | None:
    path = private / f"{name}.parquet"
    if not path.exists():
        return None
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise RunError(f"{path}: cannot be read ({problem}); start the run over.") from problem
    return _checked(table, path, name)


def _checked(table: pl.DataFrame, path: Path, name: str) -> pl.DataFrame:
    for column in _COLUMNS[name]:
        if column not in table.columns:
            raise RunError(f"{path}: has no column {column}; the run is damaged, start it over.")
    if "status" not in table.columns:
        table = table.with_columns(status=pl.lit("answered"))
    return table.with_columns(
        reason=pl.col("reason").fill_null("") if "reason" in table.columns else pl.lit("")
    )


def _csv(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path, infer_schema=False).with_columns(pl.all().fill_null(""))
    except FileNotFoundError as problem:
        raise RunError(f"{path}: missing; the run is damaged, start it over.") from problem
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise RunError(f"{path}: cannot be read ({problem}); start the run over.") from problem


def _album(path: Path) -> Mapping[str, Any] | None:
    try:
        album = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: cannot be read ({problem}); start the run over.") from problem
    if not isinstance(album, dict):
        raise RunError(f"{path}: not what an album says of itself; start the run over.")
    return album
