"""The report as one page that needs nothing but a browser."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.report.parts import Drawing, Pictures
from vlmaudit.report.views import ReportView, view
from vlmaudit.results.files import write_text, write_whole

MAX_BYTES: Final = 5_000_000
"""What a page may weigh: it is sent by mail."""
FIGURES: Final = ("groups", "occurrences", "curve", "heatmap", "confusion")

_NO_BREAK: Final = "\u00a0"
# A number must not part from its sign at the end of a line: "1.2 %", "p = .003", "τ = 4".
_BEFORE_PERCENT: Final = re.compile(r"(?<=\d) %")
_AROUND_SIGN: Final = re.compile(r"\b(\w) ([=<>≤≥]) (?=[.\d])")


def _tidy(text: str) -> str:
    text = _BEFORE_PERCENT.sub(f"{_NO_BREAK}%", text)
    return _AROUND_SIGN.sub(rf"\1{_NO_BREAK}\2{_NO_BREAK}", text)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        # Names and answers are hostile text: everything is escaped, whatever the template's name.
        autoescape=True,
        loader=jinja2.PackageLoader("vlmaudit.report"),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["tidy"] = _tidy
    return environment


def _own(environment: jinja2.Environment, name: str) -> Markup:
    """A style sheet or script of ours, which is put into the page as it stands."""
    if environment.loader is None:
        raise jinja2.TemplateNotFound(name)
    return Markup(environment.loader.get_source(environment, name)[0])


def _page(shown: ReportView, drawings: Sequence[Drawing]) -> str:
    environment = _environment()
    script = _own(environment, "people.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Serialised by an XML library, which has escaped every label.
    charts = {
        drawing.name: {"wide": Markup(drawing.wide), "narrow": Markup(drawing.narrow)}
        for drawing in drawings
    }
    return environment.get_template("report.html.j2").render(
        view=shown,
        style=_own(environment, "report.css"),
        script=script,
        script_digest=f"sha256-{digest}",
        charts=charts,
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
    _write_figures(drawings, out / "figures")
    content = _page(shown, drawings)
    if pictures is not None:
        left = MAX_BYTES - len(content.encode())
        content = _page(view(finding, pictures(left)), drawings)
    page = out / "report.html"
    write_text(page, content)
    return page


def _write_figures(drawings: Sequence[Drawing], folder: Path) -> None:
    from vlmaudit.report.drawing import to_pdf

    folder.mkdir(parents=True, exist_ok=True)
    for drawing in drawings:
        write_text(folder / f"{drawing.name}.svg", drawing.file)
        _write_bytes(folder / f"{drawing.name}.pdf", to_pdf(drawing))
    # A chart that this finding has no numbers for must not stay from another.
    for name in {*FIGURES} - {drawing.name for drawing in drawings}:
        for ending in ("svg", "pdf"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)


def _write_bytes(path: Path, content: bytes) -> None:
    write_whole(path, lambda part: part.write_bytes(content))
