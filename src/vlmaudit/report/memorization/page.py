"""The report of a memorization finding as one page."""

from pathlib import Path
from typing import Final

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.report.memorization.views import view
from vlmaudit.report.pages import render_page, write_figures
from vlmaudit.results.files import write_text

FIGURES: Final = ("means", "layers", "map", "modules", "curves", "doses")


def render(finding: Finding) -> str:
    """The whole page for a finding: no request leaves it, and it has no script."""
    from vlmaudit.report.memorization.figures import draw_all

    return render_page("memorization.html.j2", draw_all(finding), view=view(finding))


def write_memorization_report(finding: Finding, out: Path) -> Path:
    """Write report.html, figures/*.svg and figures/*.pdf, each whole or not at all.

    Args:
        finding: What the audit concluded.
        out: The run's folder; made where it is missing.

    Returns:
        Where the page is.
    """
    # Altair takes a third of a second to load: --help shall not wait for it.
    from vlmaudit.report.memorization.figures import draw_all

    drawings = draw_all(finding)
    write_figures(drawings, out / "figures", known=FIGURES)
    page = out / "report.html"
    write_text(page, render_page("memorization.html.j2", drawings, view=view(finding)))
    return page
