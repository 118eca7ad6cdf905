"""A model's self-test in a terminal, in 80 columns."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlmaudit.data.prompts import PROMPTS
from vlmaudit.data.templates import IDIA_TEMPLATES
from vlmaudit.results.numbers import NO_VALUE, counted, duration, visible
from vlmaudit.results.self_test import SelfTest

_WIDEST: Final = 96
_SIGNS: Final = {True: ("✓", "green"), False: ("✗", "bold red"), None: (NO_VALUE, "dim")}


def print_self_test(
    test: SelfTest, *, pictures: int, names: int, console: Console | None = None
) -> None:
    """Print every check with its sign, how fast the model is, and how long a study would take.

    Args:
        test: What came out.
        pictures: Pictures of the study.
        names: Names of the study: each in all of the paper's templates, or scored as an answer.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    width = min(console.width, _WIDEST)
    verdict = ("passes", "green") if test.passed else ("does not pass", "bold red")
    name = visible(test.model.name)
    console.print(
        Text.assemble((name, "bold"), " ", verdict, f" its self-test in {test.model.dtype}."),
        width=width,
    )
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in test.checks:
        sign, style = _SIGNS[check.passed]
        table.add_row(
            Text(sign, style=style), Text(check.name, "bold"), Text(visible(check.sentence))
        )
    console.print(table, width=width)
    for line in (_speed(test), _study(test, pictures, names)):
        if line:
            console.print(Text(line), width=width)


def study_seconds(test: SelfTest, *, pictures: int, names: int) -> float | None:
    """How long a study would take at the measured speed; None where it was not measured."""
    n_templates = len(IDIA_TEMPLATES)
    if test.images_per_second and test.texts_per_second:
        n_texts = names * n_templates
        return pictures / test.images_per_second + n_texts / test.texts_per_second
    if test.seconds_per_request:
        n_requests = pictures * n_templates
        return n_requests * test.seconds_per_request / (test.requests_at_once or 1)
    if test.seconds_per_answer:
        answered = len(PROMPTS) * test.seconds_per_answer / (test.requests_at_once or 1)
        scored = names / test.names_per_second if test.names_per_second else 0
        return pictures * (answered + scored)
    return None


def _speed(test: SelfTest) -> str:
    if test.images_per_second and test.texts_per_second:
        return (
            f"Here it takes {_a_second(test.images_per_second)} decoded pictures and "
            f"{_a_second(test.texts_per_second)} texts a second."
        )
    if test.seconds_per_request:
        at_once = f", {test.requests_at_once} at a time" if test.requests_at_once else ""
        return f"A request takes {test.seconds_per_request:.2g} s{at_once}."
    if test.seconds_per_answer:
        at_once = f", {test.requests_at_once} at a time" if (test.requests_at_once or 1) > 1 else ""
        scored = (
            f"; {_a_second(test.names_per_second)} names a second are scored as answers"
            if test.names_per_second
            else ""
        )
        return f"An answer takes {test.seconds_per_answer:.2g} s{at_once}{scored}."
    return ""


def _study(test: SelfTest, pictures: int, names: int) -> str:
    seconds = study_seconds(test, pictures=pictures, names=names)
    if seconds is None:
        return ""
    shown, named = counted(pictures, "picture", "pictures"), counted(names, "name", "names")
    if test.seconds_per_answer:
        scored = f" and {named} scored" if test.names_per_second and names else ""
        asked = f"{shown}, each with {len(PROMPTS)} prompts{scored}"
    else:
        asked = f"{shown} and {named} in {len(IDIA_TEMPLATES)} templates"
    return f"{asked}: about {duration(seconds)} here."


def _a_second(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
