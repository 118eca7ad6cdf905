"""``vlmaudit identity-inference``."""

from pathlib import Path
from typing import Annotated

import typer

from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.cli.shared import (
    AllowMixed,
    Attempts,
    Backgrounds,
    Concurrency,
    ConditionsText,
    Counts,
    Device,
    Dtype,
    Faces,
    Figures,
    Fresh,
    Json,
    Limit,
    NoRetry,
    Out,
    Reader,
    Recogniser,
    RequestsPerSecond,
    Reuse,
    Seed,
    ShardText,
    Timeout,
    batch_size_of,
    conditions_of,
    exits,
    names_of,
    present,
    progress_console,
)
from vlmaudit.data.candidates import Pool
from vlmaudit.results.vocabulary import Protocol

_DEFAULTS = IdentityInference()


@exits
def identity_inference(
    model: Annotated[
        str,
        typer.Option(
            help="open_clip:ARCH/TAG, open_clip:ARCH@FILE, open_clip:./folder, hf:ORG/NAME, "
            "hf:./folder, endpoint:URL or scripted:FILE."
        ),
    ],
    people: Annotated[
        Path, typer.Option(help="Folder with one folder of pictures a person, and people.csv.")
    ],
    out: Out,
    controls: Annotated[
        Path | None,
        typer.Option(help="Such a folder of people who are nobody's business here."),
    ] = None,
    conditions: ConditionsText = "original",
    faces: Faces = "mtcnn",
    figures: Figures = "grabcut",
    reader: Reader = "rapidocr",
    backgrounds: Backgrounds = None,
    recogniser: Recogniser = None,
    names: Annotated[
        str,
        typer.Option(help="Decoy names: how many of each sex and origin, or a file of them."),
    ] = str(_DEFAULTS.names),
    pool: Annotated[
        Pool, typer.Option(help="Whom a person's name and face are compared with.")
    ] = _DEFAULTS.pool,
    protocol: Annotated[
        Protocol, typer.Option(help="audit: a test a person; paper: templates that agree.")
    ] = _DEFAULTS.protocol,
    paper_pool: Annotated[
        int, typer.Option(help="Names in the paper's pool, the study's included.")
    ] = _DEFAULTS.paper_pool,
    tau: Annotated[int, typer.Option(help="Templates that must agree.")] = _DEFAULTS.tau,
    alpha: Annotated[
        float, typer.Option(help="Share of false detections that is accepted.")
    ] = _DEFAULTS.alpha,
    max_failures: Annotated[
        float, typer.Option(help="Share of failed pictures above which nothing is concluded.")
    ] = _DEFAULTS.max_failures,
    counts: Counts = None,
    limit: Limit = None,
    seed: Seed = _DEFAULTS.seed,
    device: Device = "auto",
    dtype: Dtype = "float32",
    batch_size: Annotated[str, typer.Option(help="Pictures and texts a batch, or auto.")] = "auto",
    fresh: Fresh = False,
    shard: ShardText = "1/1",
    reuse: Reuse = None,
    no_retry: NoRetry = False,
    allow_mixed: AllowMixed = False,
    concurrency: Concurrency = 4,
    requests_per_second: RequestsPerSecond = None,
    timeout: Timeout = 60.0,
    attempts: Attempts = 5,
    json: Json = False,
) -> None:
    """Does the model tie these faces to these names?"""
    from vlmaudit.cli import identity_audit

    # The door to the models: only here, once there is something to ask.
    from vlmaudit.execution.identity_inference import run_identity_inference
    from vlmaudit.execution.looks import Looks
    from vlmaudit.execution.plan import parse_shard
    from vlmaudit.execution.target import Target
    from vlmaudit.models.patience import Patience

    count, file = names_of(names, _DEFAULTS.names)
    settings = IdentityInference(
        protocol=protocol,
        conditions=conditions_of(conditions),
        pool=pool,
        names=count,
        paper_pool=paper_pool,
        tau=tau,
        alpha=alpha,
        max_failures=max_failures,
        seed=seed,
    )
    target = Target(
        model=model,
        people=people,
        controls=controls,
        names=file,
        out=out,
        counts=counts,
        limit=limit,
        device=device,
        dtype=dtype,
        batch_size=batch_size_of(batch_size),
        fresh=fresh,
        shard=parse_shard(shard),
        reuse=reuse,
        retry=not no_retry,
        allow_mixed=allow_mixed,
        patience=Patience(
            concurrency=concurrency,
            requests_per_second=requests_per_second,
            timeout_s=timeout,
            attempts=attempts,
        ),
        looks=Looks(
            faces=faces,
            figures=figures,
            text=reader,
            backgrounds=backgrounds,
            recogniser=recogniser,
        ),
    )
    console = progress_console()
    finding = run_identity_inference(target, settings, console=console)
    if finding is None:  # a shard; the others are not through
        return
    present(
        identity_audit, finding, json=json, page=identity_audit.write_report(finding, out, home=out)
    )
