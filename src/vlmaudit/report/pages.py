"""Pages that need nothing but a browser, and the figures beside them."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from vlmaudit.report.parts import Drawing
from vlmaudit.results.files import write_text, write_whole

_NO_BREAK: Final = "\u00a0"
# A number must not part from its sign at the end of a line: "1.2 %", "p = .003", "τ = 4".
_BEFORE_PERCENT: Final = re.compile(r"(?<=\d) %")
_AROUND_SIGN: Final = re.compile(r"\b(\w) ([=<>≤≥]) (?=[.\d])")


def render_page(template: str, drawings: Sequence[Drawing], **shown: Any) -> str:  # noqa: ANN401
    """A page from one of our templates, with our style sheet and these charts.

    Args:
        template: Its file.
        drawings: Charts, which the template finds by name in `charts`.
        shown: What else the template reads. All of it is escaped.
    """
    environment = _environment()
    # Serialised by an XML library, which has escaped every label.
    charts = {
        drawing.name: {"wide": Markup(drawing.wide), "narrow": Markup(drawing.narrow)}
        for drawing in drawings
    }
    return environment.get_template(template).render(
        style=own_text("report.css"), charts=charts, **shown
    )


def own_text(name: str) -> Markup:
    """A style sheet or script of ours, which is put into the page as it stands."""
    environment = _environment()
    if environment.loader is None:
        raise jinja2.TemplateNotFound(name)
    return Markup(environment.loader.get_source(environment, name)[0])


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


def _tidy(text: str) -> str:
    text = _BEFORE_PERCENT.sub(f"{_NO_BREAK}%", text)
    return _AROUND_SIGN.sub(rf"\1{_NO_BREAK}\2{_NO_BREAK}", text)


def write_figures(drawings: Sequence[Drawing], folder: Path, *, known: Collection[str]) -> None:
    """Write NAME.svg and NAME.pdf of each drawing, and remove those of `known` that are not there.

    A chart that this finding has no numbers for must not stay from another.
    """
    from vlmaudit.report.drawing import to_pdf

    folder.mkdir(parents=True, exist_ok=True)
    for drawing in drawings:
        write_text(folder / f"{drawing.name}.svg", drawing.file)
        _write_bytes(folder / f"{drawing.name}.pdf", to_pdf(drawing))
    for name in {*known} - {drawing.name for drawing in drawings}:
        for ending in ("svg", "pdf"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)


def _write_bytes(path: Path, content: bytes) -> None:
    write_whole(path, lambda part: part.write_bytes(content))
