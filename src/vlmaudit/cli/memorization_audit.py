"""``vlmaudit memorization audit``, and its means one by one: ``probe gradients extract``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.cli.shared import (
    Device,
    Dtype,
    Fresh,
    Json,
    Out,
    Seed,
    batch_size_of,
    exits,
    present,
    progress_console,
    whole_number,
)
from vlmaudit.errors import InputError
from vlmaudit.results.vocabulary import Protocol

_DEFAULTS: Final = Memorization()
_SIZES: Final = ",".join(map(str, _DEFAULTS.batch_sizes))

Model = Annotated[
    str, typer.Option(help="The tuned checkpoint: hf:./folder or hf:ORG/NAME[@REVISION].")
]
AlbumFolder = Annotated[Path, typer.Option(help="The album of memorization plant.")]
Variant = Annotated[str, typer.Option(help="The training set that the checkpoint was tuned on.")]
Control = Annotated[
    str | None, typer.Option(help="A checkpoint tuned alike on r0, where nothing is printed.")
]
Base = Annotated[str | None, typer.Option(help="The checkpoint before it was tuned.")]
Twin = Annotated[
    str | None, typer.Option(help="A checkpoint tuned alike on the twin of the variant.")
]
ProtocolOption = Annotated[
    Protocol,
    typer.Option(help="audit: probes tested on other records; paper: one random split of items."),
]
Token = Annotated[
    str,
    typer.Option(help="Whose states are probed: last, image, all, or a place from the end as -2."),
]
Query = Annotated[str, typer.Option(help="What is asked while states are kept.")]
Pictures = Annotated[int, typer.Option(help="Held-out pictures on which each record is printed.")]
MiniBatch = Annotated[int, typer.Option(help="Pictures in a mini-batch whose gradient is taken.")]
Batches = Annotated[int, typer.Option(help="Mini-batches a record.")]
BatchSizes = Annotated[
    str, typer.Option(help="Sizes of mini-batches for the paper's curves, or none.")
]
CurveBatches = Annotated[int, typer.Option(help="Mini-batches of each such size.")]
Fields = Annotated[str, typer.Option(help="Fields that are asked for, or all.")]
Decoys = Annotated[int, typer.Option(help="Made-up values among which the true one is ranked.")]
MaxNewTokens = Annotated[int, typer.Option(help="Where an answer is cut off.")]
Folds = Annotated[int, typer.Option(help="Parts of the records, each tested on the rest.")]
Permutations = Annotated[int, typer.Option(help="Permutations of records under the null.")]
Alpha = Annotated[float, typer.Option(help="Error level over the family of means.")]
Guesses = Annotated[
    int, typer.Option(help="Canaries that are guessed for the bound on epsilon; 0 for all.")
]
Delta = Annotated[float, typer.Option(help="The delta of that bound.")]
MaxFailures = Annotated[
    float, typer.Option(help="Share of failed observations above which nothing is concluded.")
]
Limit = Annotated[int | None, typer.Option(help="Only the first so many records of each arm.")]
ModelBatch = Annotated[str, typer.Option(help="Pictures at a time in the model, or auto.")]


@exits
def memorization(
    model: Model,
    album: AlbumFolder,
    variant: Variant,
    out: Out,
    control: Control = None,
    base: Base = None,
    twin: Twin = None,
    protocol: ProtocolOption = _DEFAULTS.protocol,
    token: Token = _DEFAULTS.token,
    query: Query = _DEFAULTS.query,
    pictures: Pictures = _DEFAULTS.pictures,
    batch_size: MiniBatch = _DEFAULTS.batch_size,
    batches: Batches = _DEFAULTS.batches,
    batch_sizes: BatchSizes = _SIZES,
    curve_batches: CurveBatches = _DEFAULTS.curve_batches,
    fields: Fields = "all",
    decoys: Decoys = _DEFAULTS.decoys,
    max_new_tokens: MaxNewTokens = _DEFAULTS.max_new_tokens,
    folds: Folds = _DEFAULTS.folds,
    permutations: Permutations = _DEFAULTS.permutations,
    alpha: Alpha = _DEFAULTS.alpha,
    guesses: Guesses = _DEFAULTS.guesses,
    delta: Delta = _DEFAULTS.delta,
    max_failures: MaxFailures = _DEFAULTS.max_failures,
    limit: Limit = None,
    seed: Seed = _DEFAULTS.seed,
    device: Device = "auto",
    dtype: Dtype = "float32",
    model_batch: ModelBatch = "auto",
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Did the checkpoint retain what was only visible in its training pictures? All four means."""
    settings = Memorization(
        protocol=protocol,
        token=token,
        query=query,
        pictures=pictures,
        batch_size=batch_size,
        batches=batches,
        batch_sizes=sizes_of(batch_sizes),
        curve_batches=curve_batches,
        fields=fields_of(fields),
        decoys=decoys,
        max_new_tokens=max_new_tokens,
        folds=folds,
        permutations=permutations,
        alpha=alpha,
        guesses=guesses,
        delta=delta,
        max_failures=max_failures,
        seed=seed,
    )
    models = {"tuned": model, "control": control, "base": base, "twin": twin}
    how = _How(device, dtype, model_batch, limit, fresh, json)
    _run(album, variant, models, out, settings, how)


@exits
def probe(
    model: Model,
    album: AlbumFolder,
    variant: Variant,
    out: Out,
    control: Control = None,
    base: Base = None,
    twin: Twin = None,
    protocol: ProtocolOption = _DEFAULTS.protocol,
    token: Token = _DEFAULTS.token,
    query: Query = _DEFAULTS.query,
    pictures: Pictures = _DEFAULTS.pictures,
    folds: Folds = _DEFAULTS.folds,
    permutations: Permutations = _DEFAULTS.permutations,
    alpha: Alpha = _DEFAULTS.alpha,
    limit: Limit = None,
    seed: Seed = _DEFAULTS.seed,
    device: Device = "auto",
    dtype: Dtype = "float32",
    model_batch: ModelBatch = "auto",
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Do hidden states tell records that were seen in training from records that were not?"""
    settings = Memorization(
        means=("probe",),
        protocol=protocol,
        token=token,
        query=query,
        pictures=pictures,
        folds=folds,
        permutations=permutations,
        alpha=alpha,
        seed=seed,
    )
    models = {"tuned": model, "control": control, "base": base, "twin": twin}
    how = _How(device, dtype, model_batch, limit, fresh, json)
    _run(album, variant, models, out, settings, how)


@exits
def gradients(
    model: Model,
    album: AlbumFolder,
    variant: Variant,
    out: Out,
    control: Control = None,
    base: Base = None,
    twin: Twin = None,
    batch_size: MiniBatch = _DEFAULTS.batch_size,
    batches: Batches = _DEFAULTS.batches,
    batch_sizes: BatchSizes = _SIZES,
    curve_batches: CurveBatches = _DEFAULTS.curve_batches,
    permutations: Permutations = _DEFAULTS.permutations,
    alpha: Alpha = _DEFAULTS.alpha,
    limit: Limit = None,
    seed: Seed = _DEFAULTS.seed,
    device: Device = "auto",
    dtype: Dtype = "float32",
    model_batch: ModelBatch = "auto",
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Do records that were seen change a mini-batch's gradient otherwise than unseen ones?"""
    settings = Memorization(
        means=("gradients",),
        batch_size=batch_size,
        batches=batches,
        batch_sizes=sizes_of(batch_sizes),
        curve_batches=curve_batches,
        permutations=permutations,
        alpha=alpha,
        seed=seed,
    )
    models = {"tuned": model, "control": control, "base": base, "twin": twin}
    how = _How(device, dtype, model_batch, limit, fresh, json)
    _run(album, variant, models, out, settings, how)


@exits
def extract(
    model: Model,
    album: AlbumFolder,
    variant: Variant,
    out: Out,
    control: Control = None,
    base: Base = None,
    twin: Twin = None,
    pictures: Pictures = _DEFAULTS.pictures,
    fields: Fields = "all",
    decoys: Decoys = _DEFAULTS.decoys,
    max_new_tokens: MaxNewTokens = _DEFAULTS.max_new_tokens,
    guesses: Guesses = _DEFAULTS.guesses,
    delta: Delta = _DEFAULTS.delta,
    permutations: Permutations = _DEFAULTS.permutations,
    alpha: Alpha = _DEFAULTS.alpha,
    max_failures: MaxFailures = _DEFAULTS.max_failures,
    limit: Limit = None,
    seed: Seed = _DEFAULTS.seed,
    device: Device = "auto",
    dtype: Dtype = "float32",
    model_batch: ModelBatch = "auto",
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Does it say private values when asked, or find them likelier than made-up ones?"""
    settings = Memorization(
        means=("extraction", "exposure"),
        pictures=pictures,
        fields=fields_of(fields),
        decoys=decoys,
        max_new_tokens=max_new_tokens,
        guesses=guesses,
        delta=delta,
        permutations=permutations,
        alpha=alpha,
        max_failures=max_failures,
        seed=seed,
    )
    models = {"tuned": model, "control": control, "base": base, "twin": twin}
    how = _How(device, dtype, model_batch, limit, fresh, json)
    _run(album, variant, models, out, settings, how)


class _How(NamedTuple):
    """What is the same for every mean."""

    device: str
    dtype: str
    model_batch: str
    limit: int | None
    fresh: bool
    json: bool


def _run(
    album: Path,
    variant: str,
    models: Mapping[str, str | None],
    out: Path,
    settings: Memorization,
    how: _How,
) -> None:
    from vlmaudit.cli import memorization_run

    # The door to the models: only here, once there is something to ask.
    from vlmaudit.execution.memorization import AlbumTarget, run_memorization

    target = AlbumTarget(
        album=album,
        variant=variant,
        models={role: spec for role, spec in models.items() if spec is not None},
        out=out,
        limit=how.limit,
        device=how.device,
        dtype=how.dtype,
        batch_size=batch_size_of(how.model_batch),
        fresh=how.fresh,
    )
    finding = run_memorization(target, settings, console=progress_console())
    page = memorization_run.write_report(finding, out, home=out)
    present(memorization_run, finding, json=how.json, page=page)


def sizes_of(text: str) -> tuple[int, ...]:
    """The sizes that ``--batch-sizes`` lists.

    Raises:
        InputError: One of them is no number.
    """
    if text == "none":
        return ()
    sizes = [whole_number(part.strip()) for part in text.split(",")]
    if not all(sizes):
        raise InputError(f"--batch-sizes {text}: wanted numbers such as 1,4,16, or none.")
    return tuple(size for size in sizes if size)


def fields_of(text: str) -> tuple[str, ...]:
    """The fields that ``--fields`` lists; none stands for all of the album's."""
    return () if text == "all" else tuple(part.strip() for part in text.split(","))
