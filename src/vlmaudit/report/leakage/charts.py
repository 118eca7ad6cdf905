"""The charts of prompts and conditions: leak rates, what changes them, what answers do."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import altair as alt

from vlmaudit.audits.name_leakage.finding import ContrastRow, Finding, GroupRow, Outcome
from vlmaudit.audits.name_leakage.verdicts import MARGIN
from vlmaudit.report.drawing import (
    INK,
    LINE,
    MEMBER,
    OTHER,
    PAPER,
    QUIET,
    SIZE,
    Chart,
    Rows,
    draw,
    heading,
    rows,
)
from vlmaudit.report.leakage.conditions import (
    ALL,
    asked_words,
    contrast_condition,
    drawn_contrasts,
)
from vlmaudit.report.leakage.numbers import points, points_interval
from vlmaudit.report.leakage.outcomes import OUTCOMES
from vlmaudit.report.leakage.tables import group_null, groups_of, outcome_counts
from vlmaudit.report.leakage.wording import conditions, group_words
from vlmaudit.report.parts import Drawing
from vlmaudit.results.numbers import bound, count, interval, percent, visible

_DARK: Final[frozenset[Outcome]] = frozenset(("named", "list", "refused", "failed"))
# Not the page's own black and white: these stand on the segments, whatever the page's colours.
_ON_DARK, _ON_BRIGHT = "#fefefe", "#10151c"
_LABELLED_FROM: Final = 0.065
"""Share of a bar from which its number stands in it."""


def nice_top(highest: float) -> float:
    """Where an axis of shares ends: small rates must stay legible.

    >>> nice_top(0.031), nice_top(0.34), nice_top(0.9)
    (0.04, 0.4, 1.0)
    """
    for top in (0.01, 0.02, 0.04, 0.05, 0.08, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8):
        if highest <= top:
            return top
    return 1.0


def share_axis(
    top: float,
    *,
    narrow: bool,
    steps: int = 4,
    orient: Literal["top", "bottom", "left"] | None = None,
) -> alt.Axis:
    """An axis of shares that may end below 100 %; narrow: its last label stays within it."""
    fine = math.isclose(100 * top / steps, round(100 * top / steps))
    return alt.Axis(
        values=[top * place / steps for place in range(steps + 1)],
        labelExpr=f"format(100 * datum.value, '.{0 if fine else 2}~f') + ' %'",
        labelFlush=narrow,
        orient=orient if orient else alt.Undefined,
        domain=False,
    )


def rate_chart(finding: Finding) -> Drawing | None:
    """Leak rate by prompt category, with its interval and how often others are so named."""
    if not finding.groups:
        return None
    title = "Leak rate by prompt category, with 95 % intervals, and how often others are so named"
    return draw("prompts", title, lambda narrow: _rate_spec(finding, narrow=narrow))


def _rate_spec(finding: Finding, *, narrow: bool) -> Chart:
    tops = [one.rate.high if one.rate.high is not None else 1.0 for one in finding.groups]
    top = nice_top(max(tops))
    panels = []
    for condition in conditions(finding):
        groups = [one for one in finding.groups if one.condition == condition]
        if groups:
            panel = _rate_panel([_rate_values(finding, one) for one in groups], top, narrow=narrow)
            panels.append(panel.properties(title=heading(visible(condition))))
    return alt.vconcat(*panels, spacing=22)


def _rate_values(finding: Finding, group: GroupRow) -> dict[str, Any]:
    null = group_null(finding, group)
    others = "" if null is None else f"others {percent(null)}"
    said = bound(group.rate)
    known = group.rate.value is not None
    limits = interval(group.rate) if known else ""
    return {
        "label": group_words(group.group),
        "value": group.rate.value,
        "low": group.rate.low,
        "high": group.rate.high,
        "null": null,
        "said": said,
        "limits": limits,
        "others": others,
        "counted": f"{said} ({limits}); {others}" if known and others else said,
    }


def _rate_panel(values: Rows, top: float, *, narrow: bool) -> alt.LayerChart | alt.FacetChart:
    width, step = (340, 62) if narrow else (330, 34)
    sink = 20 if narrow else 0
    scale = alt.Scale(domain=[0, top], nice=False)
    axis = share_axis(top, narrow=narrow)
    base = rows([{"row": place, **value} for place, value in enumerate(values)]).encode(
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.15))
    )
    known = base.transform_filter("isValid(datum.value)")
    x = alt.X("value:Q", scale=scale, axis=axis, title=None)
    rule = known.mark_rule(
        strokeWidth=3, strokeCap="round", yOffset=sink, opacity=0.55, color=OTHER
    ).encode(x=alt.X("low:Q", scale=scale, axis=axis, title=None), x2="high:Q")
    point = known.mark_point(
        filled=True, size=110, opacity=1, yOffset=sink, stroke=PAPER, strokeWidth=1.5, fill=OTHER
    ).encode(x=x, shape=alt.value("diamond"))
    null = (
        base.transform_filter("isValid(datum.null)")
        .mark_point(size=70, opacity=1, yOffset=sink, stroke=MEMBER, strokeWidth=2, fill=PAPER)
        .encode(x=alt.X("null:Q", scale=scale, axis=axis, title=None), shape=alt.value("circle"))
    )
    if narrow:
        written = [
            _text(base, "label", 0, "left", width, rise=-17, weight=600),
            _text(base, "counted", 0, "left", width, rise=0),
        ]
    else:
        written = [
            _text(base, "label", -16, "right", 240),
            _text(base, "said", width + 14, "left", weight=600),
            _text(base, "limits", width + 82, "left"),
            _text(base, "others", width + 224, "left"),
        ]
    return alt.layer(rule, null, point, *written).properties(width=width, height=alt.Step(step))


def _text(
    base: alt.Chart,
    field: str,
    x: float,
    align: Any,  # noqa: ANN401 - one of Altair's words
    limit: float = 0,
    *,
    rise: float = 0,
    weight: Any = "normal",  # noqa: ANN401
) -> alt.Chart:
    return base.mark_text(
        align=align,
        baseline="middle",
        color=INK if field in ("label", "said") else QUIET,
        fontSize=SIZE - (0 if field in ("label", "said") else 1),
        fontWeight=weight,
        limit=limit,
        yOffset=rise,
    ).encode(x=alt.value(x), text=f"{field}:N")


def condition_chart(finding: Finding) -> Drawing | None:
    """How much each condition changes the leak rate, against the same pictures as they are."""
    contrasts = drawn_contrasts(finding)
    if not contrasts:
        return None
    title = "Change of the leak rate under each condition, in points, with 95 % intervals"
    return draw("conditions", title, lambda narrow: _condition_spec(contrasts, narrow=narrow))


def _condition_spec(contrasts: Mapping[str, Sequence[ContrastRow]], *, narrow: bool) -> Chart:
    drawn = [_change_values(row) for rows_ in contrasts.values() for row in rows_]
    ticks = change_ticks(
        min(row["low"] for row in drawn if row["low"] is not None),
        max(row["high"] for row in drawn if row["high"] is not None),
    )
    return alt.vconcat(
        *(
            _change_panel(
                [_change_values(row) for row in of_group], ticks, narrow=narrow
            ).properties(title=heading(asked_words(group) if group == ALL else group_words(group)))
            for group, of_group in contrasts.items()
        ),
        spacing=22,
    )


def change_ticks(low: float, high: float) -> list[float]:
    """Where an axis of changes has its ticks: 0 and both margins of likeness are within it.

    >>> change_ticks(-0.42, 0.03), change_ticks(-0.02, 0.04)
    ([-0.6, -0.4, -0.2, 0.0, 0.2], [-0.1, 0.0, 0.1])
    """
    low, high = min(low, -MARGIN), max(high, MARGIN)
    step = next((one for one in (0.1, 0.2) if high - low <= 4 * one), 0.5)
    first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
    return [round(place * step, 6) for place in range(first, last + 1)]


def _change_values(row: ContrastRow) -> dict[str, Any]:
    difference = row.difference
    said = points(difference.value or 0.0)
    limits = points_interval(difference)
    rates = (
        ""
        if row.first_rate is None or row.second_rate is None
        else f"{percent(row.first_rate)} from {percent(row.second_rate)}"
    )
    return {
        "label": visible(contrast_condition(row)),
        "value": difference.value,
        "low": difference.low,
        "high": difference.high,
        "said": said,
        "limits": limits,
        "rates": rates,
        "counted": f"{said} ({limits}); {rates}" if rates else f"{said} ({limits})",
    }


def _change_panel(
    values: Rows, ticks: Sequence[float], *, narrow: bool
) -> alt.LayerChart | alt.FacetChart:
    width, step = (340, 62) if narrow else (330, 34)
    sink = 20 if narrow else 0
    scale = alt.Scale(domain=[ticks[0], ticks[-1]], nice=False)
    axis = alt.Axis(
        values=list(ticks),
        labelExpr="datum.value == 0 ? '0' : format(100 * datum.value, '+.0f')",
        labelFlush=narrow,
        domain=False,
    )
    base = rows([{"row": place, **value} for place, value in enumerate(values)]).encode(
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.15))
    )
    x = alt.X("value:Q", scale=scale, axis=axis, title=None)
    edges = rows([{"low": -MARGIN, "high": MARGIN, "value": 0.0}])
    alike = edges.mark_rect(color=LINE, opacity=0.55).encode(
        x=alt.X("low:Q", scale=scale, axis=axis, title=None), x2="high:Q"
    )
    nothing = edges.mark_rule(color=QUIET, strokeWidth=1.5).encode(x=x)
    rule = base.mark_rule(
        strokeWidth=3, strokeCap="round", yOffset=sink, opacity=0.55, color=OTHER
    ).encode(x=alt.X("low:Q", scale=scale, axis=axis, title=None), x2="high:Q")
    point = base.mark_point(
        filled=True, size=110, opacity=1, yOffset=sink, stroke=PAPER, strokeWidth=1.5, fill=OTHER
    ).encode(x=x, shape=alt.value("diamond"))
    if narrow:
        written = [
            _text(base, "label", 0, "left", width, rise=-17, weight=600),
            _text(base, "counted", 0, "left", width, rise=0),
        ]
    else:
        written = [
            _text(base, "label", -16, "right", 240),
            _text(base, "said", width + 14, "left", weight=600),
            _text(base, "limits", width + 70, "left"),
            _text(base, "rates", width + 192, "left"),
        ]
    return alt.layer(alike, nothing, rule, point, *written).properties(
        width=width, height=alt.Step(step)
    )


def outcome_chart(finding: Finding) -> Drawing | None:
    """What answers do with the name, stacked, by prompt category."""
    if not finding.rates:
        return None
    title = "Answers by outcome and prompt category: shares of all questions"
    return draw("outcomes", title, lambda narrow: _outcome_spec(finding, narrow=narrow))


def _outcome_spec(finding: Finding, *, narrow: bool) -> Chart:
    panels = []
    for condition in conditions(finding):
        groups = groups_of(finding, condition)
        if groups:
            panel = _outcome_panel(finding, condition, groups, narrow=narrow)
            panels.append(panel.properties(title=heading(visible(condition))))
    return alt.vconcat(*panels, spacing=22)


def _outcome_panel(
    finding: Finding, condition: str, groups: Sequence[str], *, narrow: bool
) -> alt.LayerChart | alt.FacetChart:
    width, step = (340, 54) if narrow else (520, 34)
    bars, labels = [], []
    for place, group in enumerate(groups):
        counts = outcome_counts(finding, condition, group)
        total = counts.total()
        labels.append({"row": place, "label": f"{group_words(group)} (n = {count(total)})"})
        begin = 0.0
        for key in OUTCOMES:
            share = counts[key] / total if total else 0.0
            if share:
                bars.append(_segment(place, key, begin, share, narrow=narrow))
            begin += share
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = share_axis(1.0, narrow=narrow)
    base = rows(bars).encode(y=y)
    sink = 12 if narrow else 0
    bar = base.mark_bar(height=22, yOffset=sink, stroke=PAPER, strokeWidth=1).encode(
        x=alt.X("begin:Q", scale=scale, axis=axis, title=None),
        x2="end:Q",
        fill=alt.Fill("colour:N", scale=None),
    )
    said = base.mark_text(fontSize=SIZE - 1, fontWeight=600, yOffset=sink).encode(
        x=alt.X("middle:Q", scale=scale, axis=axis, title=None),
        text="said:N",
        color=alt.Color("ink:N", scale=None),
    )
    names = rows(labels).encode(y=y)
    label = (
        _text(names, "label", 0, "left", width, rise=-13)
        if narrow
        else _text(names, "label", -16, "right", 300)
    )
    return alt.layer(bar, said, label).properties(width=width, height=alt.Step(step))


def _segment(row: int, key: Outcome, begin: float, share: float, *, narrow: bool) -> dict[str, Any]:
    least = _LABELLED_FROM * (1.5 if narrow else 1)
    return {
        "row": row,
        "begin": begin,
        "end": begin + share,
        "middle": begin + share / 2,
        "colour": OUTCOMES[key].colour,
        "ink": _ON_DARK if key in _DARK else _ON_BRIGHT,
        "said": f"{100 * share:.0f} %" if share >= least else "",
    }
