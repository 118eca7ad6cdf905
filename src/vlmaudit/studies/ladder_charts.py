"""The charts of a ladder: dose-response, effects of planting, and the number of attack pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from vlmaudit.report.drawing import (
    INK,
    LOOKS,
    MEMBER,
    NARROW,
    NEITHER,
    OTHER,
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
from vlmaudit.report.grids import matrix_chart
from vlmaudit.report.parts import Drawing, MatrixView
from vlmaudit.results.numbers import brief
from vlmaudit.results.records import Estimate
from vlmaudit.studies.ladder_records import DoseRow, EffectRow, LadderFinding, TargetRow
from vlmaudit.studies.ladder_words import arm_label, overall_effects, overall_rows

FIGURES: Final = ("doses", "effects", "curve", "confusion")
_WIDE: Final = 700


@dataclass(frozen=True, slots=True)
class _Rule:
    """A share of people, and how it is called."""

    title: str
    below: str
    of: Callable[[DoseRow], Estimate]


_RULES: Final = (
    _Rule("p of at most .05 by the test", "one in twenty is chance", lambda row: row.small_p),
    _Rule("Detected by the audit", "false discoveries held to 5 %", lambda row: row.detected),
    _Rule("Flagged by the paper's votes", "all attack pictures", lambda row: row.by_votes),
)


def ladder_charts(finding: LadderFinding, matrices: Sequence[MatrixView]) -> list[Drawing]:
    """All charts that there are numbers for."""
    drawn = [
        draw(
            "doses",
            "Share of people by how often they were planted, with 95 % intervals",
            lambda narrow: _dose_spec(finding, narrow=narrow),
        ),
        matrix_chart(matrices),
    ]
    if finding.effects:
        drawn.append(
            draw(
                "effects",
                "What planting does to the score of the same people, with 95 % intervals",
                lambda narrow: _effect_spec(overall_effects(finding), narrow=narrow),
            )
        )
    if any(model.curve for model in finding.models):
        drawn.append(
            draw(
                "curve",
                "People flagged by votes, by number of attack pictures, a line a target",
                lambda narrow: _curve_spec(finding.models, narrow=narrow),
            )
        )
    return [one for one in drawn if one is not None]


def _dose_spec(finding: LadderFinding, *, narrow: bool) -> Chart:
    step = (NARROW if narrow else _WIDE) / len(overall_rows(finding))
    return alt.vconcat(*(_dose_panel(finding, rule, step) for rule in _RULES), spacing=24)


def _dose_panel(
    finding: LadderFinding, rule: _Rule, step: float
) -> alt.LayerChart | alt.FacetChart:
    overall = overall_rows(finding)
    arms = [row.arm for row in overall]
    names = ", ".join(f"'{arm_label(arm)}'" for arm in arms)
    x = alt.X(
        "arm:O",
        scale=alt.Scale(domain=list(range(len(arms))), paddingInner=0, paddingOuter=0),
        axis=alt.Axis(
            labelExpr=f"[{names}][datum.value]",
            labelAngle=-40 if step < 60 else 0,
            labelOverlap=False,
            labelColor=INK,
            title=None,
        ),
    )
    y = alt.Y(
        "value:Q",
        scale=SHARE,
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=PERCENT, title=None, domain=False),
    )
    apart = [row for row in finding.doses if row.seed is not None and row not in overall]
    aside = min(10.0, step / 6)
    layers = []
    for place, seed in enumerate(finding.seeds):
        own = [row for row in apart if row.seed == seed]
        offset = (place - (len(finding.seeds) - 1) / 2) * aside
        base = rows([_dose_row(row, arms, rule.of) for row in own])
        layers += [
            base.mark_rule(strokeWidth=1.5, xOffset=offset, opacity=0.35, color=QUIET).encode(
                x=x, y=alt.Y("low:Q", scale=SHARE), y2="high:Q"
            ),
            base.mark_point(size=26, filled=True, xOffset=offset, opacity=0.6, color=QUIET).encode(
                x=x, y=y
            ),
        ]
    base = rows([_dose_row(row, arms, rule.of) for row in overall])
    layers += [
        base.mark_rule(strokeWidth=3, strokeCap="round", opacity=0.55).encode(
            x=x,
            y=alt.Y("low:Q", scale=SHARE),
            y2="high:Q",
            color=alt.Color("colour:N", scale=None),
        ),
        base.mark_point(size=100, filled=True, opacity=1, stroke=PAPER, strokeWidth=1.5).encode(
            x=x,
            y=y,
            fill=alt.Fill("colour:N", scale=None),
            shape=alt.Shape("shape:N", scale=None),
        ),
    ]
    if step >= 60:
        above: dict[str, Any] = {"baseline": "bottom", "dy": -5}
        below: dict[str, Any] = {"baseline": "top", "dy": 6}
        for where, end, side in (
            ("datum.value <= 0.5", "high", above),
            ("datum.value > 0.5", "low", below),
        ):
            text = base.transform_filter(where).mark_text(
                fontSize=SIZE - 1, fontWeight=600, color=INK, **side
            )
            layers.append(text.encode(x=x, y=alt.Y(f"{end}:Q", scale=SHARE), text="said:N"))
    return alt.layer(*layers).properties(
        width=step * len(arms), height=170, title=heading(rule.title, rule.below)
    )


def _dose_row(
    row: DoseRow, arms: Sequence[str], of: Callable[[DoseRow], Estimate]
) -> dict[str, Any]:
    estimate = of(row)
    look = LOOKS[None if row.dose is None else row.dose > 0]
    return {
        "arm": arms.index(row.arm),
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "said": brief(estimate),
        "colour": look.colour,
        "shape": look.shape,
    }


_COMPARED: Final = {
    "square": ("In other targets of the square", MEMBER, "circle"),
    "clean twin": ("In the twin without any planting", OTHER, "diamond"),
    "swapped twin": ("In the twin with members swapped", NEITHER, "square"),
}


def _effect_spec(effects: Sequence[EffectRow], *, narrow: bool) -> Chart:
    shown = [compared for compared in _COMPARED if any(e.compared == compared for e in effects)]
    panels = [
        _effect_panel(effects, compared).properties(
            width=NARROW - 30 if narrow else 205,
            height=190,
            title=heading(_COMPARED[compared][0]),
        )
        for compared in shown
    ]
    if narrow:
        return alt.vconcat(*panels, spacing=26)
    return alt.hconcat(*panels, spacing=26)


def _effect_panel(effects: Sequence[EffectRow], compared: str) -> alt.LayerChart | alt.FacetChart:
    """One comparison, on axes that hold all of them."""
    _, colour, shape = _COMPARED[compared]
    limits = [
        limit
        for effect in effects
        for limit in (effect.difference.low, effect.difference.high, effect.difference.value, 0.0)
        if limit is not None
    ]
    scale = alt.Scale(domain=[min(limits), max(limits)], nice=True)
    x = alt.X(
        "dose:O",
        scale=alt.Scale(domain=[f"{dose}×" for dose in sorted({e.dose for e in effects})]),
        axis=alt.Axis(labelAngle=0, title=None, labelColor=INK),
    )
    axis = alt.Axis(title="Difference of scores, in SDs", domain=False)
    base = rows(
        [
            {
                "dose": f"{effect.dose}×",
                "value": effect.difference.value,
                "low": effect.difference.low,
                "high": effect.difference.high,
            }
            for effect in effects
            if effect.compared == compared
        ]
    )
    zero = rows([{"at": 0}]).mark_rule(color=QUIET, strokeDash=[4, 3])
    rule = base.mark_rule(strokeWidth=3, strokeCap="round", color=colour, opacity=0.55)
    point = base.mark_point(size=90, filled=True, fill=colour, shape=shape, opacity=1, stroke=PAPER)
    return alt.layer(
        zero.encode(y=alt.Y("at:Q", scale=scale, axis=axis)),
        rule.encode(x=x, y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q"),
        point.encode(x=x, y=alt.Y("value:Q", scale=scale, axis=axis)),
    )


def _curve_spec(models: Sequence[TargetRow], *, narrow: bool) -> Chart:
    planted = [model for model in models if model.twin == "planted"]
    width = NARROW - 30 if narrow else 325
    panels = [
        _curve_panel(planted, quantity, colour).properties(
            width=width, height=190, title=heading(title, "a line a target")
        )
        for quantity, title, colour in (
            ("TPR", "Planted people flagged by votes", MEMBER),
            ("FPR", "Never planted people flagged by votes", OTHER),
        )
    ]
    if narrow:
        return alt.vconcat(*panels, spacing=26)
    return alt.hconcat(*panels, spacing=44)


def _curve_panel(
    models: Sequence[TargetRow], quantity: str, colour: str
) -> alt.LayerChart | alt.FacetChart:
    values: Rows = [
        {
            "target": f"{model.seed}-{model.target}",
            "pictures": point.pictures,
            "value": point.rate.value,
        }
        for model in models
        for point in model.curve
        if point.quantity == quantity and point.rate.value is not None
    ]
    sizes = sorted({row["pictures"] for row in values})
    x = alt.X(
        "pictures:Q",
        scale=alt.Scale(zero=False, nice=False, padding=12),
        axis=alt.Axis(values=sizes, title="Pictures of each person", grid=False),
    )
    y = alt.Y(
        "value:Q",
        scale=SHARE,
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], labelExpr=PERCENT, title=None, domain=False),
    )
    line = rows(values).mark_line(color=colour, opacity=0.45, strokeWidth=1.5)
    return alt.layer(line.encode(x=x, y=y, detail="target:N"))
