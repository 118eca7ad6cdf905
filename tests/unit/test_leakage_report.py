"""The report of a name-leakage finding: what it says, escapes, shortens and leaves out."""

import hashlib
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlmaudit.report.leakage.page import FIGURES, render, write_leakage_report


@pytest.fixture(scope="module")
def leakage():
    """Builders of hand-made findings and answers."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "leakage_findings.py")))


@pytest.fixture(scope="module")
def study(leakage):
    return leakage.make_study()


@pytest.fixture(scope="module")
def run(leakage, study, tmp_path_factory):
    """A run's folder with the page of a whole study."""
    out = tmp_path_factory.mktemp("run")
    write_leakage_report(study, out, answers=leakage.make_answers(study))
    return out


@pytest.fixture(scope="module")
def page(run):
    return (run / "report.html").read_text("utf-8")


def test_the_page_and_its_figures_are_written(run, page):
    assert page.rstrip().endswith("</html>")
    names = {path.name for path in (run / "figures").iterdir()}
    assert names == {f"{name}.{ending}" for name in FIGURES for ending in ("pdf", "svg")}
    for path in (run / "figures").glob("*.svg"):
        text = path.read_text("utf-8")
        assert "var(" not in text
        assert not any(one.tag.endswith("script") for one in ElementTree.fromstring(text).iter())


def test_nothing_is_fetched_and_only_our_scripts_may_run(page):
    links = re.findall(r"""\b(?:src|href)\s*=\s*["']?([^"'\s>]*)""", page.split("<tbody")[0])
    assert links
    assert all(link.startswith("#") for link in links)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1].replace("&#39;", "'")


def test_hostile_names_and_answers_are_escaped(leakage, page):
    assert leakage.HOSTILE not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=&#34;alert(2)&#34;&gt;&amp;amp;" in page


def test_ids_are_there_once(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_importing_the_report_loads_no_drawing_and_no_model_library():
    code = (
        "import sys, vlmaudit.report.leakage.page;"
        "print([m for m in ('altair', 'torch', 'transformers', 'open_clip') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_finding_of_little_has_a_page_too(leakage):
    page = render(leakage.make_finding())
    assert 'id="answers"' not in page
    assert 'id="nulls"' not in page
