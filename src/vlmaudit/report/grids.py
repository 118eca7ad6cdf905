"""Charts of cells that each hold a rate and its interval: heat map and confusion matrices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from vlmaudit.report.drawing import (
    INK,
    NARROW,
    PAPER,
    QUIET,
    SIZE,
    Chart,
    Rows,
    draw,
    heading,
    rate_row,
    rows,
)
from vlmaudit.report.parts import BinView, Drawing, MatrixView
from vlmaudit.results.numbers import count, interval, whole

# The fullest cell is half as strong as its colour: what is written on it must stay legible.
_STRENGTH: Final = alt.Scale(domain=[0, 1], range=[0.04, 0.5])


@dataclass(frozen=True, slots=True)
class _Text:
    """A field that is written in a cell, and how far down from its upper edge."""

    field: str
    height: float
    size: int
    weight: Any


def heat_chart(bins: Sequence[BinView], sizes: Sequence[int]) -> Drawing | None:
    """Share flagged by votes, by occurrences and number of pictures."""
    if not sizes:
        return None
    title = "Share of people flagged by votes, by occurrences and number of pictures"
    return draw("heatmap", title, lambda narrow: _heat_spec(bins, sizes, narrow=narrow))


def matrix_chart(matrices: Sequence[MatrixView]) -> Drawing | None:
    """Confusion matrices, with rates of members and of non-members."""
    if not matrices:
        return None
    title = "Members and non-members, flagged and not flagged, with 95 % intervals"
    return draw("confusion", title, lambda narrow: _matrix_spec(matrices, narrow=narrow))


def _placed(places: Rows, texts: Sequence[_Text]) -> Rows:
    """Where everything in a cell is drawn, its interval as a line along its foot: 0 to 100 %."""
    for one in places:
        for limit in ("low", "value", "high"):
            share = one[limit]
            one[f"x_{limit}"] = None if share is None else one["x"] + 0.1 + 0.8 * share
        one["x_end"] = one["x"] + 1
        one["y_end"] = one["y"] + one["tall"]
        one["foot"] = one["y"] + 0.84 * one["tall"]
        one["middle"] = one["x"] + 0.5
        for text in texts:
            one[f"{text.field}_at"] = one["y"] + text.height * one["tall"]
    return places


def _cells(
    places: Rows, *, across: int, down: float, texts: Sequence[_Text], more: Sequence[alt.Chart]
) -> alt.LayerChart | alt.FacetChart:
    """Cells with their intervals and words; `more` is drawn from the same values."""
    x_scale = alt.Scale(domain=[0, across], nice=False, padding=0)
    y_scale = alt.Scale(domain=[down, 0], nice=False, padding=0)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=x_scale, axis=None)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=y_scale, axis=None)

    cell = alt.Chart()
    known = cell.transform_filter("isValid(datum.value)")
    box = cell.mark_rect(stroke=PAPER, strokeWidth=3).encode(
        x=x("x"),
        x2="x_end:Q",
        y=y("y"),
        y2="y_end:Q",
        fill=alt.Fill("colour:N", scale=None),
        fillOpacity=alt.FillOpacity("value:Q", scale=_STRENGTH, legend=None),
    )
    line = known.mark_rule(strokeWidth=2, color=INK, opacity=0.7).encode(
        x=x("x_low"), x2="x_high:Q", y=y("foot")
    )
    dot = known.mark_circle(size=26, color=INK, opacity=1).encode(x=x("x_value"), y=y("foot"))
    written = [
        cell.mark_text(
            fontSize=text.size, fontWeight=text.weight, color=INK, baseline="middle"
        ).encode(x=x("middle"), y=y(f"{text.field}_at"), text=f"{text.field}:N")
        for text in texts
    ]
    values = alt.InlineData(values=_placed(places, texts))
    return alt.layer(box, line, dot, *written, *more, data=values)


def _heat_spec(bins: Sequence[BinView], sizes: Sequence[int], *, narrow: bool) -> Chart:
    shown = _thinned(sizes, 7) if narrow else list(sizes)
    # Narrow: the label takes a line of its own above the cells.
    above = 0.42 if narrow else 0.06
    step = 72 if narrow else 46
    places: Rows = [
        {
            "x": column,
            "y": line + above,
            "tall": 1 - above,
            "said": whole(at[size]) if size in at else "",
            **rate_row(at[size], is_member=one.is_member),
        }
        for line, one in enumerate(bins)
        for at in [{rate.pictures: rate.rate for rate in one.by_size}]
        for column, size in enumerate(shown)
        if size in at
    ]
    lines = len(bins)
    more = [_bin_labels(bins, above, narrow=narrow), _size_axis(shown)]
    texts = [_Text("said", 0.42, SIZE, 600)]
    cells = _cells(places, across=len(shown), down=lines, texts=texts, more=more)
    width = NARROW if narrow else min(680, 84 * len(shown))
    return cells.resolve_axis(x="independent").properties(width=width, height=step * lines)


def _bin_labels(bins: Sequence[BinView], above: float, *, narrow: bool) -> alt.Chart:
    text = rows(
        [
            {
                "label": f"{one.label} ({'TPR' if one.is_member else 'FPR'})",
                "at": line + (above if narrow else (1 + above) / 2),
            }
            for line, one in enumerate(bins)
        ]
    )
    if narrow:
        mark = text.mark_text(align="left", baseline="bottom", dy=-4, fontSize=SIZE, color=INK)
    else:
        mark = text.mark_text(align="right", dx=-12, fontSize=SIZE, color=INK, limit=260)
    scale = alt.Scale(domain=[len(bins), 0], nice=False, padding=0)
    return mark.encode(
        x=alt.value(0), y=alt.Y("at:Q", scale=scale, axis=None), text=alt.Text("label:N")
    )


def _size_axis(sizes: Sequence[int]) -> alt.Chart:
    """Numbers of pictures below the cells."""
    names = ", ".join(f"'{count(size)}'" for size in sizes)
    axis = alt.Axis(
        values=[column + 0.5 for column in range(len(sizes))],
        labelExpr=f"[{names}][floor(datum.value)]",
        title="Pictures of each person; cells in %",
        grid=False,
        domain=False,
        labelOverlap=False,
    )
    scale = alt.Scale(domain=[0, len(sizes)], nice=False, padding=0)
    return rows([{"at": 0}]).mark_point(opacity=0).encode(x=alt.X("at:Q", scale=scale, axis=axis))


def _thinned(sizes: Sequence[int], at_most: int) -> list[int]:
    """Some of the sizes, evenly spaced, with the first and the last."""
    if len(sizes) <= at_most:
        return list(sizes)
    last = len(sizes) - 1
    return [sizes[round(place * last / (at_most - 1))] for place in range(at_most)]


def _matrix_spec(matrices: Sequence[MatrixView], *, narrow: bool) -> Chart:
    panels = [_matrix(one, width=NARROW - 20 if narrow else 238) for one in matrices]
    if narrow:
        return alt.vconcat(*panels, spacing=26)
    return alt.hconcat(*panels, spacing=26)


def _matrix(matrix: MatrixView, *, width: float) -> alt.LayerChart | alt.FacetChart:
    places: Rows = [
        {
            "x": place % 2,
            "y": place // 2,
            "tall": 1,
            "who": cell.who,
            "decision": cell.decision,
            "people": cell.people,
            "limits": interval(cell.rate) if cell.rate.value is not None else "",
            **rate_row(cell.rate, is_member=cell.is_right),
        }
        for place, cell in enumerate(matrix.cells)
    ]
    texts = [
        _Text("who", 0.17, SIZE - 2, "normal"),
        _Text("people", 0.41, SIZE + 1, 600),
        _Text("limits", 0.63, SIZE - 2, "normal"),
    ]
    heads = [
        alt.Chart()
        .transform_filter(f"datum.x == {place} && datum.y == 0")
        .mark_text(baseline="bottom", dy=-5, fontSize=SIZE - 1, color=QUIET)
        .encode(x=alt.value(width * (place + 0.5) / 2), y=alt.value(0), text="decision:N")
        for place in (0, 1)
    ]
    cells = _cells(places, across=2, down=2, texts=texts, more=heads)
    return cells.properties(width=width, height=170, title=heading(matrix.label))
