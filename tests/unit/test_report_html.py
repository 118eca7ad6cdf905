"""The page as a file: whole, self-contained, escaped."""

import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from base64 import b64encode

import pytest

from vlmaudit.report.html import render, write_report


@pytest.fixture(scope="module")
def page(findings):
    """The page of a whole study."""
    return render(findings.make_study())


def test_the_page_and_its_figures_are_written_whole(findings, tmp_path):
    page = write_report(findings.make_study(), tmp_path / "run")
    assert page == tmp_path / "run" / "report.html"
    assert page.read_text("utf-8").rstrip().endswith("</html>")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["figures", "report.html"]
    figures = sorted((tmp_path / "run" / "figures").iterdir())
    names = ("confusion", "curve", "groups", "heatmap", "occurrences")
    assert [path.name for path in figures] == [
        f"{name}.{ending}" for name in names for ending in ("pdf", "svg")
    ]
    for path in figures:
        if path.suffix == ".pdf":
            assert path.read_bytes().startswith(b"%PDF-")
            continue
        text = path.read_text("utf-8")
        assert ElementTree.fromstring(text).get("viewBox")
        # A file of its own knows no variables of a page.
        assert "var(" not in text


def test_writing_again_replaces_what_was_there(findings, tmp_path):
    write_report(findings.make_study(), tmp_path)
    page = write_report(findings.make_finding(), tmp_path)
    assert "Ada Lovelace" in page.read_text("utf-8")


def test_the_same_finding_gives_the_same_page_and_figures(findings, tmp_path):
    one, other = (write_report(findings.make_study(), tmp_path / name) for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    for path in (one.parent / "figures").glob("*.svg"):
        assert path.read_bytes() == (other.parent / "figures" / path.name).read_bytes()


def test_hostile_text_is_escaped_wherever_it_comes_from(findings, tmp_path):
    evil = "<script>alert(1)</script>"
    study = findings.make_study(names=(evil,))
    groups = [group.model_copy(update={"group": f"{group.group}{evil}"}) for group in study.groups]
    people = [
        person.model_copy(update={"identity": person.identity + evil, "arm": evil, "note": evil})
        for person in study.people[:12]
    ]
    finding = study.model_copy(
        update={
            "groups": groups,
            "people": people,
            "sentence": evil,
            "notes": [evil],
            "gates": [study.gates[0].model_copy(update={"name": evil, "sentence": evil})],
            "settings": {evil: evil},
            "model": findings.MODEL.model_copy(update={"name": evil}),
            "failures": study.failures.model_copy(
                update={"people_lost": [evil], "reasons": {evil: 1}}
            ),
            "occurrences": [
                row.model_copy(update={"label": row.label + evil}) for row in study.occurrences
            ],
            "comparison": study.comparison.model_copy(
                update={
                    "readings": [
                        one.model_copy(update={"sentence": evil})
                        for one in study.comparison.readings
                    ],
                    "differences": [
                        one.model_copy(update={"note": evil, "people": [evil, *one.people]})
                        for one in study.comparison.differences
                    ],
                }
            ),
        }
    )
    page = write_report(finding, tmp_path).read_text("utf-8")
    for path in (tmp_path / "figures").glob("*.svg"):
        root = ElementTree.fromstring(path.read_text("utf-8"))
        assert not any(element.tag.endswith("script") for element in root.iter())
    drawn = (tmp_path / "figures" / "heatmap.svg").read_text("utf-8")
    assert "&lt;script&gt;" in drawn
    assert evil not in page
    assert page.count("<script>") == 1
    assert page.count("&lt;script&gt;") > 20


def test_nothing_is_fetched_and_only_our_script_may_run(page):
    links = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]*)""", page)
    assert links
    assert all(link.startswith("#") for link in links)
    assert "@import" not in page
    assert "url(" not in re.sub(r"url\(#", "", page)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)
    assert script is not None
    digest = b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1].replace("&#39;", "'")


def test_drawings_on_one_page_share_no_ids(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_chart_has_its_table(page):
    assert page.count('role="img"') == 10  # five charts, each for a wide and a narrow page
    for caption in (
        "Share of people detected, by group",
        "Share of people detected, by occurrences",
        "Rates by number of attack pictures",
        "Share of people flagged by votes, by occurrences and number of pictures",
        "People flagged rightly and wrongly",
    ):
        assert f"<caption>{caption}</caption>" in page


def test_a_finding_without_groups_or_curve_has_a_page_too(findings, tmp_path):
    page = write_report(findings.make_finding(), tmp_path).read_text("utf-8")
    assert 'role="img"' not in page
    assert not list((tmp_path / "figures").iterdir())


def test_a_figure_of_another_finding_does_not_stay(findings, tmp_path):
    write_report(findings.make_study(), tmp_path)
    mine = tmp_path / "figures" / "mine.svg"
    mine.write_text("not ours")
    write_report(findings.make_study(confusions=[]), tmp_path)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "confusion.svg" not in names
    assert "confusion.pdf" not in names
    assert {"groups.pdf", "mine.svg"} <= names


def test_a_full_page_stays_small(findings):
    people = [findings.person(f"person-{i:05}", name="Ada Lovelace" * 3) for i in range(6000)]
    assert len(render(findings.make_finding(people=people)).encode()) < 5_000_000


def test_importing_the_report_loads_no_drawing_and_no_model_library():
    code = (
        "import sys, vlmaudit.report.html, vlmaudit.report.text;"
        "print([m for m in ('altair', 'torch', 'transformers', 'open_clip') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
