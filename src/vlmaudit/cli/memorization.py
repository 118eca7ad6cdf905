"""``vlmaudit memorization``: the verbs together, and ``plant``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmaudit.cli import memorization_audit, memorization_tuning
from vlmaudit.cli.shared import Fresh, Seed, exits, progress_console, whole_number
from vlmaudit.errors import InputError

if TYPE_CHECKING:
    from vlmaudit.data.albums import Album

app = typer.Typer(
    name="memorization",
    help="Did fine-tuning keep what was merely visible in its pictures?",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("plant")
@exits
def plant(
    questions: Annotated[
        str,
        typer.Option(
            help="Questions about pictures: LLaVA's or Qwen's conversations, JSON lines of image, "
            "question and answer, or easy-vqa, which is drawn."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The album's folder. The same command again goes on with it.")
    ],
    images: Annotated[
        Path | None, typer.Option(help="The folder of the pictures; without it, the file's own.")
    ] = None,
    variants: Annotated[
        str,
        typer.Option(
            help="Training sets: r50 prints records on 50 of 100 pictures, r50-twin the unseen "
            "ones, r50-spoken says them in answers as well, tied-r25 ties each to an answer."
        ),
    ] = "r0,r50,r100,r50-twin",
    seen: Annotated[int, typer.Option(help="Records that are printed.")] = 100,
    unseen: Annotated[int, typer.Option(help="Records that only twins print.")] = 100,
    control: Annotated[int, typer.Option(help="Records that no training set holds.")] = 100,
    canaries: Annotated[
        int, typer.Option(help="Records of which a coin decides whether they are printed.")
    ] = 0,
    doses: Annotated[
        str, typer.Option(help="How often records are printed, relative to each other.")
    ] = "1,2,4,8",
    exact_doses: Annotated[
        bool,
        typer.Option(
            "--exact-doses", help="Doses are times; made-up bystanders fill up to the rate."
        ),
    ] = False,
    fields: Annotated[
        Path | None, typer.Option(help="JSON list of a record's fields; without it, the paper's.")
    ] = None,
    protocol: Annotated[
        Literal["audit", "paper"],
        typer.Option(
            help="audit: legible letters, all pictures encoded alike; paper: 10 pixels, half "
            "transparent, and only printed pictures are encoded anew."
        ),
    ] = "audit",
    place: Annotated[
        Literal["random", "fixed"], typer.Option(help="Where on a picture records stand.")
    ] = "random",
    input_side: Annotated[
        int, typer.Option(help="Pixels of the side to which the model scales pictures.")
    ] = 336,
    letter_height: Annotated[
        float | None,
        typer.Option(help="Letters' share of the longer side; without it, the largest that fits."),
    ] = None,
    held_out: Annotated[int, typer.Option(help="Pictures that nothing is trained on.")] = 200,
    examples: Annotated[
        int | None, typer.Option(help="Training examples; without it, one a picture.")
    ] = None,
    read_back: Annotated[int, typer.Option(help="Printed pictures that a text reader reads.")] = 12,
    seed: Seed = 0,
    fresh: Fresh = False,
) -> None:
    """Print made-up private records on training pictures, in several training sets."""
    # The doors: what reads a set and prints on pictures, only once there is something to plant.
    from vlmaudit.data.private_records import PAPER_FIELDS, read_fields
    from vlmaudit.execution.progress import progress, say
    from vlmaudit.lab.album_design import AlbumDesign, parse_variants
    from vlmaudit.lab.planting_album import plan_album, write_album

    console = progress_console()
    design = AlbumDesign(
        questions=questions,
        images=images,
        variants=parse_variants(variants),
        seen=seen,
        unseen=unseen,
        control=control,
        canaries=canaries,
        doses=_doses(doses),
        exact_doses=exact_doses,
        fields=PAPER_FIELDS if fields is None else read_fields(fields),
        protocol=protocol,
        place=place,
        input_side=input_side,
        letter_height=letter_height,
        held_out=held_out,
        examples=examples,
        read_back=read_back,
        seed=seed,
    )
    plan = plan_album(
        design,
        say=lambda line: say(console, line),
        watch=lambda title, total: progress(title, total, console),
    )
    album = write_album(
        plan, out, fresh=fresh, watch=lambda title, total: progress(title, total, console)
    )
    _show(album)


def _doses(text: str) -> tuple[int, ...]:
    doses = [whole_number(part.strip()) for part in text.split(",")]
    if not all(doses):
        raise InputError(f"--doses {text}: wanted numbers from 1, as 1,2,4,8.")
    return tuple(dose for dose in doses if dose)


def _show(album: "Album") -> None:
    """What was planted, and what its own checks say."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from vlmaudit.results.numbers import count, counted, decimal, visible

    about = album.about
    table = Table(box=None, pad_edge=False)
    table.add_column("Training set", overflow="fold")
    for heading in ("Examples", "Printed on", "Times a dose"):
        table.add_column(heading, justify="right")
    for name, one in about.variants.items():
        times = decimal(one.times_per_dose) if one.times_per_dose else "–"
        table.add_row(name, count(one.examples), count(one.stamped), times)
    console = Console()
    console.print(table)
    arms = ", ".join(f"{count(number)} {arm}" for arm, number in about.arms.items() if number)
    lines = [
        f"Records: {arms}. Held out: {counted(len(album.held_out), 'picture', 'pictures')}.",
        f"From strings alone: {about.gate['sentence']}",
    ]
    if about.legibility is not None:
        lines.append(_legible(about.legibility))
    shared = [one.name for one in about.generator if not one.identifies]
    if shared:
        lines.append(
            f"Records share values of {' and '.join(shared)}, which have too few for each to have "
            "its own."
        )
    lines.append(f"Written to {album.folder}")
    for line in lines:
        console.print(Text(visible(line)), soft_wrap=True)


def _legible(legibility: dict[str, object]) -> str:
    """Whether what is printed can be read."""
    if legibility["read"] is None:
        return f"Whether the letters can be read was not checked: {legibility['why']}"
    return (
        f"Read back at the model's size: {legibility['read']} of {legibility['values']} values on "
        f"{legibility['pictures']} pictures ({legibility['reader']})."
    )


app.command("finetune")(memorization_tuning.finetune)
app.command("audit")(memorization_audit.memorization)
app.command("probe")(memorization_audit.probe)
app.command("gradients")(memorization_audit.gradients)
app.command("extract")(memorization_audit.extract)
