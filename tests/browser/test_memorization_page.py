"""The page of a memorization finding as a reader meets it, in headless Chromium from a file."""

import re

import pytest
from tests.memorization_observations import QUICK, observed

from vlmaudit.audits.memorization.conclude import conclude
from vlmaudit.report.memorization.page import FIGURES, write_memorization_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def finding():
    return conclude(observed(40, canaries=40, states=4.0, says=0.6, known=0.9), QUICK).finding


@pytest.fixture(scope="module")
def report_file(tmp_path_factory, finding):
    return write_memorization_report(finding, tmp_path_factory.mktemp("run"))


def test_the_first_screen_answers(open_page):
    page = open_page(viewport={"width": 1280, "height": 900})
    answer = page.get_by_role("heading", name=re.compile(r"^Found\. The checkpoint tells"))
    cause = page.get_by_text("This checkpoint retained private text because")
    for part in (answer, cause):
        assert part.bounding_box()["y"] < 900


def test_every_figure_is_drawn_and_kept(open_page, report_file, finding):
    page = open_page()
    assert page.locator(".chart").count() == len(FIGURES)
    for name in FIGURES:
        assert (report_file.parent / "figures" / f"{name}.svg").exists()
    assert "Ada" not in page.content()
    for row in finding.means:
        assert page.get_by_text(row.sentence, exact=True).count() == 1


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_page(open_page, width):
    page = open_page(viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.locator(".chart-wide:visible").count()
    assert (shown > 0) == (width > 1000)
