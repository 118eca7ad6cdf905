"""``vlmaudit images``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vlmaudit.cli.shared import (
    Backgrounds,
    ConditionsText,
    Device,
    Faces,
    Figures,
    Limit,
    Reader,
    Seed,
    conditions_of,
    exits,
    progress_console,
)

app = typer.Typer(
    name="images",
    help="Pictures under conditions, and what is found in them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

People = Annotated[Path, typer.Argument(help="Folder with one folder of pictures a person.")]


@app.command("render")
@exits
def render(
    people: People,
    out: Annotated[Path, typer.Option(help="Gets a folder of people for every condition.")],
    conditions: ConditionsText = "white,landscape,pixelated,white+pixelated,landscape+pixelated",
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Draw contact sheets of all conditions as well.")
    ] = False,
    faces: Faces = "mtcnn",
    figures: Figures = "grabcut",
    reader: Reader = "rapidocr",
    backgrounds: Backgrounds = None,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Write pictures under conditions, to be looked at or given to other programs."""
    # The door to what changes pictures: only here, once there is something to change.
    from vlmaudit.execution.looks import Looks
    from vlmaudit.execution.rendering import render_people
    from vlmaudit.report.conditions import print_rendered

    looks = Looks(faces=faces, figures=figures, text=reader, backgrounds=backgrounds)
    rendered = render_people(
        people,
        out,
        conditions_of(conditions),
        looks,
        seed=seed,
        device=device,
        limit=limit,
        with_sheets=sheet,
        console=progress_console(),
    )
    print_rendered(rendered.facts, rendered.unreadable, rendered.sheets, out)


@app.command("faces")
@exits
def write_faces(
    people: People,
    out: Annotated[Path, typer.Option(help="Gets a row a face, as --faces boxes:FILE reads it.")],
    faces: Faces = "mtcnn",
) -> None:
    """Write where faces are, to be looked over, mended, and given back."""
    from vlmaudit.execution.rendering import find_faces
    from vlmaudit.results.numbers import counted

    pictures, without, found = find_faces(people, out, faces, console=progress_console())
    typer.echo(
        f"{counted(found, 'face', 'faces')} in {counted(pictures, 'picture', 'pictures')}, "
        f"{without} of them without any. Written to {out}"
    )


@app.command("filter-text")
@exits
def filter_text(
    people: People,
    out: Annotated[Path, typer.Option(help="Gets the folder of people, and dropped.csv.")],
    rule: Annotated[
        Literal["audit", "paper"],
        typer.Option(help="audit: misread and cut names, too; paper: any five letters."),
    ] = "audit",
    reader: Reader = "rapidocr",
    inpaint: Annotated[
        bool, typer.Option("--inpaint", help="Paint text over instead of dropping the picture.")
    ] = False,
    limit: Limit = None,
) -> None:
    """Leave out pictures in which the person's own name can be read."""
    from vlmaudit.execution.text_filter import filter_text as filter_pictures
    from vlmaudit.report.conditions import print_filtered

    filtered = filter_pictures(
        people,
        out,
        rule=rule,
        reader=reader,
        inpaint=inpaint,
        limit=limit,
        console=progress_console(),
    )
    print_filtered(
        filtered.dropped,
        out,
        pictures=filtered.pictures,
        kept=filtered.kept,
        without=filtered.without,
    )
