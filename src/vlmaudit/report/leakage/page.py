"""The report of a name-leakage finding as one page."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.report.html import MAX_BYTES
from vlmaudit.report.leakage.views import LeakageView, view
from vlmaudit.report.pages import own_text, render_page, write_figures
from vlmaudit.report.parts import Drawing, Pictures
from vlmaudit.results.files import write_text

FIGURES: Final = ("prompts", "outcomes", "people", "distribution", "occurrences", "conditions")
_FOR_PICTURES: Final = 1_500_000
"""Bytes that answers leave to pictures, where these are asked for."""


def _page(shown: LeakageView, drawings: Sequence[Drawing]) -> str:
    scripts = [own_text(name) for name in ("people.js", "answers.js")]
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'"
        for one in scripts
    ]
    return render_page(
        "leakage.html.j2",
        drawings,
        view=shown,
        scripts=scripts,
        script_digests=" ".join(digests),
    )


def render(finding: Finding, answers: pl.DataFrame | None = None) -> str:
    """The whole page for a finding: no request leaves it, and it needs no script.

    Args:
        finding: What the audit concluded.
        answers: Answers to quote; see `write_leakage_report`.

    Returns:
        An HTML document of at most `MAX_BYTES`, as long as what is not quoted fits.
    """
    from vlmaudit.report.leakage.figures import draw_all

    drawings = draw_all(finding)
    left = MAX_BYTES - len(_page(view(finding), drawings).encode())
    return _page(view(finding, answers, budget=left), drawings)


def write_leakage_report(
    finding: Finding,
    out: Path,
    *,
    answers: pl.DataFrame | None,
    pictures: Callable[[int], Pictures] | None = None,
) -> Path:
    """Write report.html, figures/*.svg and figures/*.pdf, each whole or not at all.

    Args:
        finding: What the audit concluded.
        out: The run's folder; made where it is missing.
        answers: Answers to quote, those of most interest first: a row an answer with the columns
            identity, image, condition, prompt, outcome, answer, start, end. The page holds at
            most 2,000 of them, and fewer where they are long.
        pictures: Gives people's pictures for so many bytes of page; without it there are none.

    Returns:
        Where the page is.
    """
    # Altair takes a third of a second to load: --help shall not wait for it.
    from vlmaudit.report.leakage.figures import draw_all

    drawings = draw_all(finding)
    write_figures(drawings, out / "figures", known=FIGURES)
    left = MAX_BYTES - len(_page(view(finding), drawings).encode())
    budget = left if pictures is None else left - _FOR_PICTURES
    content = _page(view(finding, answers, budget=budget), drawings)
    if pictures is not None:
        shown = pictures(MAX_BYTES - len(content.encode()))
        content = _page(view(finding, answers, budget=budget, pictures=shown), drawings)
    page = out / "report.html"
    write_text(page, content)
    return page
