"""``vlmaudit models``."""

import sys
from typing import Annotated, Literal

import typer

from vlmaudit.cli.shared import batch_size_of, exits, progress_console

app = typer.Typer(
    name="models",
    help="What can be known of a model before it is audited.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("check")
@exits
def check(
    spec: Annotated[str, typer.Argument(help="The model, as for an audit.", metavar="SPEC")],
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    batch_size: Annotated[
        str, typer.Option(help="Pictures, texts or prompts a batch, or auto.")
    ] = "auto",
    quantization: Annotated[
        Literal["none", "8bit", "4bit"], typer.Option(help="none, 8bit or 4bit (bitsandbytes).")
    ] = "none",
    trust_remote_code: Annotated[
        str | None,
        typer.Option(help="REVISION: run the code that this revision of the model brings along."),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Where an answer is cut off.")] = 64,
    pictures: Annotated[
        int, typer.Option(min=0, help="Say how long a study of so many pictures takes.")
    ] = 25_000,
    names: Annotated[int, typer.Option(min=0, help="… and of so many names.")] = 1_000,
    write_known_answers: Annotated[
        bool,
        typer.Option(
            "--write-known-answers",
            help="Keep what the model says of drawn inputs beside its checkpoint, to compare with.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """Does the model keep what an audit rests on, and how fast is it?"""
    # The door to the models: only here, once there is something to ask.
    from vlmaudit.errors import ModelError
    from vlmaudit.execution import checking
    from vlmaudit.report.self_test import print_self_test

    known = None if write_known_answers else checking.read_known_answers(spec)
    test = checking.check_model(
        spec,
        device=device,
        dtype=dtype,
        batch_size=batch_size_of(batch_size),
        quantization=quantization,
        trust_remote_code=trust_remote_code,
        max_new_tokens=max_new_tokens,
        known=known,
        console=progress_console(),
    )
    if json:
        sys.stdout.write(test.model_dump_json(indent=2, by_alias=True) + "\n")
    else:
        print_self_test(test, pictures=pictures, names=names)
    if not test.passed:
        failed = ", ".join(check.name for check in test.failed)
        kept = " Its known answers were not written." if write_known_answers else ""
        raise ModelError(f'model "{test.model.name}": does not pass its self-test: {failed}.{kept}')
    if write_known_answers:
        file = checking.write_known_answers(spec, test)
        progress_console().print(f"Wrote {file}", highlight=False, soft_wrap=True)
