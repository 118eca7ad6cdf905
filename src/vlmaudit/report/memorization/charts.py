"""The charts of a memorization report: means, layers, modules, curves and doses."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import altair as alt

from vlmaudit.audits.memorization.exposure import NOTHING_KNOWN
from vlmaudit.audits.memorization.finding import Finding, LayerRow, MapRow
from vlmaudit.audits.memorization.observed import TUNED
from vlmaudit.audits.memorization.words import ANSWERS, MEANS
from vlmaudit.report.drawing import (
    INK,
    MEMBER,
    NEITHER,
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
from vlmaudit.report.memorization.words import limits_of, role_words
from vlmaudit.report.parts import Drawing
from vlmaudit.results.numbers import count, decimal, p_value, sentence_case, visible

_CHANCE: Final = 0.5
_AUC_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_TICKS: Final = 9
_DRAWN_MODULES: Final = 4
"""Panels of the paper's curves: more of them say the same."""


def mean_chart(finding: Finding) -> Drawing | None:
    """By how much each mean tells seen records from unseen ones."""
    values = [
        {
            "label": sentence_case(MEANS[row.mean]),
            "value": row.auc,
            "low": row.low,
            "high": row.high,
            "said": decimal(row.auc),
            "limits": limits_of(row.low, row.high),
            "more": f"{ANSWERS[row.answer]}"
            + ("" if row.p_adjusted is None else f", {p_value(row.p_adjusted)}"),
            "colour": MEMBER if row.answer == "found" else OTHER,
            "shape": "circle" if row.answer == "found" else "diamond",
        }
        for row in finding.means
        if row.auc is not None
    ]
    if not values:
        return None
    title = "AUC of seen against unseen records by each mean, with 95 % intervals"
    return draw("means", title, lambda narrow: _forest(values, _AUC_TICKS, 0.5, narrow=narrow))


def module_chart(finding: Finding) -> Drawing | None:
    """How seen records change each module's gradient, less how unseen ones do."""
    mine = [row for row in finding.modules if row.role == TUNED]
    if not mine:
        return None
    values = [
        {
            "label": sentence_case(visible(row.module)),
            "value": row.difference,
            "low": row.low,
            "high": row.high,
            "said": _fine(row.difference),
            "limits": f"{_fine(row.low)} to {_fine(row.high)}",
            "more": p_value(row.p_adjusted),
            "colour": MEMBER if row.p_adjusted <= 0.05 else OTHER,
            "shape": "circle" if row.p_adjusted <= 0.05 else "diamond",
        }
        for row in mine
    ]
    most = max(abs(limit) for row in mine for limit in (row.low, row.high)) or 1e-6
    ticks = [-most, 0.0, most]
    title = "Change of the gradient's cosine, seen less unseen records, with 95 % intervals"
    return draw("modules", title, lambda narrow: _forest(values, ticks, 0.0, narrow=narrow))


def _fine(number: float) -> str:
    return f"{number:+.4f}" if abs(number) >= 5e-5 or not number else f"{number:+.1e}"


def _forest(values: Rows, ticks: Sequence[float], nothing: float, *, narrow: bool) -> Chart:
    """A point with its interval a row, and where nothing would stand."""
    longest = max(len(value["said"]) for value in values)
    room = 26 + 9 * longest
    width, step = (330, 60) if narrow else (330, 36)
    sink = 20 if narrow else 0
    scale = alt.Scale(domain=[ticks[0], ticks[-1]], nice=False)
    is_small = ticks[-1] < 0.01
    axis = alt.Axis(
        values=list(ticks),
        labelFlush=narrow,
        domain=False,
        format=".1~e" if is_small else ".2~f",
    )
    base = rows([{"row": place, **value} for place, value in enumerate(values)]).encode(
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.15))
    )
    x = alt.X("value:Q", scale=scale, axis=axis, title=None)
    none = rows([{"value": nothing}]).mark_rule(color=QUIET, strokeWidth=1.5).encode(x=x)
    rule = base.mark_rule(
        strokeWidth=3, strokeCap="round", yOffset=sink, opacity=0.55, clip=True
    ).encode(
        x=alt.X("low:Q", scale=scale, axis=axis, title=None),
        x2="high:Q",
        color=alt.Color("colour:N", scale=None),
    )
    point = base.mark_point(
        filled=True, size=110, opacity=1, yOffset=sink, stroke=PAPER, strokeWidth=1.5
    ).encode(x=x, fill=alt.Fill("colour:N", scale=None), shape=alt.Shape("shape:N", scale=None))
    if narrow:
        whole = base.transform_calculate(
            all="datum.said + ' (' + datum.limits + '); ' + datum.more"
        )
        written = [
            _text(base, "label", 0, "left", rise=-17, weight=600),
            _text(whole, "all", 0, "left", rise=0),
        ]
    else:
        written = [
            _text(base, "label", -16, "right"),
            _text(base, "said", width + 14, "left", weight=600),
            _text(base, "limits", width + room, "left"),
            _text(base, "more", width + 2.6 * room + 40, "left"),
        ]
    return alt.layer(none, rule, point, *written).properties(width=width, height=alt.Step(step))


def _text(
    base: alt.Chart,
    field: str,
    x: float,
    align: Any,  # noqa: ANN401 - one of Altair's words
    *,
    rise: float = 0,
    weight: Any = "normal",  # noqa: ANN401
) -> alt.Chart:
    is_main = field in ("label", "said")
    return base.mark_text(
        align=align,
        baseline="middle",
        color=INK if is_main else QUIET,
        fontSize=SIZE if is_main else SIZE - 1,
        fontWeight=weight,
        yOffset=rise,
    ).encode(x=alt.value(x), text=f"{field}:N")


def layer_chart(finding: Finding) -> Drawing | None:
    """How each layer tells the arms apart on other records, and what the published split shows."""
    if len(finding.layers) < 2:
        return None
    title = "Probes by layer: AUC on other records, and accuracy of the published split"
    return draw("layers", title, lambda narrow: _layer_spec(finding, narrow=narrow))


def _layer_spec(finding: Finding, *, narrow: bool) -> Chart:
    mine = [_band(finding.layers, MEMBER), _line(finding.layers, MEMBER)]
    others = [
        _line([row for row in finding.other_layers if row.role == role], colour, dash=dash)
        for role, colour, dash in (
            ("control", OTHER, [6, 3]),
            ("base", NEITHER, [2, 3]),
            ("twin", QUIET, [8, 2, 2, 2]),
        )
        if any(row.role == role for row in finding.other_layers)
    ]
    chance = rows([{"value": _CHANCE}]).mark_rule(color=QUIET, strokeWidth=1).encode(y=_share_y())
    width, height = (290, 190) if narrow else (330, 220)
    n_seen = next((row.n_seen for row in finding.means if row.mean == "probe"), 0)
    left = alt.layer(chance, *others, *mine).properties(
        width=width,
        height=height,
        title=heading("Tested on other records", f"AUC; n = {count(n_seen)} seen records"),
    )
    split = [row for row in finding.split_layers if row.role == TUNED]
    if not split:
        return left
    values = [
        {"layer": row.layer, "value": value, "what": what}
        for row in split
        for what, value in (("accuracy", row.accuracy), ("labels drawn anew", row.control))
    ]
    base = rows(values).encode(x=_layer_x(row.layer for row in split), y=_share_y())
    drawn = base.mark_line(strokeWidth=2).encode(
        color=alt.Color(
            "what:N",
            scale=alt.Scale(domain=["accuracy", "labels drawn anew"], range=[MEMBER, OTHER]),
            legend=alt.Legend(title=None, orient="bottom", labelColor=INK, labelFontSize=SIZE - 1),
        ),
        strokeDash=alt.StrokeDash(
            "what:N",
            scale=alt.Scale(domain=["accuracy", "labels drawn anew"], range=[[1, 0], [6, 3]]),
            legend=None,
        ),
    )
    right = alt.layer(chance, drawn).properties(
        width=width,
        height=height,
        title=heading("The published split", "accuracy; every record on both sides"),
    )
    return alt.vconcat(left, right, spacing=26) if narrow else alt.hconcat(left, right, spacing=44)


def _layer_x(layers: Iterable[int]) -> alt.X:
    """The axis of layers, each written where there is room for all of them."""
    known = sorted(set(layers))
    ticks = known[:: -(-len(known) // _MOST_TICKS)]
    return alt.X(
        "layer:Q",
        scale=alt.Scale(nice=False, zero=False, padding=8),
        axis=alt.Axis(title="Layer", grid=False, values=ticks, format="d"),
    )


def _share_y() -> alt.Y:
    return alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(values=list(_AUC_TICKS), title=None, domain=False, format=".2~f"),
    )


def _line(layers: Sequence[LayerRow], colour: str, *, dash: Sequence[int] = (1, 0)) -> alt.Chart:
    values = [{"layer": row.layer, "value": row.auc} for row in layers]
    base = rows(values).encode(x=_layer_x(row.layer for row in layers))
    return base.mark_line(color=colour, strokeWidth=2, strokeDash=list(dash)).encode(y=_share_y())


def _band(layers: Sequence[LayerRow], colour: str) -> alt.Chart:
    limits = [{"layer": row.layer, "low": row.low, "high": row.high} for row in layers]
    base = rows(limits).encode(x=_layer_x(row.layer for row in layers))
    return base.mark_area(color=colour, opacity=0.16, line=False).encode(
        y=alt.Y("low:Q", scale=alt.Scale(domain=[0, 1], nice=False), title=None), y2="high:Q"
    )


def map_chart(finding: Finding) -> Drawing | None:
    """The paper's picture of hidden states."""
    drawn = finding.state_map
    if drawn is None:
        return None
    title = "t-SNE of hidden states, item by item: a picture, and no evidence"
    return draw("map", title, lambda narrow: _map_spec(drawn, narrow=narrow))


def _map_spec(drawn: MapRow, *, narrow: bool) -> Chart:
    values = [
        {"x": x, "y": y, "arm": "seen" if seen else "unseen"}
        for x, y, seen in zip(drawn.x, drawn.y, drawn.seen, strict=True)
    ]
    arms = ["seen", "unseen"]
    axis = alt.Axis(labels=False, ticks=False, grid=False, title=None, domain=False)
    legend = alt.Legend(title=None, orient="bottom", labelColor=INK, labelFontSize=SIZE - 1)
    name = visible(drawn.name) or f"layer {count(drawn.layer)}"
    return (
        rows(values)
        .mark_point(filled=True, size=26 if narrow else 40, opacity=0.75)
        .encode(
            x=alt.X("x:Q", axis=axis, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=axis, scale=alt.Scale(zero=False)),
            color=alt.Color(
                "arm:N", scale=alt.Scale(domain=arms, range=[MEMBER, OTHER]), legend=legend
            ),
            shape=alt.Shape(
                "arm:N", scale=alt.Scale(domain=arms, range=["circle", "diamond"]), legend=legend
            ),
        )
        .properties(
            width=290 if narrow else 400,
            height=240 if narrow else 300,
            title=heading(
                sentence_case(name),
                f"silhouette of the arms {decimal(drawn.silhouette)}, {p_value(drawn.p)}",
            ),
        )
    )


def curve_chart(finding: Finding) -> Drawing | None:
    """The paper's curves: a batch's gradient against itself, changed."""
    mine = [row for row in finding.gradient_curves if row.role == TUNED]
    if len({row.batch_size for row in mine}) < 2:
        return None
    title = "Cosine of a mini-batch's gradient with itself, changed, by batch size"
    return draw("curves", title, lambda narrow: _curve_spec(finding, narrow=narrow))


def _curve_spec(finding: Finding, *, narrow: bool) -> Chart:
    mine = [row for row in finding.gradient_curves if row.role == TUNED]
    modules = drawn_modules(list(dict.fromkeys(row.module for row in mine)))
    kinds = list(dict.fromkeys(row.kind for row in mine if row.kind != "clean-again"))
    colours = [MEMBER, OTHER, NEITHER, INK, QUIET]
    shapes = ["circle", "diamond", "square", "triangle-up", "cross"]
    width, height = (290, 160) if narrow else (330, 180)
    panels = []
    for place, module in enumerate(modules):
        values = [
            {"size": row.batch_size, "value": row.mean, "kind": row.kind}
            for row in mine
            if row.module == module and row.kind in kinds
        ]
        legend = (
            alt.Legend(title=None, orient="bottom", columns=2, labelColor=INK)
            if place == len(modules) - 1
            else None
        )
        base = rows(values).encode(
            x=alt.X(
                "size:Q",
                scale=alt.Scale(type="log", base=2, nice=False, padding=10),
                axis=alt.Axis(
                    values=sorted({row.batch_size for row in mine}),
                    title="Examples in the mini-batch",
                    grid=False,
                    format="d",
                ),
            ),
            y=alt.Y(
                "value:Q",
                scale=alt.Scale(zero=False, nice=True),
                axis=alt.Axis(title=None, domain=False, tickCount=4),
            ),
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=kinds, range=colours[: len(kinds)]), legend=legend
            ),
        )
        point = base.mark_point(filled=True, size=60, opacity=1).encode(
            shape=alt.Shape(
                "kind:N", scale=alt.Scale(domain=kinds, range=shapes[: len(kinds)]), legend=legend
            )
        )
        panels.append(
            alt.layer(base.mark_line(strokeWidth=1.5), point).properties(
                width=width, height=height, title=heading(sentence_case(visible(module)))
            )
        )
    if narrow:
        return alt.vconcat(*panels, spacing=22)
    return alt.vconcat(
        *(alt.hconcat(*panels[at : at + 2], spacing=44) for at in range(0, len(panels), 2)),
        spacing=22,
    )


def drawn_modules(modules: Sequence[str]) -> list[str]:
    """The modules of the curves: those before the language model, its first layer and its last.

    >>> drawn_modules(["vision", "projector", "embeddings", "language 1", "language 2"])
    ['vision', 'projector', 'language 1', 'language 2']
    """
    language = [name for name in modules if name.startswith("language")]
    ends = [language[0], language[-1]] if len(language) > 1 else language
    before = [name for name in ("vision", "projector") if name in modules]
    return list(dict.fromkeys([*before, *ends]))[:_DRAWN_MODULES] or list(modules)[:1]


def dose_chart(finding: Finding) -> Drawing | None:
    """Exposure by how often a record was printed."""
    known = [row for row in finding.doses if row.exposure is not None]
    if len(known) < 2:
        return None
    title = "Exposure in bits by times printed an epoch, with 95 % intervals"
    return draw("doses", title, lambda narrow: _dose_spec(finding, narrow=narrow))


def _dose_spec(finding: Finding, *, narrow: bool) -> Chart:
    values = [
        {
            "place": place,
            "label": "never" if not row.dose else count(row.dose),
            "value": row.exposure.value,
            "low": row.exposure.low,
            "high": row.exposure.high,
            "n": f"n = {count(row.records)}",
            "colour": MEMBER if row.dose else OTHER,
            "shape": "circle" if row.dose else "diamond",
        }
        for place, row in enumerate(finding.doses)
        if row.exposure is not None and row.exposure.value is not None
    ]
    labels = [str(value["label"]) for value in values]
    base = rows(values).encode(
        x=alt.X("label:O", sort=labels, axis=alt.Axis(title="Times printed", labelAngle=0))
    )
    y = alt.Y("value:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title="bits", domain=False))
    rule = base.mark_rule(strokeWidth=3, opacity=0.55).encode(
        y=alt.Y("low:Q", scale=alt.Scale(zero=True), title="bits"),
        y2="high:Q",
        color=alt.Color("colour:N", scale=None),
    )
    point = base.mark_point(filled=True, size=110, opacity=1, stroke=PAPER).encode(
        y=y, fill=alt.Fill("colour:N", scale=None), shape=alt.Shape("shape:N", scale=None)
    )
    said = base.mark_text(dy=-12, dx=22, fontSize=SIZE - 2, color=QUIET).encode(
        y=alt.Y("high:Q", title="bits"), text="n:N"
    )
    unknown = rows([{"value": NOTHING_KNOWN}])
    nothing = unknown.mark_rule(color=QUIET, strokeWidth=1.5, strokeDash=[6, 3]).encode(y=y)
    return alt.layer(nothing, rule, point, said).properties(
        width=290 if narrow else 480, height=200
    )


def role_key(finding: Finding) -> str:
    """Which line of the layers is whose."""
    others = list(dict.fromkeys(row.role for row in finding.other_layers))
    lines = {"control": "dashed", "base": "dotted", "twin": "dash and dot"}
    said = [f"{role_words(role)}: {lines.get(role, 'other')}" for role in others]
    return f"Full line and band: audited. {'; '.join(said).capitalize()}." if said else ""
