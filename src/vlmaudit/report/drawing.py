"""From a chart's specification to drawings: for the page at two widths, and for a paper."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode

from vlmaudit.report.parts import Drawing
from vlmaudit.results.records import Estimate

# Okabe and Ito's colours, told apart by colour-blind readers; shapes tell them apart as well.
MEMBER: Final = "#0072b2"
OTHER: Final = "#d55e00"
NEITHER: Final = "#5c6470"
INK: Final = "#1c2430"
QUIET: Final = "#5a6473"
LINE: Final = "#d9dde3"
PAPER: Final = "#ffffff"
# On the page every colour becomes a variable, so that one drawing serves light, dark and print.
_VARIABLES: Final = {
    MEMBER: "--chart-member",
    OTHER: "--chart-other",
    NEITHER: "--chart-neither",
    INK: "--ink",
    QUIET: "--quiet",
    LINE: "--line",
    PAPER: "--card",
}
_FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_SVG: Final = "http://www.w3.org/2000/svg"
# Serialised without a prefix, as HTML wants it.
ElementTree.register_namespace("", _SVG)
NARROW: Final = 330
"""Width of what is drawn for a narrow page, beside its axis."""
SIZE: Final = 13
"""Of written words; what stands beside an axis is a little smaller."""
SHARE: Final = alt.Scale(domain=[0, 1], nice=False)
PERCENT: Final = "format(100 * datum.value, '.0f') + ' %'"

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Look:
    """Who is shown how: in colour, and in shape for whoever does not see the colour."""

    colour: str
    shape: str


LOOKS: Final = {
    True: Look(MEMBER, "circle"),
    False: Look(OTHER, "diamond"),
    None: Look(NEITHER, "square"),
}


def draw(name: str, title: str, spec: Callable[[bool], Chart]) -> Drawing:
    """Draw a chart.

    Args:
        name: Of the chart's files, without ending.
        title: What it shows, for whoever does not see it.
        spec: The chart, for a narrow page or for a wide one.
    """
    # Altair would check every part of a chart against its schema each time it is copied, which
    # takes longer than to draw it; the charts are the same each time but for their numbers.
    with debug_mode(False):
        wide, narrow = (_svg(spec(is_narrow)) for is_narrow in (False, True))
    return Drawing(
        name=name,
        wide=_for_page(wide, title),
        narrow=_for_page(narrow, title),
        file=_for_file(wide, title),
    )


def to_pdf(drawing: Drawing) -> bytes:
    """The drawing for a paper: the same picture as its SVG file, type included."""
    return vl_convert.svg_to_pdf(drawing.file)


def rows(values: Rows) -> alt.Chart:
    """A chart on these values, which are part of it."""
    return alt.Chart(alt.InlineData(values=values))


def rate_row(estimate: Estimate, *, is_member: bool) -> dict[str, Any]:
    """What is drawn of a rate: itself, its interval, and whose it is."""
    look = LOOKS[is_member]
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "colour": look.colour,
        "shape": look.shape,
    }


def heading(text: str, *below: str) -> alt.TitleParams:
    """A panel's title, with smaller lines below it."""
    return alt.TitleParams(
        text,
        subtitle=list(below) or alt.Undefined,
        anchor="start",
        frame="group",
        color=INK,
        subtitleColor=QUIET,
        fontSize=SIZE,
        subtitleFontSize=SIZE - 1,
        fontWeight=600,
        offset=14 if below else 10,
    )


def _svg(chart: Chart) -> str:
    configured = (
        chart.configure(font=_FONT, background=PAPER, padding=4)
        .configure_view(stroke=None)
        .configure_axis(
            domainColor=LINE,
            gridColor=LINE,
            labelColor=QUIET,
            labelFontSize=SIZE - 1,
            labelPadding=6,
            tickColor=LINE,
            ticks=False,
            titleColor=QUIET,
            titleFontSize=SIZE - 1,
            titleFontWeight="normal",
            titlePadding=10,
        )
    )
    return vl_convert.vegalite_to_svg(configured.to_dict(validate=False))


def _for_file(svg: str, title: str) -> str:
    root = ElementTree.fromstring(svg)
    _name(root, title)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _for_page(svg: str, title: str) -> str:
    """The drawing in the page's colours and type, and as wide as its place."""
    root = ElementTree.fromstring(svg)
    width = root.attrib.pop("width")
    root.attrib.pop("height")
    root.set("style", f"max-width:{float(width) * 1.15:.0f}px")
    for element in root.iter():
        # A chart is one picture with a name; its numbers are read out from the table beside it.
        for attribute in [name for name in element.attrib if name.startswith(("aria-", "role"))]:
            del element.attrib[attribute]
        element.attrib.pop("font-family", None)
        for name, value in element.attrib.items():
            if variable := _VARIABLES.get(value.casefold()):
                element.set(name, f"var({variable})")
    _name(root, title)
    return ElementTree.tostring(root, encoding="unicode")


def _name(root: ElementTree.Element, title: str) -> None:
    root.set("role", "img")
    root.set("aria-label", title)
    element = ElementTree.Element(f"{{{_SVG}}}title")
    element.text = title
    root.insert(0, element)
