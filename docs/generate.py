"""Writes docs/reference from the code: `make docs`; with --check, says which pages are stale.

The command line comes from its Typer objects, findings from their pydantic models, exit codes
from the README. docs/reference/files.md is written by hand, but for what stands between marks.
"""

import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer import Typer
from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

from vlmaudit.audits.identity_inference.finding import Finding, PersonRow
from vlmaudit.audits.memorization.finding import Finding as MemorizationFinding
from vlmaudit.audits.name_leakage.finding import Finding as LeakageFinding
from vlmaudit.cli import app
from vlmaudit.results.environment import Environment, Environments
from vlmaudit.results.records import Record
from vlmaudit.results.run_folder import Manifest
from vlmaudit.results.self_test import Check, KnownAnswers, SelfTest

DOCS: Final = Path(__file__).parent
REFERENCE: Final = DOCS / "reference"
MARK: Final = "<!-- Written by docs/generate.py from the code: change that, and run make docs. -->"

# What a field means whose model leaves it to its name; where two models mean two things by it,
# the model stands before it.
UNSAID: Final[Mapping[str, str]] = {
    "audit": "Which audit concluded.",
    "protocol": "Whose rule decides: ours, or that of the paper's code.",
    "settings": "What decided the conclusion: its options and their values.",
    "verdict": "The answer in one word: [what each means](../quickstart.md#the-verdicts).",
    "sentence": "The answer in one sentence.",
    "identity": "The person, as in people.csv.",
    "name": "The person's name.",
    "sex": "As in people.csv; empty for unknown.",
    "origin": "As in people.csv; empty for unknown.",
    "GroupRow.kind": "What makes the people a group.",
    "quantity": "Which rate.",
    "pictures": "Attack pictures of each person.",
    "is_member": "Members, or non-members.",
    "is_flagged": "Flagged, or not.",
    "schema": "Version of the file's form.",
    "answers": "Answers that were read.",
    "condition": "How pictures were shown, such as original.",
    "first": "One of the two.",
    "labelled": "Answers that were judged.",
    "lift_high": "Upper limit.",
    "lift_low": "Lower limit of the lift's 95 % interval.",
    "likelihood_p_adjusted": "Benjamini-Hochberg over people.",
    "mean_exposure": "Mean over people of their exposure.",
    "n": "Labelled answers.",
    "note": "Why there is no decision, or what to know.",
    "outcomes": "Answers by outcome, failures included.",
    "people": "How many.",
    "prompts": "As whose answers names were scored.",
    "sampled": "Answers that were drawn to be judged.",
    "second": "The other one.",
    "ContrastRow.kind": "What is compared: prompt categories, conditions, or models.",
    "NullRow.kind": "What was shown instead of a person: nothing, a grey picture, drawn faces.",
    "accuracy": "Share of records told rightly.",
    "answer": "What the mean says.",
    "arm": "Which records: seen, unseen, control, canary.",
    "auc": "Chance that a seen record has the higher value than an unseen one.",
    "auc_high": "Upper limit.",
    "auc_low": "Lower limit of the AUC's 95 % interval.",
    "batch_size": "Examples in the mini-batch.",
    "batches": "How many mini-batches.",
    "control": "Mean of it with labels permuted.",
    "delta": "The δ of the bound.",
    "difference": "The first less the second; seen less unseen.",
    "field": "The field of the records.",
    "high": "Upper limit.",
    "highest": "Over mini-batches.",
    "included": "Canaries that were in.",
    "layer": "From 0, in the order of the model.",
    "left_out": "Canaries that were not.",
    "low": "Lower limit of the AUC's 95 % interval.",
    "lowest": "Over mini-batches.",
    "mean": "By what seen and unseen records are compared.",
    "CurveRow.mean": "Mean cosine over mini-batches.",
    "measure": "Exact match, or multiple choice.",
    "module": "The part of the model.",
    "n_seen": "Seen records.",
    "n_unseen": "Unseen ones.",
    "p": "Labels permuted over records.",
    "records": "How many.",
    "role": "The checkpoint: tuned, control, base or twin.",
    "selectivity": "Accuracy less control.",
    "upper": "One-sided upper 95 % limit of the AUC.",
    "way": "outright, partial or removed.",
    "with_picture": "Whether the picture was shown.",
    "MatcherTest.precision": "Of what the matcher calls a leak, the share that is one.",
    "MatcherTest.recall": "Of the leaks, the share that it sees.",
    "MatcherTest.specificity": "Of all other answers, the share in which it sees none.",
}


# Types, in words.


def words(hint: object) -> str:
    """How a reader of JSON would call a type.

    >>> words(float | None), words(list[str]), words(dict[str, int])
    ('number or null', 'list of text', 'object of whole numbers')
    """
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    plain[type(None)] = "null"
    origin, inside = get_origin(hint), get_args(hint)
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        said = f"[{hint.__name__}](#{hint.__name__.lower()})"
    elif origin is Literal:
        said = ", ".join(f"`{value}`" if value else "empty" for value in inside)
    elif origin in {Union, types.UnionType}:
        said = " or ".join(words(part) for part in inside)
    elif origin is Annotated:
        said = words(inside[0])
    elif origin in {list, tuple}:
        said = f"list of {_several(inside[0])}"
    elif origin is dict:
        said = f"object of {_several(inside[1])}"
    else:
        said = plain[hint]
    return said


def _several(hint: object) -> str:
    if get_origin(hint) in {list, tuple}:
        return words(hint).replace("list of", "lists of", 1)
    return f"{words(hint)}s" if hint in {int, float} else words(hint)


def models_in(hint: object) -> Iterator[type[BaseModel]]:
    """The records that stand in a type, as they are met."""
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        yield hint
    for part in get_args(hint):
        yield from models_in(part)


def nested(first: type[BaseModel]) -> list[type[BaseModel]]:
    """A record and all that stand in it, each once, in the order in which a reader meets them."""
    found = [first]
    for model in found:  # grows meanwhile
        for field in model.model_fields.values():
            found += [each for each in models_in(field.annotation) if each not in found]
    return list(dict.fromkeys(found))


def meaning(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """What a field means: as its model says it, as above, or as the record in it does.

    Raises:
        LookupError: Nobody says it.
    """
    if field.description:
        return field.description
    if (said := UNSAID.get(f"{model.__name__}.{name}")) is not None:
        return said
    for inside in models_in(field.annotation):
        return inspect.getdoc(inside).partition("\n")[0]
    if name in UNSAID:
        return UNSAID[name]
    raise LookupError(f"{model.__name__}.{name}: give it a description in its model")


def fields_table(model: type[BaseModel]) -> str:
    """A row a field."""
    rows = [
        (f"`{name}`", words(field.annotation), meaning(model, name, field))
        for name, field in (
            (field.alias or name, field) for name, field in model.model_fields.items()
        )
    ]
    return table(("field", "type", "meaning"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; a bar in a cell does not end it."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


# The pages.


def finding_page() -> str:
    """docs/reference/finding.md."""
    parts = [
        "# finding.json",
        MARK,
        "What a finding holds, for programs. `vlmaudit conclude RUN --json` prints it, and a run "
        "keeps it as\n`finding.json`; a protocol other than the run's own goes to "
        "`finding.PROTOCOL.json`. Rates are fractions of 1. An\n"
        "[estimate](../glossary.md#estimate) is never without its interval. A finding holds no "
        "date, host, path or version: the same\nsettings and answers give the same bytes.",
        "This page is about identity inference. What another audit finds has a page of its own: "
        "[name\nleakage](leakage-finding.md), [memorization](memorization-finding.md). Models, "
        "gates, failures, estimates and tests are\nthe same in all.",
    ]
    for model in nested(Finding):
        parts += [f"## {model.__name__}", inspect.getdoc(model), fields_table(model)]
    return "\n\n".join(parts) + "\n"


def leakage_finding_page() -> str:
    """docs/reference/leakage-finding.md: what is not on the page of all findings."""
    parts = [
        "# finding.json of name leakage",
        MARK,
        "What a [name-leakage](../audits/name-leakage.md) finding holds, for programs. Where it "
        "lies, and what is the same in every\nfinding, says the page of [all "
        "findings](finding.md). Answers are not in it: those that the report quotes lie in the "
        "run's\nprivate folder.",
    ]
    for model in own_records(LeakageFinding):
        parts += [f"## {model.__name__}", inspect.getdoc(model), fields_table(model)]
    return told_elsewhere("\n\n".join(parts) + "\n", nested(Finding), own_records(LeakageFinding))


def memorization_finding_page() -> str:
    """docs/reference/memorization-finding.md: what is not on the page of all findings."""
    own = own_records(MemorizationFinding)
    parts = [
        "# finding.json of memorization",
        MARK,
        "What a [memorization](../audits/memorization.md) finding holds, for programs. Where it "
        "lies, and what is the same in every\nfinding, says the page of [all "
        "findings](finding.md). No record's value is in it.",
    ]
    for model in own:
        parts += [f"## {model.__name__}", inspect.getdoc(model), fields_table(model)]
    return told_elsewhere("\n\n".join(parts) + "\n", nested(Finding), own)


def own_records(finding: type[BaseModel]) -> list[type[BaseModel]]:
    """The records that only one audit's finding has."""
    return [model for model in nested(finding) if model not in nested(Finding)]


def told_elsewhere(
    text: str, models: Sequence[type[BaseModel]], here: Sequence[type[BaseModel]] = ()
) -> str:
    """A page whose links to records lead to finding.md, but for those that it tells itself."""
    own = {model.__name__ for model in here}
    for model in models:
        if model.__name__ not in own:
            anchor = f"(#{model.__name__.lower()})"
            text = text.replace(anchor, f"(finding.md{anchor[1:]}")
    return text


def command_line_page() -> str:
    """docs/reference/cli.md."""
    verbs = dict(commands())
    parts = [
        "# Command line",
        MARK,
        "Every verb with its options, as `--help` says it. `vlmaudit --version` says which "
        "version it is. Progress goes to\nstandard error, answers to standard output.",
        table(
            ("verb", "what it does"),
            [(f"[{name}](#{slug(name)})", first_line(verb)) for name, verb in verbs.items()],
        ),
    ]
    for name, verb in verbs.items():
        parts += [f"## {name}", inspect.getdoc(verb), f"```\n{usage(name, verb)}\n```"]
        parts += [table(("option", "default", "meaning"), list(options(verb)))]
    return "\n\n".join([*parts, "## Exit codes", exit_codes()]) + "\n"


def files_page() -> str:
    """docs/reference/files.md: what is written by hand, and tables between marks."""
    text = (REFERENCE / "files.md").read_text(encoding="utf-8")
    tables = {
        "units.parquet": fields_table(PersonRow),
        "manifest.json": fields_table(Manifest),
        "environment.json": both(Environments, Environment),
        "self-test.json": both(SelfTest, Check, KnownAnswers),
    }
    for name, rows in tables.items():
        between = re.compile(rf"(<!-- generated: {re.escape(name)} -->\n).*?(<!-- end -->)", re.S)
        text, found = between.subn(rf"\1\n{_literally(rows)}\n\n\2", text)
        if found != 1:
            raise LookupError(f"files.md: {found} marks for {name}")
    return told_elsewhere(text, nested(Finding))


def _literally(text: str) -> str:
    """Text that a regular expression's replacement leaves as it is."""
    return text.replace("\\", r"\\")


def both(*models: type[Record]) -> str:
    """The tables of records that stand in one file."""
    first, *others = models
    return "\n\n".join([fields_table(first), *map(part_of, others)])


def part_of(model: type[Record]) -> str:
    """A record that stands inside another, under its name."""
    return f"#### {model.__name__}\n\n{inspect.getdoc(model)}\n\n{fields_table(model)}"


# The command line.


def commands(of: Typer = app) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every verb, those below others included, with its function."""
    for command in of.registered_commands:
        yield str(command.name), command.callback
    for group in of.registered_groups:
        inside = group.typer_instance
        for name, verb in commands(inside):
            yield f"{inside.info.name} {name}", verb


def first_line(verb: Callable[..., Any]) -> str:
    """What a verb does, in one line."""
    return inspect.getdoc(verb).partition("\n")[0]


def slug(heading: str) -> str:
    """The anchor of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def parameters(verb: Callable[..., Any]) -> Iterator[tuple[str, object, ParameterInfo, object]]:
    """Name, type, what Typer is told, and default of each parameter."""
    hints = get_type_hints(verb, include_extras=True)
    for name, parameter in inspect.signature(verb).parameters.items():
        hint, *notes = get_args(hints[name])
        (info,) = (note for note in notes if isinstance(note, ParameterInfo))
        yield name, hint, info, parameter.default


def spelt(name: str, info: ParameterInfo) -> str:
    """A parameter as it is typed."""
    if isinstance(info, ArgumentInfo):
        return info.metavar or name.upper()
    return info.param_decls[0] if info.param_decls else f"--{name.replace('_', '-')}"


def value_of(hint: object) -> str:
    """What has to be typed behind an option; nothing behind a switch."""
    kinds = [part for part in get_args(hint) if part is not type(None)]
    if get_origin(hint) in {Union, types.UnionType}:
        (hint,) = kinds
    if get_origin(hint) is list:
        (hint,) = get_args(hint)
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    return {bool: "", int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}[hint]


def usage(name: str, verb: Callable[..., Any]) -> str:
    """The shortest complete call."""
    line = [f"vlmaudit {name}"]
    for parameter, hint, info, default in parameters(verb):
        is_needed = default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            line.append(spelt(parameter, info) if is_needed else f"[{spelt(parameter, info)}]")
        elif is_needed:
            line.append(f"{spelt(parameter, info)} {value_of(hint)}")
    if any(isinstance(info, OptionInfo) for *_, info, _ in parameters(verb)):
        line.append("[options]")
    return " ".join(line)


def options(verb: Callable[..., Any]) -> Iterator[tuple[str, str, str]]:
    """A row a parameter."""
    for name, hint, info, default in parameters(verb):
        value = "" if isinstance(info, ArgumentInfo) else value_of(hint)
        shown = f"`{' '.join(filter(None, (spelt(name, info), value)))}`"
        yield shown, default_of(default), str(info.help)


def default_of(default: object) -> str:
    """A default as a reader would write it."""
    if default is inspect.Parameter.empty:
        return "needed"
    return "" if default is None or default is False else f"`{default}`"


def exit_codes() -> str:
    """The README's table."""
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^\| exit code \|.*?(?=\n\n)", readme, re.M | re.S)
    if found is None:
        raise LookupError("README.md: no table of exit codes")
    return found[0]


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "cli.md": command_line_page,
    "finding.md": finding_page,
    "leakage-finding.md": leakage_finding_page,
    "memorization-finding.md": memorization_finding_page,
    "files.md": files_page,
}


def stale() -> dict[Path, str]:
    """The pages that are not as the code has them, with what they should be."""
    wanted = {REFERENCE / name: write() for name, write in PAGES.items()}
    return {
        path: text
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> None:
    """Write the pages, or say which are stale."""
    pages = stale()
    if "--check" in sys.argv[1:]:
        for path in pages:
            sys.stderr.write(f"docs/reference/{path.name} is stale; run make docs.\n")
        sys.exit(bool(pages))
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"Wrote docs/reference/{path.name}\n")


if __name__ == "__main__":
    main()
