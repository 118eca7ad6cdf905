"""Charts of cells that each hold a rate and its interval: heat map and confusion matrices."""

from collections.abc import Sequence
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
from vlmaudit.report.parts import BinView, Drawing, MatrixCell, MatrixView
from vlmaudit.results.numbers import count, interval, whole

# The fullest cell is half as strong as its colour: what is written on it must stay legible.
_STRENGTH: Final = alt.Scale(domain=[0, 1], range=[0.04, 0.5])


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


def _cell_rows(places: Rows) -> Rows:
    """Where a cell's interval is drawn: a short line along its foot, from 0 to 100 %."""
    for one in places:
        for limit in ("low", "value", "high"):
            share = one[limit]
            one[f"x_{limit}"] = None if share is None else one["x"] + 0.1 + 0.8 * share
        one["x_end"] = one["x"] + 1
        one["y_end"] = one["y"] + 1
        one["foot"] = one["y"] + 0.84
        one["middle"] = one["x"] + 0.5
    return places


def _cells(
    places: Rows, *, across: int, down: int, texts: Sequence[tuple[str, float, int, Any]]
) -> list[alt.Chart]:
    """Cells with their intervals; `texts` say field, height in the cell, size and weight."""
    base = rows(_cell_rows(places))
    x_scale = alt.Scale(domain=[0, across], nice=False, padding=0)
    y_scale = alt.Scale(domain=[down, 0], nice=False, padding=0)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=x_scale, axis=None)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=y_scale, axis=None)

    box = base.mark_rect(stroke=PAPER, strokeWidth=3).encode(
        x=x("x"),
        x2="x_end:Q",
        y=y("y"),
        y2="y_end:Q",
        fill=alt.Fill("colour:N", scale=None),
        fillOpacity=alt.FillOpacity("value:Q", scale=_STRENGTH, legend=None),
    )
    known = base.transform_filter("isValid(datum.value)")
    line = known.mark_rule(strokeWidth=2, color=INK, opacity=0.7).encode(
        x=x("x_low"), x2="x_high:Q", y=y("foot")
    )
    dot = known.mark_circle(size=26, color=INK, opacity=1).encode(x=x("x_value"), y=y("foot"))
    written = [
        rows([{**one, "text_at": one["y"] + height} for one in places])
        .mark_text(fontSize=size, fontWeight=weight, color=INK, baseline="middle")
        .encode(x=x("middle"), y=y("text_at"), text=f"{field}:N")
        for field, height, size, weight in texts
    ]
    return [box, line, dot, *written]


def _heat_spec(bins: Sequence[BinView], sizes: Sequence[int], *, narrow: bool) -> Chart:
    shown = _thinned(sizes, 7) if narrow else list(sizes)
    lines = len(bins)
    width = NARROW if narrow else min(680, 84 * len(shown))
    # Narrow: the label takes a line of its own above the cells.
    step = 66 if narrow else 46
    places: Rows = [
        {
            "x": column,
            "y": line,
            "said": whole(at[size]) if size in at else "",
            **rate_row(at[size], is_member=one.is_member),
        }
        for line, one in enumerate(bins)
        for at in [{rate.pictures: rate.rate for rate in one.by_size}]
        for column, size in enumerate(shown)
        if size in at
    ]
    panels = []
    for line, one in enumerate(bins):
        mine = [{**place, "y": 0} for place in places if place["y"] == line]
        marks = _cells(mine, across=len(shown), down=1, texts=[("said", 0.42, SIZE, 600)])
        panels.append((one, marks))
    return _stacked(panels, shown, width=width, step=step, narrow=narrow, lines=lines)


def _stacked(
    panels: Sequence[tuple[BinView, list[alt.Chart]]],
    sizes: Sequence[int],
    *,
    width: float,
    step: int,
    narrow: bool,
    lines: int,
) -> Chart:
    """A row of cells a bin, and the numbers of pictures below the last."""
    names = ", ".join(f"'{count(size)}'" for size in sizes)
    charts = []
    for place, (one, marks) in enumerate(panels):
        label = f"{one.label} ({'TPR' if one.is_member else 'FPR'})"
        text = rows([{"label": label}])
        if narrow:
            beside = text.mark_text(
                align="left", baseline="bottom", dy=-5, fontSize=SIZE, color=INK
            )
            written = beside.encode(x=alt.value(0), y=alt.value(0), text="label:N")
        else:
            beside = text.mark_text(align="right", dx=-12, fontSize=SIZE, color=INK, limit=260)
            written = beside.encode(x=alt.value(0), y=alt.value(step / 2), text="label:N")
        layers = [*marks, written]
        if place == lines - 1:
            scale = alt.Scale(domain=[0, len(sizes)], nice=False, padding=0)
            axis = alt.Axis(
                values=[column + 0.5 for column in range(len(sizes))],
                labelExpr=f"[{names}][floor(datum.value)]",
                title="Pictures of each person; cells in %",
                grid=False,
                domain=False,
                labelOverlap=False,
            )
            ticks = rows([{"at": 0}]).mark_point(opacity=0)
            layers.append(ticks.encode(x=alt.X("at:Q", scale=scale, axis=axis)))
        chart = alt.layer(*layers).resolve_axis(x="independent")
        charts.append(chart.properties(width=width, height=42 if narrow else step))
    return alt.vconcat(*charts, spacing=26 if narrow else 0)


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
            "who": cell.who,
            "people": cell.people,
            "limits": interval(cell.rate) if cell.rate.value is not None else "",
            **rate_row(cell.rate, is_member=cell.is_right),
        }
        for place, cell in enumerate(matrix.cells)
    ]
    texts = [
        ("who", 0.17, SIZE - 2, "normal"),
        ("people", 0.41, SIZE + 1, 600),
        ("limits", 0.63, SIZE - 2, "normal"),
    ]
    above = rows([{"said": cell.decision, "x": place} for place, cell in _first_row(matrix)])
    heads = [
        above.transform_filter(f"datum.x == {place}")
        .mark_text(baseline="bottom", dy=-5, fontSize=SIZE - 1, color=QUIET)
        .encode(x=alt.value(width * (place + 0.5) / 2), y=alt.value(0), text="said:N")
        for place in (0, 1)
    ]
    marks = _cells(places, across=2, down=2, texts=texts)
    return alt.layer(*marks, *heads).properties(
        width=width, height=170, title=heading(matrix.label)
    )


def _first_row(matrix: MatrixView) -> Sequence[tuple[int, MatrixCell]]:
    return list(enumerate(matrix.cells[:2]))
