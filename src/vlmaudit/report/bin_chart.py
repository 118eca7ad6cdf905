"""The chart of occurrences: rates by bin over a histogram of people."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from vlmaudit.report.drawing import (
    INK,
    NARROW,
    PAPER,
    PERCENT,
    QUIET,
    SHARE,
    SIZE,
    Chart,
    draw,
    heading,
    rate_row,
    rows,
)
from vlmaudit.report.parts import BinView, Drawing
from vlmaudit.results.numbers import brief, count

_AXIS: Final = 66
"""Width of the shares' axis."""
_ROOM_FOR_TWO: Final = 136
_ROOM_FOR_ONE: Final = 50
"""Width of a bin from which rates are written at their points: both rules', or the main one's."""


def bin_chart(
    bins: Sequence[BinView], *, axis: str, rule: str, votes: str, is_by_votes: bool
) -> Drawing | None:
    """Rates by occurrences over a histogram of people.

    Args:
        bins: The bins, in their order.
        axis: What they count.
        rule: By what the finding's own protocol decides.
        votes: The voting rule that is drawn beside it.
        is_by_votes: Whether the two are one rule, of which one drawing is enough.
    """
    if not bins:
        return None
    title = "Share of people detected, by occurrences, with 95 % intervals, and people a bin"
    key = f"open: {votes}" if is_by_votes else f"filled: {rule}; open: {votes}"
    return draw(
        "occurrences",
        title,
        lambda narrow: _bin_spec(bins, axis, key, is_by_votes=is_by_votes, narrow=narrow),
    )


def _bin_spec(
    bins: Sequence[BinView], axis: str, key: str, *, is_by_votes: bool, narrow: bool
) -> Chart:
    step = min(150, (NARROW - _AXIS if narrow else 720) / len(bins))
    x = alt.X("bin:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    series = [("votes", 0.0)] if is_by_votes else [("detected", -0.08), ("votes", 0.08)]
    layers = [
        layer
        for quantity, aside in series
        for layer in _points(bins, quantity, aside * step, x, step)
    ]
    top = alt.layer(*layers).properties(
        width=step * len(bins),
        height=220,
        title=heading("Share of people detected", key),
    )
    return alt.vconcat(top, _histogram(bins, axis, step, narrow=narrow), spacing=14)


def _points(
    bins: Sequence[BinView], quantity: str, aside: float, x: alt.X, step: float
) -> list[alt.Chart]:
    """One rule's rates: an interval, a point, and what it says where there is room."""
    is_main = quantity == "detected"
    values = [
        {
            "bin": place,
            "said": brief(estimate),
            **rate_row(estimate, is_member=one.is_member),
        }
        for place, one in enumerate(bins)
        for estimate in [one.detected if is_main else one.by_votes]
        if estimate is not None and estimate.value is not None
    ]
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=PERCENT, title=None, domain=False)
    base = rows(values)
    y = alt.Y("value:Q", scale=SHARE, axis=axis)
    limits = {"y": alt.Y("low:Q", scale=SHARE, axis=axis), "y2": alt.Y2("high:Q")}
    rule = base.mark_rule(strokeWidth=2.5, strokeCap="round", xOffset=aside, opacity=0.55)
    point = base.mark_point(size=95, opacity=1, xOffset=aside, strokeWidth=2, fill=PAPER)
    if is_main:
        point = point.encode(fill=alt.Fill("colour:N", scale=None))
    stroke = alt.Stroke("colour:N", scale=None)
    marks = [
        rule.encode(x=x, color=alt.Color("colour:N", scale=None), **limits),
        point.encode(x=x, y=y, stroke=stroke, shape=alt.Shape("shape:N", scale=None)),
    ]
    style: dict[str, Any] = {
        "fontSize": SIZE - 1,
        "fontWeight": 600 if is_main else "normal",
        "color": INK if is_main else QUIET,
    }
    if aside and step >= _ROOM_FOR_TWO:
        # Beside the interval, away from the other rule's; small enough to stay in its bin.
        style["fontSize"] = SIZE - 2
        side = -1 if aside < 0 else 1
        text = base.mark_text(
            align="right" if side < 0 else "left", baseline="middle", dx=aside + 9 * side, **style
        )
        marks.append(text.encode(x=x, y=y, text="said:N"))
    elif aside <= 0 and step >= _ROOM_FOR_ONE:
        # Beyond the end of the interval that has more room.
        above: dict[str, Any] = {"baseline": "bottom", "dy": -5}
        below: dict[str, Any] = {"baseline": "top", "dy": 6}
        for where, end, put in (
            ("datum.value <= 0.5", "high", above),
            ("datum.value > 0.5", "low", below),
        ):
            text = base.transform_filter(where).mark_text(dx=aside, **put, **style)
            at = alt.Y(f"{end}:Q", scale=SHARE, axis=axis)
            marks.append(text.encode(x=x, y=at, text="said:N"))
    return marks


def _histogram(
    bins: Sequence[BinView], axis: str, step: float, *, narrow: bool
) -> alt.LayerChart | alt.FacetChart:
    most = max(one.people for one in bins)
    base = rows(
        [
            {"bin": place, "people": one.people, "count": count(one.people)}
            for place, one in enumerate(bins)
        ]
    )
    names = ", ".join(f"'{one.short}'" for one in bins)
    x = alt.X(
        "bin:O",
        scale=alt.Scale(paddingInner=0, paddingOuter=0),
        axis=alt.Axis(
            labelExpr=f"[{names}][datum.value]",
            labelAngle=-50 if narrow and len(bins) > 7 else 0,
            labelOverlap=False,
            labelColor=INK,
            title=axis,
        ),
    )
    y = alt.Y("people:Q", scale=alt.Scale(domain=[0, max(1, most) * 1.35], nice=False), axis=None)
    bar = base.mark_bar(color=QUIET, opacity=0.35, width=step * 0.6).encode(x=x, y=y)
    text = base.mark_text(baseline="bottom", dy=-3, fontSize=SIZE - 1, color=INK).encode(
        x=x, y=y, text="count:N"
    )
    return alt.layer(bar, text).properties(
        width=step * len(bins), height=70, title=heading("People")
    )
