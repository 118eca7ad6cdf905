"""The documents hold: reference pages, links, cards, glossary, index of decisions, citation."""

import doctest
import importlib.util
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from typer.testing import CliRunner

from vlmaudit.audits.name_leakage.finding import Outcome
from vlmaudit.cli import app
from vlmaudit.results.vocabulary import Verdict

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
CARD = ["Claim", "Protocol", "Decision rule", "Controls", "Limits", "Reference"]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(path):
    """A document without its fences."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def headings(path):
    return re.findall(r"^#+ (.+)$", prose(path), re.M)


def links(path):
    """Targets of a document's links into the repository, as path and anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield (path.parent / file).resolve() if file else path, anchor


# Reference pages.


def test_reference_pages_are_up_to_date(generator):
    pages = ", ".join(path.name for path in generator.stale())
    assert not pages, f"{pages}: run make docs"


def test_a_stale_page_is_noticed(generator, monkeypatch, tmp_path):
    page = tmp_path / "files.md"
    page.write_text((DOCS / "reference" / "files.md").read_text().replace("`identity`", "`who`"))
    monkeypatch.setattr(generator, "REFERENCE", tmp_path)
    assert {path.name for path in generator.stale()} == set(generator.PAGES)


def test_what_the_generator_says_of_itself(generator):
    assert doctest.testmod(generator).failed == 0


@pytest.mark.parametrize("columns", ["50", "200"])
def test_the_page_of_the_command_line_is_what_help_says(generator, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    for name, verb in generator.commands():
        said = CliRunner().invoke(app, [*name.split(), "--help"]).output
        told = {option.split()[0] for option, _, _ in generator.options(verb)}
        told = {option.strip("`") for option in told if option.startswith("`--")}
        assert told == set(re.findall(r"(--[a-z][a-z-]*)", said.split("Options:")[1])) - {"--help"}
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert told <= set(re.findall(r"`(--[a-z-]+)", section)), name


def test_every_field_of_a_finding_has_its_meaning(generator):
    common = generator.nested(generator.Finding)
    leakage = generator.nested(generator.LeakageFinding)
    for name, models in (
        ("finding.md", common),
        ("leakage-finding.md", [model for model in leakage if model not in common]),
    ):
        page = (DOCS / "reference" / name).read_text(encoding="utf-8")
        rows = re.findall(r"^\| `\w+` \| (.*) \| (.*) \|$", page, re.M)
        assert len(rows) == sum(len(model.model_fields) for model in models)
        assert all(kind and meaning for kind, meaning in rows)


def test_what_nobody_says_the_meaning_of_is_refused(generator):
    from pydantic import BaseModel

    class Row(BaseModel):
        unheard_of: int

    with pytest.raises(LookupError, match=r"Row\.unheard_of: give it a description"):
        generator.fields_table(Row)


def test_what_models_say_themselves_is_not_said_a_second_time(generator):
    files = re.findall(
        r"^\| `(\w+)` \|.*\| (.*) \|$",
        "".join(
            (DOCS / "reference" / page).read_text(encoding="utf-8") for page in generator.PAGES
        ),
        re.M,
    )
    for name, words in generator.UNSAID.items():
        assert (name.rpartition(".")[2], words) in files, (
            f"{name}: its model says it; take it out of UNSAID"
        )


# Links, cards, words.


def test_links_lead_somewhere(generator):
    checked = 0
    for document in DOCUMENTS:
        for path, anchor in links(document):
            assert path.exists(), (document.name, path)
            if anchor:
                checked += 1
                known = {generator.slug(heading) for heading in headings(path)}
                assert anchor in known, (document.name, path.name, anchor)
    assert checked > 50


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [path for path, _ in links(page)]
    assert reached >= set(DOCUMENTS)


def test_every_audit_has_its_card():
    audits = [path.parent for path in (ROOT / "src/vlmaudit/audits").glob("*/settings.py")]
    assert audits
    for audit in audits:
        card = DOCS / "audits" / f"{audit.name.replace('_', '-')}.md"
        assert re.findall(r"^## (.+)$", prose(card), re.M) == CARD


def test_every_outcome_of_an_answer_is_told():
    card = prose(DOCS / "audits" / "name-leakage.md")
    glossary = prose(DOCS / "glossary.md").partition("## Outcome")[2].partition("## ")[0]
    for outcome in get_args(Outcome):
        assert re.search(rf"^\| `{outcome}` \|", card, re.M), outcome
        assert f"`{outcome}`" in glossary, outcome


def test_every_gate_is_on_its_card():
    """Gates of name leakage are constants; the card has a row for each, by the same name."""
    from vlmaudit.audits.name_leakage import gates

    names = [
        *(gates.FAILURES, gates.FAILING_PEOPLE, gates.SWAPPED, gates.COMPARED),
        *(gates.POSITIVE, gates.NEGATIVE, gates.MATCHER, gates.RESOLUTION, *gates._TITLES.values()),
    ]
    card = prose(DOCS / "audits" / "name-leakage.md").partition("\n## Controls\n")[2]
    told = re.findall(r"^\| ([^|]+) \|", card.partition("\n\n**")[0], re.M)
    said = {gate.strip() for row in told for gate in re.split(r", (?=a grey)", row)}
    assert set(names) == said - {"gate", "---"}


def test_every_word_of_the_glossary_is_linked_to(generator):
    glossary = DOCS / "glossary.md"
    words = re.findall(r"^## (.+)$", prose(glossary), re.M)
    assert words == sorted(words, key=str.lower)
    linked = {
        anchor
        for document in DOCUMENTS
        if document != glossary
        for path, anchor in links(document)
        if path == glossary
    }
    assert {generator.slug(word) for word in words} == linked - {""}


def test_every_verdict_is_explained_where_readers_are_sent():
    told = prose(DOCS / "quickstart.md").partition("## The verdicts")[2]
    for verdict in get_args(Verdict):
        assert f"| **{verdict.replace('_', ' ')}** |" in told
        assert f"`{verdict}`" in (DOCS / "glossary.md").read_text(encoding="utf-8")


def test_every_decision_is_in_the_index():
    index = DOCS / "decisions" / "README.md"
    pages = sorted(path for path in index.parent.glob("*.md") if path != index)
    assert [path for path, _ in links(index)] == pages
    assert [int(path.name[:4]) for path in pages] == list(range(1, len(pages) + 1))


def test_pictures_are_small_and_shown():
    pictures = [path for path in (DOCS / "images").iterdir() if path.suffix == ".png"]
    shown = {path for document in DOCUMENTS for path, _ in links(document)}
    assert set(pictures) <= shown
    assert all(path.stat().st_size <= 300_000 for path in pictures)


def test_the_citation_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(citation)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)
