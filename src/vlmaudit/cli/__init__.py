"""The command line: one verb a file."""

import sys
import traceback

import typer

from vlmaudit.cli import (
    conclude,
    demo,
    identity_inference,
    images,
    lab,
    label,
    memorization,
    models,
    name_leakage,
    names,
    report,
    status,
)
from vlmaudit.cli.shared import show_version

EXIT_BUG = 70

app = typer.Typer(
    name="vlmaudit",
    help="Find out what a vision-language model remembers about people.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("identity-inference")(identity_inference.identity_inference)
app.command("name-leakage")(name_leakage.name_leakage)
app.command("label")(label.label)
app.command("conclude")(conclude.conclude)
app.command("report")(report.report)
app.command("status")(status.status)
app.add_typer(models.app)
app.add_typer(images.app)
app.add_typer(names.app)
app.add_typer(memorization.app)
app.add_typer(lab.app)
app.callback()(show_version)


def main() -> None:
    """Run the command line; a bug ends with its traceback and exit code 70."""
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.stderr.write("This is a bug in vlmaudit; please report it with the lines above.\n")
        sys.exit(EXIT_BUG)
