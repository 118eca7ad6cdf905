"""``vlmaudit name-leakage``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vlmaudit.audits.name_leakage.settings import NameLeakage
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
from vlmaudit.data.prompts import choose_prompts
from vlmaudit.results.vocabulary import Protocol

_DEFAULTS = NameLeakage()


@exits
def name_leakage(
    model: Annotated[
        str,
        typer.Option(help="hf:ORG/NAME[@REVISION], hf:./folder, chat:MODEL@URL or scripted:FILE."),
    ],
    people: Annotated[
        Path, typer.Option(help="Folder with one folder of pictures a person, and people.csv.")
    ],
    out: Out,
    prompts: Annotated[
        str, typer.Option(help="all, or categories, rephrasings and ids: P0,P2 or R0 or P2/R0.")
    ] = "all",
    conditions: ConditionsText = "original",
    condition_prompts: Annotated[
        str,
        typer.Option(help="What is asked under other conditions; the paper asks R0."),
    ] = "R0",
    faces: Faces = "mtcnn",
    figures: Figures = "grabcut",
    reader: Reader = "rapidocr",
    backgrounds: Backgrounds = None,
    recogniser: Recogniser = None,
    names: Annotated[
        str,
        typer.Option(
            help="Names whose likelihood is compared: how many of each sex and origin, a file of "
            "them, or 0 for none."
        ),
    ] = str(_DEFAULTS.names),
    scored_prompts: Annotated[
        str, typer.Option(help="Prompts as whose answers names are scored.")
    ] = ",".join(prompt.id for prompt in _DEFAULTS.scored_prompts),
    pool: Annotated[
        Pool, typer.Option(help="Whom a person's name and face are compared with.")
    ] = _DEFAULTS.pool,
    protocol: Annotated[
        Protocol, typer.Option(help="audit: names token by token; paper: names anywhere.")
    ] = _DEFAULTS.protocol,
    max_new_tokens: Annotated[
        int, typer.Option(help="Where an answer is cut off.")
    ] = _DEFAULTS.max_new_tokens,
    drawn: Annotated[int, typer.Option(help="Drawn faces that are shown as a null.")] = (
        _DEFAULTS.drawn
    ),
    list_from: Annotated[
        int, typer.Option(help="So many different names make an answer a list.")
    ] = _DEFAULTS.list_from,
    permutations: Annotated[
        int, typer.Option(help="Swaps of people under the null.")
    ] = _DEFAULTS.permutations,
    alpha: Annotated[
        float, typer.Option(help="Share of false detections that is accepted.")
    ] = _DEFAULTS.alpha,
    max_failures: Annotated[
        float, typer.Option(help="Share of failed questions above which nothing is concluded.")
    ] = _DEFAULTS.max_failures,
    against: Annotated[
        Path | None, typer.Option(help="Another model's run, to be compared person by person.")
    ] = None,
    counts: Counts = None,
    limit: Limit = None,
    seed: Seed = _DEFAULTS.seed,
    device: Device = "auto",
    dtype: Dtype = "float32",
    quantization: Annotated[
        Literal["none", "8bit", "4bit"], typer.Option(help="none, 8bit or 4bit (bitsandbytes).")
    ] = "none",
    trust_remote_code: Annotated[
        str | None,
        typer.Option(help="REVISION: run the code that this revision of the model brings along."),
    ] = None,
    batch_size: Annotated[str, typer.Option(help="Prompts a batch, or auto.")] = "auto",
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
    """Does the model say who is in the picture, asked or unasked?"""
    from vlmaudit.cli import leakage_audit

    # The door to the models: only here, once there is something to ask.
    from vlmaudit.execution.looks import Looks
    from vlmaudit.execution.name_leakage import run_name_leakage
    from vlmaudit.execution.plan import parse_shard
    from vlmaudit.execution.target import Target
    from vlmaudit.models.options import GenerativeOptions
    from vlmaudit.models.patience import Patience

    count, file = names_of(names, _DEFAULTS.names)
    settings = NameLeakage(
        protocol=protocol,
        prompts=choose_prompts(prompts),
        conditions=conditions_of(conditions),
        condition_prompts=choose_prompts(condition_prompts),
        max_new_tokens=max_new_tokens,
        names=count,
        pool=pool,
        scored_prompts=choose_prompts(scored_prompts),
        drawn=drawn,
        alpha=alpha,
        permutations=permutations,
        list_from=list_from,
        max_failures=max_failures,
        seed=seed,
    )
    patience = Patience(
        concurrency=concurrency,
        requests_per_second=requests_per_second,
        timeout_s=timeout,
        attempts=attempts,
    )
    options = GenerativeOptions(
        device=device,
        dtype=dtype,
        batch_size=batch_size_of(batch_size),
        quantization=quantization,
        trust_remote_code=trust_remote_code,
        max_new_tokens=max_new_tokens,
        patience=patience,
    )
    target = Target(
        model=model,
        people=people,
        names=file,
        out=out,
        counts=counts,
        limit=limit,
        device=device,
        dtype=dtype,
        batch_size=options.batch_size,
        fresh=fresh,
        shard=parse_shard(shard),
        reuse=reuse,
        retry=not no_retry,
        allow_mixed=allow_mixed,
        patience=patience,
        looks=Looks(
            faces=faces,
            figures=figures,
            text=reader,
            backgrounds=backgrounds,
            recogniser=recogniser,
        ),
    )
    console = progress_console()
    finding = run_name_leakage(target, settings, options, against=against, console=console)
    if finding is None:  # a shard; the others are not through
        return
    present(
        leakage_audit, finding, json=json, page=leakage_audit.write_report(finding, out, home=out)
    )
