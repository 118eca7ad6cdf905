"""The command line, the audit's settings and the documents say the same."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.cli import app, identity_inference

ROOT = Path(__file__).parents[2]
# What a protocol fixes; other values are for whoever calls the library.
FIXED = {"templates", "draws", "sizes", "edges"}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def options(verb):
    return {name.replace("_", "-") for name in inspect.signature(verb).parameters}


def test_every_setting_is_an_option_with_the_same_default():
    parameters = inspect.signature(identity_inference.identity_inference).parameters
    defaults = IdentityInference()
    for field in fields(IdentityInference):
        if field.name not in FIXED:
            assert str(parameters[field.name].default) == str(getattr(defaults, field.name))


def test_what_the_documents_write_can_be_typed():
    known = {command.name: options(command.callback) for command in app.registered_commands}
    for group in app.registered_groups:
        inside = group.typer_instance
        verbs = [options(command.callback) for command in inside.registered_commands]
        known[inside.info.name] = set().union(*verbs)
    commands = 0
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        for verb, rest in re.findall(r"vlmaudit ([a-z-]+)([^`\n]*)", text):
            if verb in known:
                commands += 1
                wanted = set(re.findall(r"--([a-z-]+)", rest)) - {"help"}
                assert wanted <= known[verb], (document.name, verb, wanted - known[verb])
    assert commands >= 5


def test_exit_codes_are_in_the_readme():
    from vlmaudit.cli import EXIT_BUG, shared

    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "README.md").read_text(), re.M))
    assert set(table) == {
        "0",
        "2",
        str(shared.EXIT_ERROR),
        str(shared.EXIT_TOO_MANY_FAILURES),
        str(EXIT_BUG),
        str(shared.EXIT_INTERRUPTED),
    }
