"""The charts of groups and of attack sizes."""

import math
from collections.abc import Sequence
from typing import Literal

import altair as alt

from vlmaudit.report.drawing import (
    INK,
    LOOKS,
    PAPER,
    PERCENT,
    QUIET,
    SHARE,
    SIZE,
    Chart,
    Rows,
    draw,
    heading,
    rows,
)
from vlmaudit.report.parts import Drawing, GroupView, SeriesView
from vlmaudit.results.numbers import bound, count, hits, percent


def group_chart(groups: Sequence[GroupView]) -> Drawing | None:
    """The share detected in each group, with intervals and n written beside."""
    if not groups:
        return None
    title = "Share of people detected, by group, with 95 % intervals"
    return draw("groups", title, lambda narrow: _group_spec(groups, narrow=narrow))


def curve_chart(series: Sequence[SeriesView]) -> Drawing | None:
    """True and false positive rate by number of attack pictures, with pointwise intervals."""
    drawn = [one for one in series if one.quantity in ("TPR", "FPR")]
    if not drawn:
        return None
    title = "Rates by number of attack pictures, with pointwise 95 % intervals"
    return draw("curve", title, lambda narrow: _curve_spec(drawn, narrow=narrow))


def _group_rows(groups: Sequence[GroupView]) -> Rows:
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
            "colour": LOOKS[group.is_member].colour,
            "shape": LOOKS[group.is_member].shape,
        }
        for row, group in enumerate(groups)
    ]


def _group_spec(groups: Sequence[GroupView], *, narrow: bool) -> Chart:
    # Wide: the name left of its line, the share right of it. Narrow: both above it.
    width, step = (340, 70) if narrow else (330, 38)
    sink = 22 if narrow else 0
    axis = alt.Axis(
        values=[0, 0.25, 0.5, 0.75, 1],
        labelExpr=PERCENT,
        labelFlush=narrow,
        title=None,
        domain=False,
    )
    base = rows(_group_rows(groups)).encode(
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.15))
    )
    known = base.transform_filter("isValid(datum.value)")
    rule = known.mark_rule(strokeWidth=3, strokeCap="round", yOffset=sink, opacity=0.55).encode(
        x=alt.X("low:Q", scale=SHARE, axis=axis),
        x2="high:Q",
        color=alt.Color("colour:N", scale=None),
    )
    point = known.mark_point(
        filled=True, size=120, opacity=1, yOffset=sink, stroke=PAPER, strokeWidth=1.5
    ).encode(
        x=alt.X("value:Q", scale=SHARE, axis=axis),
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
        color=QUIET if field.startswith("count") else INK,
        fontSize=SIZE,
        fontWeight=600 if field == "said" else "normal",
        limit=limit,
        yOffset=rise,
    ).encode(x=alt.value(x), text=f"{field}:N")


def _curve_rows(one: SeriesView) -> Rows:
    look = LOOKS[one.quantity == "TPR"]
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
    values = _curve_rows(one)
    look = LOOKS[one.quantity == "TPR"]
    highest = max((row["high"] or row["value"] for row in values), default=1.0)
    # False alarms are rare: on an axis to 100 % nobody could read them.
    top = 1.0 if one.quantity == "TPR" else min(1.0, math.ceil(highest * 1.25 * 20) / 20)
    sizes = sorted({point.pictures for point in one.points})
    base = rows(values)
    x = alt.X(
        "pictures:Q",
        scale=alt.Scale(zero=False, nice=False, padding=14),
        axis=alt.Axis(
            values=sizes, title="Pictures of each person", grid=False, labelOverlap="greedy"
        ),
    )
    scale = alt.Scale(domain=[0, top], nice=False)
    axis = alt.Axis(
        values=[top * tick / 5 for tick in range(6)], labelExpr=PERCENT, title=None, domain=False
    )
    y = alt.Y("value:Q", scale=scale, axis=axis)
    limits = {"y": alt.Y("low:Q", scale=scale, axis=axis, title=None), "y2": alt.Y2("high:Q")}
    band = base.mark_area(color=look.colour, opacity=0.16, line=False).encode(x=x, **limits)
    # Rules as well: a single size has no area.
    rule = base.mark_rule(color=look.colour, opacity=0.45, strokeWidth=2).encode(x=x, **limits)
    line = base.mark_line(color=look.colour, strokeWidth=2).encode(x=x, y=y)
    point = base.mark_point(
        filled=True, fill=look.colour, shape=look.shape, size=100, opacity=1, stroke=PAPER
    ).encode(x=x, y=y)
    # Above the band, or below it where there is no room above.
    is_high = bool(values) and values[-1]["value"] > 0.6 * top
    said = base.mark_text(
        align="right",
        baseline="top" if is_high else "bottom",
        dx=8,
        dy=9 if is_high else -7,
        fontSize=SIZE,
        fontWeight=600,
        color=INK,
    ).encode(x=x, y=alt.Y("low:Q" if is_high else "high:Q", scale=scale, axis=axis), text="said:N")
    said_below = f"n = {_n(one)}; axis ends at {percent(top).replace('.0 %', ' %')}"
    layers = alt.layer(band, rule, line, point, said)
    return layers.properties(width=width, height=height, title=heading(one.label, said_below))


def _curve_spec(series: Sequence[SeriesView], *, narrow: bool) -> Chart:
    width, height = (292, 170) if narrow else (325, 210)
    panels = [_panel(one, width=width, height=height) for one in series]
    if narrow:
        return alt.vconcat(*panels, spacing=28)
    return alt.hconcat(*panels, spacing=48)
