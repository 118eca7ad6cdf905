"""``vlmaudit lab``: target models with known truth."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmaudit.cli.shared import exits, progress_console

Precision = Literal["fp32", "amp_bf16"]
AlignedOn = Literal["both", "named", "anonymised"]

if TYPE_CHECKING:
    from vlmaudit.studies.ladder_records import LadderFinding

app = typer.Typer(
    name="lab",
    help="Target models with known truth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


train = typer.Typer(
    name="train", help="Train a target model.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(train)


@app.command("people")
@exits
def people(
    out: Annotated[
        Path, typer.Option(help="Gets people/, scenes/ and captions.jsonl; must be new or empty.")
    ],
    people: Annotated[int, typer.Option(help="People to draw.")] = 450,
    pictures: Annotated[
        int, typer.Option(help="Pictures of most; some have fewer, some many, for all doses.")
    ] = 15,
    scenes: Annotated[int, typer.Option(help="Captioned pictures without people.")] = 2000,
    seed: Annotated[int, typer.Option(help="Decides all of it.")] = 0,
) -> None:
    """Draw fictitious people and captioned scenes: a ladder's sets for who has no photos."""
    from vlmaudit.execution.progress import progress
    from vlmaudit.lab.drawn_sets import CAPTIONS, PEOPLE, draw_sets, spread
    from vlmaudit.results.numbers import visible

    if out.exists() and any(out.iterdir()):
        raise typer.BadParameter(f"{out} is not empty; give another --out.")
    counts = spread(pictures, people)
    with progress("Drawing pictures", sum(counts) + scenes, progress_console()) as advance:
        draw_sets(out, pictures=counts, scenes=scenes, seed=seed, progress=advance)
    sys.stdout.write(f"{visible(str(out / PEOPLE))}\n{visible(str(out / CAPTIONS))}\n")


@train.command("contrastive")
@exits
def contrastive(
    captions: Annotated[
        Path, typer.Option(help="Captioned pictures: JSON lines, webdataset tars, or Parquet.")
    ],
    out: Annotated[
        Path, typer.Option(help="The model's folder. The same command goes on with it.")
    ],
    steps: Annotated[int, typer.Option(help="Training steps.")] = 1000,
    batch_size: Annotated[int, typer.Option(help="Pairs a step.")] = 256,
    architecture: Annotated[
        str, typer.Option(help="lab-resnet-64, lab-resnet-48, a name of open_clip, or a file.")
    ] = "lab-resnet-64",
    precision: Annotated[Precision, typer.Option(help="Arithmetic of the training.")] = "fp32",
    seed: Annotated[int, typer.Option(help="Decides weights, batches and crops.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "cpu",
) -> None:
    """Train a CLIP from scratch on captioned pictures; stopped, it goes on where it was."""
    from vlmaudit.lab.training import Training
    from vlmaudit.results.numbers import visible
    from vlmaudit.studies.train_contrastive import train_on_captions

    train_on_captions(
        captions,
        out,
        seed=seed,
        training=Training(
            steps=steps, batch_size=batch_size, architecture=architecture, precision=precision
        ),
        device=device,
        console=progress_console(),
    )
    sys.stdout.write(f"open_clip:{visible(str(out.resolve()))}\n")


@train.command("generative")
@exits
def generative(
    out: Annotated[
        Path, typer.Option(help="The study's folder. The same command goes on with it.")
    ],
    alignment: Annotated[
        AlignedOn, typer.Option(help="Answers the models learn: named, anonymised, or both.")
    ] = "both",
    exposed: Annotated[
        int, typer.Option(help="Audited people whose face and name the parts see.")
    ] = 24,
    unexposed: Annotated[int, typer.Option(help="Audited people whom nothing sees.")] = 24,
    attack_pictures: Annotated[
        int, typer.Option(help="Pictures of each audited person that no training shows.")
    ] = 6,
    parts_steps: Annotated[int, typer.Option(help="Training steps of the parts.")] = 500,
    alignment_steps: Annotated[int, typer.Option(help="Training steps of each alignment.")] = 300,
    seed: Annotated[int, typer.Option(help="Decides people, names, arms and weights.")] = 0,
) -> None:
    """Train small LLaVAs whose parts have seen some people's names, aligned with names or not."""
    # The door to the lab: only here, once there is something to train.
    from dataclasses import replace

    from vlmaudit.lab.generative_planting import GenerativeDesign
    from vlmaudit.lab.generative_settings import GenerativeTraining
    from vlmaudit.lab.generative_texts import ALIGNMENTS
    from vlmaudit.results.numbers import visible
    from vlmaudit.studies.train_generative import train_generative_targets

    wanted = ALIGNMENTS if alignment == "both" else (alignment,)
    usual = GenerativeTraining()
    study = train_generative_targets(
        out,
        seed=seed,
        console=progress_console(),
        alignments=wanted,
        design=GenerativeDesign(
            exposed=exposed, unexposed=unexposed, attack_pictures=attack_pictures
        ),
        training=replace(
            usual,
            parts=replace(usual.parts, steps=parts_steps),
            alignment=replace(usual.alignment, steps=alignment_steps),
        ),
    )
    for one in wanted:
        sys.stdout.write(f"hf:{visible(str(study.models[one].resolve()))}\n")


@train.command("conditions")
@exits
def conditions(
    out: Annotated[
        Path, typer.Option(help="The study's folder. The same command goes on with it.")
    ],
    tied_to: Annotated[Literal["face", "background"], typer.Option(help="What names are tied to.")],
    seed: Annotated[int, typer.Option(help="Decides people, names, arms and weights.")] = 0,
) -> None:
    """Train a small LLaVA that knows 100 people by their face alone, or by their background."""
    # The door to the lab: only here, once there is something to train.
    from vlmaudit.lab.condition_studies import TRAINING, condition_design
    from vlmaudit.results.numbers import visible
    from vlmaudit.studies.train_generative import train_generative_targets

    study = train_generative_targets(
        out,
        seed=seed,
        console=progress_console(),
        alignments=["named"],
        design=condition_design(tied_to),
        training=TRAINING,
    )
    sys.stdout.write(f"hf:{visible(str(study.models['named'].resolve()))}\n")


@app.command("ladder")
@exits
def ladder(
    people: Annotated[
        Path, typer.Option(help="Folder with one folder of pictures a person; names are not used.")
    ],
    captions: Annotated[
        Path, typer.Option(help="Captioned pictures: JSON lines, webdataset tars, or Parquet.")
    ],
    out: Annotated[
        Path, typer.Option(help="The ladder's folder. The same command goes on with it.")
    ],
    sources: Annotated[
        Path | None, typer.Option(help="A table identity,source; doses are randomised within.")
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option(help="A folder of pictures a class, for zero-shot accuracy.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Squares of targets, each of its own seed.")] = 3,
    steps: Annotated[int, typer.Option(help="Training steps a target.")] = 1000,
    architecture: Annotated[
        str, typer.Option(help="lab-resnet-64, lab-resnet-48, a name of open_clip, or a file.")
    ] = "lab-resnet-64",
    precision: Annotated[Precision, typer.Option(help="Arithmetic of the training.")] = "fp32",
    rung: Annotated[
        list[str] | None,
        typer.Option(
            help='Arms of people with so many training pictures, one a target: "25: 0, 1, 10, 25"; '
            "give it once a rung."
        ),
    ] = None,
    controls: Annotated[int, typer.Option(help="People neither planted nor audited.")] = 60,
    attack_pictures: Annotated[
        int, typer.Option(help="Pictures of each person that no training shows.")
    ] = 8,
    nameless_share: Annotated[
        float, typer.Option(help="Share of the other people whom no caption names.")
    ] = 0.25,
    scenes: Annotated[
        int, typer.Option(help="Captioned pictures trained on beside people, at most.")
    ] = 2500,
    shard: Annotated[
        str, typer.Option(help="i/n: train and audit only every n-th target.")
    ] = "1/1",
    json: Annotated[bool, typer.Option("--json", help="Print ladder.json.")] = False,
) -> None:
    """Plant people at random doses in several small CLIPs, audit each, and compare."""
    # The door to the lab: only here, once there is something to train.
    from vlmaudit.execution.plan import parse_shard
    from vlmaudit.lab.ladder import RUNGS, LadderDesign, parse_rung
    from vlmaudit.lab.training import Training
    from vlmaudit.studies.ladder import Ladder, run_ladder
    from vlmaudit.studies.ladder_page import PAGE

    finding = run_ladder(
        Ladder(
            people=people,
            captions=captions,
            out=out,
            sources=sources,
            labelled=labelled,
            design=LadderDesign(
                rungs=tuple(parse_rung(one) for one in rung) if rung else RUNGS,
                controls=controls,
                attack_pictures=attack_pictures,
                nameless_share=nameless_share,
                scenes=scenes,
            ),
            training=Training(steps=steps, architecture=architecture, precision=precision),
            seeds=tuple(range(seeds)),
            shard=parse_shard(shard),
        ),
        console=progress_console(),
    )
    if finding is None:
        return
    if json:
        sys.stdout.write(finding.model_dump_json(indent=2, by_alias=True) + "\n")
    else:
        _show(finding, out / PAGE)


def _show(finding: "LadderFinding", page: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vlmaudit.results.numbers import count, visible
    from vlmaudit.studies.ladder_words import arm_words, headline, overall_rows, sentences, share

    console = Console(highlight=False)
    table = Table(box=None, title=f"{finding.people} people in {finding.targets} targets a seed")
    for heading in ("Arm", "n", "p of at most .05", "Detected"):
        table.add_column(heading, justify="right" if heading == "n" else "left")
    for row in overall_rows(finding):
        rates = (share(row.small_p), share(row.detected))
        table.add_row(arm_words(row.arm), count(row.small_p.n), *rates)
    console.print(headline(finding), style="bold")
    console.print(table)
    for sentence in sentences(finding):
        console.print(sentence)
    console.print(f"Page: {visible(str(page))}")
