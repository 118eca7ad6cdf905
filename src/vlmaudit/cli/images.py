"""``vlmaudit images``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vlmaudit.cli.shared import (
    Backgrounds,
    ConditionsText,
    Device,
    Dtype,
    Faces,
    Figures,
    Limit,
    Reader,
    Seed,
    batch_size_of,
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


@app.command("find")
@exits
def find(
    people: People,
    pictures: Annotated[
        Path, typer.Option(help="The set: a folder, or a table with columns image and caption.")
    ],
    model: Annotated[str, typer.Option(help="A contrastive model, which chooses candidates.")],
    recogniser: Annotated[
        str, typer.Option(help="Who tells faces apart: onnx:FILE, dlib or classifier:FOLDER.")
    ],
    out: Annotated[Path, typer.Option(help="Gets matches.parquet, counts.csv and summary.json.")],
    faces: Faces = "mtcnn",
    controls: Annotated[
        Path | None, typer.Option(help="More people, whose faces are known to be nobody's here.")
    ] = None,
    candidates: Annotated[
        int, typer.Option(help="Pictures of the set to look at for every picture of a person.")
    ] = 50,
    false_members: Annotated[
        float, typer.Option(help="Share of absent people who may be found by mistake.")
    ] = 0.01,
    limit: Limit = None,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    batch_size: Annotated[str, typer.Option(help="Pictures a batch, up to 64, or auto.")] = "auto",
) -> None:
    """Look for people's faces in a set of pictures: who is in it, and how often."""
    from vlmaudit.execution.picture_search import PictureSearch, search_pictures
    from vlmaudit.report.picture_search import print_found
    from vlmaudit.results.numbers import counted, rate, visible

    settings = PictureSearch(
        model=model,
        people=people,
        pictures=pictures,
        out=out,
        recogniser=recogniser,
        faces=faces,
        controls=controls,
        candidates=candidates,
        false_members=false_members,
        limit=limit,
        device=device,
        dtype=dtype,
        batch_size=batch_size_of(batch_size),
    )
    search = search_pictures(settings, progress_console())
    print_found(search.counts())
    for name, share in search.shares().items():
        typer.echo(f"{name.replace('_', ' ').capitalize()}: {rate(share)}")
    typer.echo(f"A face counts above a similarity of {search.threshold.cosine:.4f}.")
    if not search.threshold.is_supported:
        typer.echo(
            "Known non-matches are too few to show the share of false members asked for: the "
            "threshold lies above all of them. More people (--controls) would say more."
        )
    if search.unreadable:
        typer.echo(
            f"{counted(len(search.unreadable), 'picture', 'pictures')} could not be read; see "
            "unreadable.csv."
        )
    typer.echo(f"Who is not found is unknown, not absent. Written to {visible(str(out))}")


@app.command("train-recogniser")
@exits
def train_recogniser(
    people: People,
    out: Annotated[
        Path, typer.Option(help="Gets the network: images find takes it as classifier:FOLDER.")
    ],
    steps: Annotated[int | None, typer.Option(help="Batches; without it, 100 epochs.")] = None,
    architecture: Annotated[
        Literal["resnet50", "resnet18"], typer.Option(help="resnet50 is the paper's.")
    ] = "resnet50",
    weights: Annotated[
        Path | None, typer.Option(help="torchvision's weights to start from; else drawn.")
    ] = None,
    faces: Faces = "mtcnn",
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Train a network to tell these people apart, as the IDIA paper did, and see how well."""
    from vlmaudit.execution.recogniser_training import train_recogniser_folder
    from vlmaudit.lab.recogniser_training import RecogniserTraining
    from vlmaudit.results.numbers import counted, percent, visible

    trained = train_recogniser_folder(
        people,
        out,
        RecogniserTraining(steps=steps, architecture=architecture, weights=weights, seed=seed),
        faces=faces,
        device=device,
        console=progress_console(),
    )
    accuracy = trained.accuracy
    held_out = counted(trained.held_out, "picture", "pictures")
    if accuracy.value is None or accuracy.low is None or accuracy.high is None:
        typer.echo("Nothing could be held out: all pictures of everybody are of one session.")
    else:
        typer.echo(
            f"{percent(accuracy.value)} of {held_out} held out are given to their person "
            f"({percent(accuracy.low)} to {percent(accuracy.high)}, "
            f"{counted(accuracy.n, 'person', 'people')}). Of strangers this says nothing."
        )
    if trained.without_face:
        typer.echo(
            f"{counted(trained.without_face, 'picture', 'pictures')} left out: unreadable, or "
            "without a face."
        )
    typer.echo(f"Written to {visible(str(out))}")
