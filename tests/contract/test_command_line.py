"""The command line, the audit's settings and the documents say the same."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.cli import app, identity_inference, memorization_audit, name_leakage
from vlmaudit.cli.shared import conditions_of
from vlmaudit.data.prompts import choose_prompts

ROOT = Path(__file__).parents[2]
AUDITS = [
    (IdentityInference, identity_inference.identity_inference),
    (NameLeakage, name_leakage.name_leakage),
    (Memorization, memorization_audit.memorization),
]
# What a protocol fixes; other values are for whoever calls the library.
FIXED = {"templates", "draws", "sizes", "edges", "means"}
# What is chosen by a word and kept as what it stands for.
CHOSEN = {
    "batch_sizes": memorization_audit.sizes_of,
    "conditions": conditions_of,
    "fields": memorization_audit.fields_of,
    "prompts": choose_prompts,
    "condition_prompts": choose_prompts,
    "scored_prompts": choose_prompts,
}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def options(verb):
    return {name.replace("_", "-") for name in inspect.signature(verb).parameters}


@pytest.mark.parametrize(("audit", "verb"), AUDITS, ids=lambda each: each.__name__)
def test_every_setting_is_an_option_with_the_same_default(audit, verb):
    parameters = inspect.signature(verb).parameters
    defaults = audit()
    for field in fields(audit):
        if field.name not in FIXED:
            meant = CHOSEN.get(field.name, str)(parameters[field.name].default)
            kept = getattr(defaults, field.name)
            assert meant == (kept if field.name in CHOSEN else str(kept)), field.name


def test_every_audit_is_compared_here():
    audits = [path.parent.name for path in (ROOT / "src/vlmaudit/audits").glob("*/settings.py")]
    assert {verb.__name__ for _, verb in AUDITS} == set(audits)


def verbs_of(group, before=""):
    """The options of every verb, by its words, those below other verbs included."""
    known = {f"{before}{one.name}": options(one.callback) for one in group.registered_commands}
    for inside in (one.typer_instance for one in group.registered_groups):
        known |= verbs_of(inside, f"{before}{inside.info.name} ")
    return known


def test_what_the_documents_write_can_be_typed():
    known = verbs_of(app)
    assert "lab train generative" in known
    commands = 0
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        for words in re.findall(r"vlmaudit ([a-z-]+[^`\n]*)", text):
            verb = next((verb for verb in known if f"{words} ".startswith(f"{verb} ")), None)
            if verb is not None:
                commands += 1
                wanted = set(re.findall(r"--([a-z-]+)", words)) - {"help"}
                assert wanted <= known[verb], (document.name, verb, wanted - known[verb])
    assert commands >= 30


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
