"""The report of an identity-inference finding as one page."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.report.pages import own_text, render_page, write_figures
from vlmaudit.report.parts import Drawing, Pictures
from vlmaudit.report.views import ReportView, view
from vlmaudit.results.files import write_text

MAX_BYTES: Final = 5_000_000
"""What a page may weigh: it is sent by mail."""
FIGURES: Final = ("groups", "occurrences", "curve", "heatmap", "confusion")


def _page(shown: ReportView, drawings: Sequence[Drawing]) -> str:
    script = own_text("people.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render_page(
        "report.html.j2", drawings, view=shown, script=script, script_digest=f"sha256-{digest}"
    )


def render(finding: Finding) -> str:
    """The whole page for a finding: no request leaves it, and it needs no script.

    Args:
        finding: What the audit concluded; nothing else is read.

    Returns:
        An HTML document.
    """
    from vlmaudit.report.figures import draw_all

    shown = view(finding)
    return _page(shown, draw_all(shown))


def write_report(
    finding: Finding, out: Path, *, pictures: Callable[[int], Pictures] | None = None
) -> Path:
    """Write report.html, figures/*.svg and figures/*.pdf, each whole or not at all.

    Args:
        finding: What the audit concluded.
        out: The run's folder; made where it is missing.
        pictures: Gives people's pictures for so many bytes of page; without it there are none.

    Returns:
        Where the page is.
    """
    # Altair takes a third of a second to load: --help shall not wait for it.
    from vlmaudit.report.figures import draw_all

    shown = view(finding)
    drawings = draw_all(shown)
    write_figures(drawings, out / "figures", known=FIGURES)
    content = _page(shown, drawings)
    if pictures is not None:
        left = MAX_BYTES - len(content.encode())
        content = _page(view(finding, pictures(left)), drawings)
    page = out / "report.html"
    write_text(page, content)
    return page
