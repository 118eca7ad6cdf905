"""The report as one page that needs nothing but a browser."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.report.parts import Drawing
from vlmaudit.report.views import ReportView, view
from vlmaudit.results.files import write_text

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


def _page(shown: ReportView, groups: Drawing | None, curve: Drawing | None) -> str:
    environment = _environment()
    script = _own(environment, "people.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        view=shown,
        style=_own(environment, "report.css"),
        script=script,
        script_digest=f"sha256-{digest}",
        group_chart=_for_template(groups),
        curve_chart=_for_template(curve),
    )


def _for_template(drawing: Drawing | None) -> dict[str, Markup] | None:
    if drawing is None:
        return None
    # Serialised by an XML library, which has escaped every label.
    return {"wide": Markup(drawing.wide), "narrow": Markup(drawing.narrow)}


def render(finding: Finding) -> str:
    """The whole page for a finding: no request leaves it, and it needs no script.

    Args:
        finding: What the audit concluded; nothing else is read.

    Returns:
        An HTML document.
    """
    from vlmaudit.report.charts import curve_chart, group_chart

    shown = view(finding)
    return _page(shown, group_chart(shown.groups), curve_chart(shown.series))


def write_report(finding: Finding, out: Path) -> Path:
    """Write report.html and figures/*.svg, each whole or not at all.

    Args:
        finding: What the audit concluded.
        out: The run's folder; made where it is missing.

    Returns:
        Where the page is.
    """
    # Altair takes a third of a second to load: --help shall not wait for it.
    from vlmaudit.report.charts import curve_chart, group_chart

    shown = view(finding)
    groups, curve = group_chart(shown.groups), curve_chart(shown.series)
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for name, drawing in (("groups", groups), ("curve", curve)):
        if drawing is not None:
            write_text(figures / f"{name}.svg", drawing.file)
    page = out / "report.html"
    write_text(page, _page(shown, groups, curve))
    return page
