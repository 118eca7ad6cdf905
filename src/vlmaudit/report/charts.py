"""The report's two charts, drawn without a network, and fitted to page and paper."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from xml.etree import ElementTree

import altair as alt
import vl_convert

from vlmaudit.report.parts import Drawing, GroupView, SeriesView
from vlmaudit.results.numbers import bound, count, hits, percent

# Okabe and Ito's colours, told apart by colour-blind readers; shapes tell them apart as well.
_MEMBER: Final = "#0072b2"
_OTHER: Final = "#d55e00"
_NEITHER: Final = "#5c6470"
_INK: Final = "#1c2430"
_QUIET: Final = "#5a6473"
_LINE: Final = "#d9dde3"
_PAPER: Final = "#ffffff"
# On the page every colour becomes a variable, so that one drawing serves light, dark and print.
_VARIABLES: Final = {
    _MEMBER: "--chart-member",
    _OTHER: "--chart-other",
    _NEITHER: "--chart-neither",
    _INK: "--ink",
    _QUIET: "--quiet",
    _LINE: "--line",
    _PAPER: "--card",
}
_FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_SVG: Final = "http://www.w3.org/2000/svg"
# Serialised without a prefix, as HTML wants it.
ElementTree.register_namespace("", _SVG)
_SIZE: Final = 13
_SHARE: Final = alt.Scale(domain=[0, 1], nice=False)
_PERCENT: Final = "format(100 * datum.value, '.0f') + ' %'"


_Chart = alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart


@dataclass(frozen=True, slots=True)
class _Look:
    """Who is shown how: in colour, and in shape for whoever does not see the colour."""

    colour: str
    shape: str


_LOOKS: Final = {
    True: _Look(_MEMBER, "circle"),
    False: _Look(_OTHER, "diamond"),
    None: _Look(_NEITHER, "square"),
}


def group_chart(groups: Sequence[GroupView]) -> Drawing | None:
    """The share detected in each group, with intervals and n written beside."""
    if not groups:
        return None
    title = "Share of people detected, by group, with 95 % intervals"
    wide, narrow = (_draw(_group_spec(groups, narrow=narrow)) for narrow in (False, True))
    return _drawing(wide, narrow, title)


def curve_chart(series: Sequence[SeriesView]) -> Drawing | None:
    """True and false positive rate by number of attack pictures, with pointwise intervals."""
    drawn = [one for one in series if one.quantity in ("TPR", "FPR")]
    if not drawn:
        return None
    title = "Rates by number of attack pictures, with pointwise 95 % intervals"
    wide, narrow = (_draw(_curve_spec(drawn, narrow=narrow)) for narrow in (False, True))
    return _drawing(wide, narrow, title)


def _drawing(wide: str, narrow: str, title: str) -> Drawing:
    return Drawing(
        wide=_for_page(wide, title),
        narrow=_for_page(narrow, title),
        file=_for_file(wide, title),
    )


def _draw(chart: _Chart) -> str:
    configured = (
        chart.configure(font=_FONT, background=_PAPER, padding=4)
        .configure_view(stroke=None)
        .configure_axis(
            domainColor=_LINE,
            gridColor=_LINE,
            labelColor=_QUIET,
            labelFontSize=_SIZE - 1,
            labelPadding=6,
            tickColor=_LINE,
            ticks=False,
            titleColor=_QUIET,
            titleFontSize=_SIZE - 1,
            titleFontWeight="normal",
            titlePadding=10,
        )
    )
    return vl_convert.vegalite_to_svg(configured.to_dict())


def _group_rows(groups: Sequence[GroupView]) -> list[dict[str, Any]]:
    return [
        {
            "row": row,
            "label": group.label,
            "value": group.detected.value,
            "low": group.detected.low,
            "high": group.detected.high,
            "count": hits(group.detected),
            "said": bound(group.detected),
            "counted": f"{hits(group.detected)}: {bound(group.detected)}",
            "colour": _LOOKS[group.is_member].colour,
            "shape": _LOOKS[group.is_member].shape,
        }
        for row, group in enumerate(groups)
    ]


def _group_spec(groups: Sequence[GroupView], *, narrow: bool) -> _Chart:
    # Wide: the name left of its line, the share right of it. Narrow: both above it.
    width, step = (340, 70) if narrow else (330, 38)
    sink = 22 if narrow else 0
    axis = alt.Axis(
        values=[0, 0.25, 0.5, 0.75, 1],
        labelExpr=_PERCENT,
        labelFlush=narrow,
        title=None,
        domain=False,
    )
    base = alt.Chart(alt.InlineData(values=_group_rows(groups))).encode(
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.15))
    )
    known = base.transform_filter("isValid(datum.value)")
    rule = known.mark_rule(strokeWidth=3, strokeCap="round", yOffset=sink, opacity=0.55).encode(
        x=alt.X("low:Q", scale=_SHARE, axis=axis),
        x2="high:Q",
        color=alt.Color("colour:N", scale=None),
    )
    point = known.mark_point(
        filled=True, size=120, opacity=1, yOffset=sink, stroke=_PAPER, strokeWidth=1.5
    ).encode(
        x=alt.X("value:Q", scale=_SHARE, axis=axis),
        fill=alt.Fill("colour:N", scale=None),
        shape=alt.Shape("shape:N", scale=None),
    )
    if narrow:
        written = [
            _written(base, "label", 0, "left", width, rise=-18),
            _written(base, "counted", 0, "left", width, rise=1),
        ]
    else:
        written = [
            _written(base, "label", -16, "right", 290),
            _written(base, "count", width + 80, "right"),
            _written(base, "said", width + 92, "left"),
        ]
    return alt.layer(rule, point, *written).properties(width=width, height=alt.Step(step))


def _written(
    base: alt.Chart,
    field: Literal["label", "count", "said", "counted"],
    x: float,
    align: Literal["left", "right"],
    limit: float = 0,
    *,
    rise: float = 0,
) -> alt.Chart:
    return base.mark_text(
        align=align,
        baseline="middle",
        color=_QUIET if field.startswith("count") else _INK,
        fontSize=_SIZE,
        fontWeight=600 if field == "said" else "normal",
        limit=limit,
        yOffset=rise,
    ).encode(x=alt.value(x), text=f"{field}:N")


def _curve_rows(one: SeriesView) -> list[dict[str, Any]]:
    look = _LOOKS[one.quantity == "TPR"]
    known = [point for point in one.points if point.rate.value is not None]
    return [
        {
            "pictures": point.pictures,
            "value": point.rate.value,
            "low": point.rate.low,
            "high": point.rate.high,
            "said": bound(point.rate) if point is known[-1] else "",
            "colour": look.colour,
            "shape": look.shape,
        }
        for point in known
    ]


def _n(one: SeriesView) -> str:
    ns = sorted({point.rate.n for point in one.points})
    return count(ns[0]) if len(ns) == 1 else f"{count(ns[0])} to {count(ns[-1])}"


def _panel(one: SeriesView, *, width: int, height: int) -> alt.LayerChart | alt.FacetChart:
    rows = _curve_rows(one)
    look = _LOOKS[one.quantity == "TPR"]
    highest = max((row["high"] or row["value"] for row in rows), default=1.0)
    # False alarms are rare: on an axis to 100 % nobody could read them.
    top = 1.0 if one.quantity == "TPR" else min(1.0, math.ceil(highest * 1.25 * 20) / 20)
    sizes = sorted({point.pictures for point in one.points})
    base = alt.Chart(alt.InlineData(values=rows))
    x = alt.X(
        "pictures:Q",
        scale=alt.Scale(zero=False, nice=False, padding=14),
        axis=alt.Axis(
            values=sizes, title="Pictures of each person", grid=False, labelOverlap="greedy"
        ),
    )
    scale = alt.Scale(domain=[0, top], nice=False)
    axis = alt.Axis(
        values=[top * tick / 5 for tick in range(6)], labelExpr=_PERCENT, title=None, domain=False
    )
    y = alt.Y("value:Q", scale=scale, axis=axis)
    limits = {"y": alt.Y("low:Q", scale=scale, axis=axis, title=None), "y2": alt.Y2("high:Q")}
    band = base.mark_area(color=look.colour, opacity=0.16, line=False).encode(x=x, **limits)
    # Rules as well: a single size has no area.
    rule = base.mark_rule(color=look.colour, opacity=0.45, strokeWidth=2).encode(x=x, **limits)
    line = base.mark_line(color=look.colour, strokeWidth=2).encode(x=x, y=y)
    point = base.mark_point(
        filled=True, fill=look.colour, shape=look.shape, size=100, opacity=1, stroke=_PAPER
    ).encode(x=x, y=y)
    # Above the band, or below it where there is no room above.
    is_high = bool(rows) and rows[-1]["value"] > 0.6 * top
    said = base.mark_text(
        align="right",
        baseline="top" if is_high else "bottom",
        dx=8,
        dy=9 if is_high else -7,
        fontSize=_SIZE,
        fontWeight=600,
        color=_INK,
    ).encode(x=x, y=alt.Y("low:Q" if is_high else "high:Q", scale=scale, axis=axis), text="said:N")
    title = alt.TitleParams(
        one.label,
        subtitle=f"n = {_n(one)}; axis ends at {percent(top).replace('.0 %', ' %')}",
        anchor="start",
        frame="group",
        color=_INK,
        subtitleColor=_QUIET,
        fontSize=_SIZE,
        subtitleFontSize=_SIZE - 1,
        fontWeight=600,
        offset=14,
    )
    layers = alt.layer(band, rule, line, point, said)
    return layers.properties(width=width, height=height, title=title)


def _curve_spec(series: Sequence[SeriesView], *, narrow: bool) -> _Chart:
    width, height = (292, 170) if narrow else (325, 210)
    panels = [_panel(one, width=width, height=height) for one in series]
    if narrow:
        return alt.vconcat(*panels, spacing=28)
    return alt.hconcat(*panels, spacing=48)


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
