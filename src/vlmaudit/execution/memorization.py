"""Memorization on this machine, from checkpoints and an album to a finding."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl
from rich.console import Console

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.observed import ALBUM, CANARY, RECORDS, ROLES, UTILITY
from vlmaudit.audits.memorization.run import (
    AUDIT,
    conclude_run,
    conclusion_settings,
    means_of,
    observation_settings,
)
from vlmaudit.audits.memorization.settings import Memorization, parse_token
from vlmaudit.data.albums import Album, check_pictures, read_album
from vlmaudit.data.paths import spelt
from vlmaudit.data.private_records import draw_decoys
from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.album_printing import PROBED, Item, Printer, items_of
from vlmaudit.execution.memorization_gradients import GradientDesign, Gradients
from vlmaudit.execution.memorization_questions import Extraction
from vlmaudit.execution.progress import progress, say
from vlmaudit.lab.utility import measure_utility
from vlmaudit.models.base import GenerativeModel, ScoringModel, WhiteBoxModel
from vlmaudit.models.loading import load_generative, load_white_box
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.results.files import make_private, write_text, write_whole
from vlmaudit.results.journal import Row
from vlmaudit.results.pieces import FOLDER, STATES, journal_of, plan_pieces
from vlmaudit.results.run_folder import Manifest, RunFolder
from vlmaudit.results.state_files import StateItem, StatesWriter
from vlmaudit.seeds import stream

_CHECKPOINTS: Final = "checkpoints.json"
_STATES_AT_ONCE: Final = 32
"""Items between two writes of states: what a kill costs."""

_ANSWERS: Final = {
    "role": pl.String, "way": pl.String, "record": pl.String, "arm": pl.String,
    "field": pl.String, "item": pl.String, "status": pl.String, "reason": pl.String,
    "answer": pl.String,
}  # fmt: skip
_EXPOSURE: Final = {
    "role": pl.String, "record": pl.String, "arm": pl.String, "field": pl.String,
    "with_picture": pl.Boolean, "status": pl.String, "reason": pl.String,
    "log_likelihood": pl.Float64, "higher": pl.Int64, "equal": pl.Int64, "decoys": pl.Int64,
}  # fmt: skip
_GRADIENTS: Final = {
    "role": pl.String, "batch": pl.Int64, "batch_size": pl.Int64, "kind": pl.String,
    "record": pl.String, "arm": pl.String, "module": pl.String, "cosine": pl.Float64,
}  # fmt: skip
_UTILITY: Final = {
    "role": pl.String, "measure": pl.String, "right": pl.Int64, "asked": pl.Int64,
    "failed": pl.Int64,
}  # fmt: skip
_TABLES: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "answers": (_ANSWERS, "answers.parquet"),
    "exposure": (_EXPOSURE, "exposure.parquet"),
    "gradients": (_GRADIENTS, "gradients.parquet"),
    "utility": (_UTILITY, UTILITY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumTarget:
    """Which checkpoints are asked about which album, and where the run is kept.

    Attributes:
        models: The checkpoints by role; `tuned` is the audited one.
        variant: The training set that it was tuned on.
        limit: Only the first so many records of each arm.
    """

    album: Path
    variant: str
    models: Mapping[str, str]
    out: Path
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int | None = None
    fresh: bool = False


def run_memorization(target: AlbumTarget, settings: Memorization, *, console: Console) -> Finding:
    """Ask every checkpoint what is not there yet, conclude, and write the finding.

    The same call goes on with a run that was stopped; another mean, or another checkpoint, adds to
    what is there.

    Args:
        target: Which checkpoints, which album.
        settings: By which means to ask, and how to conclude.
        console: Where progress goes.

    Raises:
        AuditError: Album, checkpoints or run folder cannot be used; the message says why.
    """
    album = read_album(target.album)
    check_pictures(album, target.variant)
    run = RunFolder(target.out)
    run.make(fresh=target.fresh)
    with run.driven():
        asking = _Asking(run, target, settings, album, console)
        for role in ROLES:
            if role in target.models:
                asking.ask(role, target.models[role])
        with run.prepared():
            asking.write_tables()
            say(console, "Concluding …")
            return conclude_run(run, replace(asking.settings, means=means_of(run)))


@dataclass
class _Asking:
    """One process at work on a run."""

    run: RunFolder
    target: AlbumTarget
    settings: Memorization
    album: Album
    console: Console
    items: list[Item] = field(init=False)
    printer: Printer = field(init=False)
    records: dict[str, dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        seed, limit = self.settings.seed, self.target.limit
        self.items = items_of(self.album, self.settings.pictures, seed=seed, limit=limit)
        self.printer = Printer(self.album, seed=seed)
        self.records = {row["record"]: row for row in self.album.records.iter_rows(named=True)}
        unknown = [one for one in self.settings.fields if one not in self.album.about.fields]
        if unknown:
            raise InputError(
                f"--fields {unknown[0]}: the album has no such field; it has "
                f"{', '.join(self.album.about.fields)}."
            )
        # Spelt out, so that the finding says the same whoever concludes.
        fields = self.settings.fields or tuple(self.album.about.fields)
        self.settings = replace(self.settings, fields=fields)
        make_private(self.run.private / FOLDER)

    @cached_property
    def firsts(self) -> list[Item]:
        """Of every record one picture, canaries included."""
        arms = (*PROBED, CANARY)
        return items_of(self.album, 1, seed=self.settings.seed, limit=self.target.limit, arms=arms)

    def plan(self, role: str) -> None:
        """Write down how many pieces there are to be."""
        settings = self.settings
        tables = {
            "probe": (STATES, len(self.items)),
            "gradients": ("gradients", len(self.design.keys(self.items))),
            "extraction": ("answers", len(self.items)),
            "exposure": ("exposure", len(self.firsts)),
        }
        plan_pieces(self.run.private, role, dict(tables[mean] for mean in settings.means))

    @property
    def design(self) -> GradientDesign:
        """How many mini-batches of which size."""
        settings = self.settings
        return GradientDesign(
            batch_size=settings.batch_size,
            batches=settings.batches,
            batch_sizes=settings.batch_sizes,
            curve_batches=settings.curve_batches,
            seed=settings.seed,
        )

    def ask(self, role: str, spec: str) -> None:
        """Ask one checkpoint by all means that are wanted."""
        means = self.settings.means
        say(self.console, f"Loading {spec} ({role}) …")
        target = self.target
        model = load_white_box(
            spec, device=target.device, dtype=target.dtype, batch_size=target.batch_size
        )
        with closing(model):
            self._agree(role, spec, model)
            if "probe" in means:
                self._capture(role, model)
            if "gradients" in means:
                self._gradients(role, model)
        options = GenerativeOptions(
            device=target.device,
            dtype=target.dtype,
            batch_size=target.batch_size,
            max_new_tokens=self.settings.max_new_tokens,
        )
        with closing(load_generative(spec, options)) as speaker:
            self._questions(role, speaker)
            self._utility(role, speaker)

    def _agree(self, role: str, spec: str, model: WhiteBoxModel) -> None:
        """Hold the checkpoint against what an earlier process asked under the same role."""
        path = self.run.private / _CHECKPOINTS
        known = json.loads(path.read_bytes()) if path.exists() else {}
        now = {"model": spelt(spec), "weights": model.record.weights, "dtype": model.record.dtype}
        if role in known and known[role]["weights"] != now["weights"]:
            raise RunError(
                f"{self.run.root}: holds answers of another checkpoint as {role}; give another "
                "folder (--out) or start over (--fresh)."
            )
        with self.run.prepared():
            if role == ROLES[0]:
                self.run.agree(self._manifest(spec, model))
                self._copy_album()
            self.plan(role)
            write_text(path, json.dumps({**known, role: now}, indent=2) + "\n")

    def _manifest(self, spec: str, model: WhiteBoxModel) -> Manifest:
        settings, target = self.settings, self.target
        return Manifest(
            audit=AUDIT,
            model_spec=spelt(spec),
            model=model.record,
            people=spelt(target.album),
            controls=None,
            observation={
                "album": self.album.digest,
                "variant": target.variant,
                "limit": target.limit,
                **observation_settings(settings),
            },
            conclusion=conclusion_settings(settings),
        )

    def _copy_album(self) -> None:
        """What a conclusion needs of the album, so that it needs no album."""
        write_whole(self.run.private / RECORDS, self.album.records.write_csv, private=True)
        write_text(self.run.private / ALBUM, self.album.about.model_dump_json(by_alias=True) + "\n")

    def _capture(self, role: str, model: WhiteBoxModel) -> None:
        items = [
            StateItem(item.name, item.picture, item.record, item.arm, self.settings.query)
            for item in self.items
        ]
        about = {"role": role, "model": model.record.name, "token": self.settings.token}
        token = parse_token(self.settings.token)
        folder = make_private(self.run.private / STATES) / role
        with (
            StatesWriter(folder, items, layers=list(model.layers), about=about) as writer,
            progress(f"States ({role})", len(items), self.console) as advance,
        ):
            advance(writer.done)
            for start in range(writer.done, len(self.items), _STATES_AT_ONCE):
                some = self.items[start : start + _STATES_AT_ONCE]
                images = [self.printer.record(one, self.records[one.record]) for one in some]
                prompts = [self.settings.query] * len(some)
                writer.write(model.capture_states(images, prompts, token))
                advance(len(some))

    def _gradients(self, role: str, model: WhiteBoxModel) -> None:
        gradients = Gradients(model, self.items, self.records, self.printer, self.design)
        with progress(f"Gradients ({role})", len(gradients.keys), self.console) as advance:
            rows = gradients.rows(journal_of(self.run.private, "gradients", role), advance=advance)
        self._keep("gradients", role, rows)

    def _questions(self, role: str, model: GenerativeModel) -> None:
        """Answers, and likelihoods where the model shows them."""
        if "extraction" in self.settings.means:
            asked = Extraction(self.items, self.records, self.settings.fields, self.printer)
            with progress(f"Answers ({role})", len(self.items), self.console) as advance:
                rows = asked.answers(
                    model, journal_of(self.run.private, "answers", role), advance=advance
                )
            self._keep("answers", role, rows)
        if "exposure" in self.settings.means and isinstance(model, ScoringModel):
            asked = Extraction(self.firsts, self.records, self.settings.fields, self.printer)
            with progress(f"Exposure ({role})", len(self.firsts), self.console) as advance:
                rows = asked.exposures(
                    model,
                    self._decoys.__getitem__,
                    journal_of(self.run.private, "exposure", role),
                    advance=advance,
                )
            self._keep("exposure", role, rows)

    @cached_property
    def _decoys(self) -> dict[str, list[str]]:
        """Made-up values of each field, the same for every checkpoint."""
        taken = self.album.records
        return {
            name: draw_decoys(
                self.album.about.generator,
                name,
                self.settings.decoys,
                taken=set(taken[name]),
                rng=stream(self.settings.seed, "decoys", name),
            )
            for name in self.settings.fields
        }

    def _utility(self, role: str, model: GenerativeModel) -> None:
        with progress(f"Utility ({role})", len(self.album.held_out), self.console) as advance:
            rows = measure_utility(model, self.album, advance=advance)
        self._keep("utility", role, rows)

    def _keep(self, table: str, role: str, rows: Sequence[Row]) -> None:
        """A checkpoint's rows of a table, beside those of the others."""
        path = self.run.private / FOLDER / f"{table}.{role}.parquet"
        of_role = pl.DataFrame([{"role": role, **row} for row in rows], schema=_TABLES[table][0])
        write_whole(path, of_role.write_parquet, private=True)

    def write_tables(self) -> None:
        """The tables of all checkpoints, as a conclusion reads them."""
        folder = self.run.private / FOLDER
        for table, (_, name) in _TABLES.items():
            parts = [
                path for role in ROLES if (path := folder / f"{table}.{role}.parquet").exists()
            ]
            if parts:
                whole = pl.concat([pl.read_parquet(part) for part in parts])
                write = whole.write_csv if name.endswith(".csv") else whole.write_parquet
                write_whole(self.run.private / name, write, private=True)
