"""``vlmaudit memorization finetune``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vlmaudit.cli.shared import Device, Fresh, exits, progress_console
from vlmaudit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vlmaudit.results.journal import Row


@exits
def finetune(
    album: Annotated[Path, typer.Option(help="The album of memorization plant.")],
    out: Annotated[Path, typer.Option(help="A folder a variant is made in it.")],
    variant: Annotated[
        str, typer.Option(help="Training sets of the album, as r0,r50, or all.")
    ] = "all",
    model: Annotated[
        str,
        typer.Option(
            help="The checkpoint that is tuned: hf:./folder, hf:ORG/NAME[@REVISION], or tiny, an "
            "untrained small LLaVA that is written for the album."
        ),
    ] = "tiny",
    preset: Annotated[
        Literal["tiny", "llava-1.5", "qwen2-vl"] | None,
        typer.Option(help="The recipe; the paper's for LLaVA-1.5 and Qwen. tiny has its own."),
    ] = None,
    method: Annotated[
        Literal["lora", "full"] | None, typer.Option(help="Adapters, or all weights.")
    ] = None,
    vision: Annotated[
        Literal["frozen", "tuned"] | None, typer.Option(help="Whether the vision tower is tuned.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Batches; without it, as many as --epochs make.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="How often each example is seen.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest.")] = None,
    vision_learning_rate: Annotated[
        float | None, typer.Option(help="The vision tower's own, where it is tuned.")
    ] = None,
    warmup: Annotated[
        float | None, typer.Option(help="Share of the steps in which the rate rises.")
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Of the adapters.")] = None,
    at_once: Annotated[
        int | None,
        typer.Option(help="Examples in the model at a time; a step has --batch-size all the same."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of order, adapters and dropout; without it, the recipe's.")
    ] = None,
    device: Device = "cpu",
    fresh: Fresh = False,
) -> None:
    """Tune a model on training sets of an album, alike, and see what each is good for."""
    # The doors: what trains a model, only once there is something to train.
    from vlmaudit.lab.finetuning_settings import preset as recipe
    from vlmaudit.studies.memorization_tuning import TuningPlan, tune

    if preset is None and model != "tiny":
        raise InputError(
            "--preset: say how this model is to be tuned: llava-1.5 and qwen2-vl are the paper's "
            "recipes."
        )
    given: Mapping[str, Any] = {
        "method": method, "vision": vision, "steps": steps, "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate,
        "vision_learning_rate": vision_learning_rate, "warmup": warmup, "rank": rank, "seed": seed,
    }  # fmt: skip
    settings = replace(
        recipe(preset or "tiny"), **{name: one for name, one in given.items() if one is not None}
    )
    plan = TuningPlan(
        album=album,
        variants=() if variant == "all" else [part.strip() for part in variant.split(",")],
        model=model,
        settings=settings,
        out=out,
        device=device,
        at_once=at_once,
        fresh=fresh,
    )
    _show(tune(plan, console=progress_console()), out)


def _show(rows: "Sequence[Row]", out: Path) -> None:
    """What each model is good for."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from vlmaudit.results.numbers import count, visible
    from vlmaudit.stats.intervals import clopper_pearson

    table = Table(box=None, pad_edge=False)
    table.add_column("Model", overflow="fold")
    table.add_column("Held-out questions")
    for heading in ("Right", "Of", "Share", "95 % interval"):
        table.add_column(heading, justify="right")
    for row in rows:
        shares = ("–", "–")
        if row["asked"]:
            found = clopper_pearson(row["right"], row["asked"])
            shares = (f"{row['right'] / row['asked']:.3f}", f"{found.low:.3f} to {found.high:.3f}")
        numbers = (count(row["right"]), count(row["asked"]))
        table.add_row(row["model"], row["measure"], *numbers, *shares)
    console = Console()
    console.print(table)
    failed = sum(row["failed"] for row in rows)
    if failed:
        console.print(f"{count(failed)} questions failed; they are not among those asked.")
    console.print(Text(visible(f"Written to {out}")), soft_wrap=True)
