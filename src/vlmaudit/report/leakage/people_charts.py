"""The charts of people: the paper's figures 4, 5a and 5b."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from vlmaudit.audits.name_leakage.finding import Finding, PersonRow
from vlmaudit.report.drawing import (
    INK,
    MEMBER,
    NARROW,
    NEITHER,
    OTHER,
    PAPER,
    SIZE,
    Chart,
    draw,
    heading,
    rows,
)
from vlmaudit.report.leakage.charts import nice_top, share_axis
from vlmaudit.report.leakage.people import counted_people, share_bins, shown_rate
from vlmaudit.report.parts import Drawing
from vlmaudit.results.numbers import count, counted, percent, visible

_PANELS: Final = (
    ("top", "Most leaked", "chosen on other pictures", OTHER),
    ("sample", "Drawn from the rest", "at random, by the seed", NEITHER),
)
_POINTS: Final = 1000
"""People in the chart of captions."""
_NAME: Final = 190
_NAME_NARROW: Final = 122
"""Room for a name beside the chart of people."""


def people_chart(finding: Finding) -> Drawing | None:
    """Leak rate a person: the most leaked on other pictures, and a sample of the rest."""
    panels = [
        (title, below, colour, _sorted(finding, shown)) for shown, title, below, colour in _PANELS
    ]
    drawn = [panel for panel in panels if panel[3]]
    if not drawn:
        return None
    title = "Leak rate a person: the most leaked, and a sample of the rest"
    # One scale for both panels, or they could not be compared.
    top = nice_top(max(shown_rate(one) or 0.0 for panel in drawn for one in panel[3]))

    def spec(is_narrow: bool) -> Chart:
        charts = [_people_panel(*panel, top, narrow=is_narrow) for panel in drawn]
        if is_narrow:
            return alt.vconcat(*charts, spacing=24)
        return alt.hconcat(*charts, spacing=40)

    return draw("people", title, spec)


def _sorted(finding: Finding, shown: str) -> list[PersonRow]:
    people = [
        person
        for person in finding.people
        if person.shown == shown and shown_rate(person) is not None
    ]
    return sorted(people, key=lambda person: (-(shown_rate(person) or 0.0), person.identity))


def _people_panel(
    title: str,
    below: str,
    colour: str,
    people: Sequence[PersonRow],
    top: float,
    *,
    narrow: bool,
) -> alt.LayerChart | alt.FacetChart:
    room = _NAME_NARROW if narrow else _NAME
    width = NARROW - room - 66 if narrow else 180
    values = [
        {"row": place, "label": visible(person.name), "value": rate, "said": percent(rate)}
        for place, person in enumerate(people)
        if (rate := shown_rate(person)) is not None
    ]
    base = rows(values).encode(
        y=alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    )
    axis = share_axis(top, narrow=narrow, steps=2, orient="top")
    scale = alt.Scale(domain=[0, top], nice=False)
    x = alt.X("value:Q", scale=scale, axis=axis, title=None)
    rule = base.mark_rule(strokeWidth=2, color=colour, opacity=0.5).encode(x=x, x2=alt.datum(0))
    point = base.mark_point(filled=True, size=50, opacity=1, fill=colour).encode(x=x)
    label = base.mark_text(
        align="right", baseline="middle", fontSize=SIZE - 1, color=INK, limit=room - 16
    ).encode(x=alt.value(-10), text="label:N")
    said = base.mark_text(
        align="left", baseline="middle", fontSize=SIZE - 1, color=INK, limit=70
    ).encode(x=alt.value(width + 10), text="said:N")
    return alt.layer(rule, point, label, said).properties(
        width=width,
        height=alt.Step(19),
        title=heading(f"{title} (n = {count(len(people))})", below),
    )


def distribution_chart(finding: Finding) -> Drawing | None:
    """How many people are named how often (figure 5a)."""
    bins = share_bins(finding)
    if not sum(number for _, number in bins):
        return None
    title = "People by leak rate"
    return draw("distribution", title, lambda narrow: _distribution_spec(bins, narrow=narrow))


def _distribution_spec(bins: Sequence[tuple[str, int]], *, narrow: bool) -> Chart:
    most = max(number for _, number in bins)
    step = 28 if narrow else 60
    base = rows(
        [
            {"bin": place, "people": number, "said": count(number), "colour": colour}
            for place, (_, number) in enumerate(bins)
            for colour in [OTHER if place else NEITHER]
        ]
    )
    names = ", ".join(f"'{label}'" for label, _ in bins)
    x = alt.X(
        "bin:O",
        scale=alt.Scale(paddingInner=0, paddingOuter=0),
        axis=alt.Axis(
            labelExpr=f"[{names}][datum.value]",
            labelAngle=-60 if narrow else 0,
            labelOverlap=False,
            labelColor=INK,
            title="Share of a person's answers that name them",
        ),
    )
    y = alt.Y("people:Q", scale=alt.Scale(domain=[0, most * 1.2], nice=False), axis=None)
    bar = base.mark_bar(opacity=0.8, width=step * 0.7).encode(
        x=x, y=y, fill=alt.Fill("colour:N", scale=None)
    )
    text = base.mark_text(baseline="bottom", dy=-4, fontSize=SIZE, fontWeight=600, color=INK)
    total = sum(number for _, number in bins)
    return alt.layer(bar, text.encode(x=x, y=y, text="said:N")).properties(
        width=step * len(bins),
        height=180,
        title=heading(f"People (n = {count(total)})", "a bar holds its upper end"),
    )


def occurrence_chart(finding: Finding) -> Drawing | None:
    """Leak rate against captions that name the person (figure 5b), on an axis of powers of ten."""
    people = counted_people(finding)
    if not people:
        return None
    title = "Leak rate against the number of captions that name the person"
    # Thousands of points would make the page heavy, and a blot of the chart.
    drawn = sorted(people, key=lambda person: person.identity)[:: -(-len(people) // _POINTS)]
    below = counted(len(drawn), "person", "people")
    if len(drawn) < len(people):
        below = f"{count(len(drawn))} of {counted(len(people), 'person', 'people')}, evenly taken"
    return draw("occurrences", title, lambda narrow: _occurrence_spec(drawn, below, narrow=narrow))


def _occurrence_spec(people: Sequence[PersonRow], below: str, *, narrow: bool) -> Chart:
    most = max(person.occurrences or 0 for person in people)
    ticks = [0, *(10**power for power in range(len(str(max(most, 1))) + 1) if 10**power <= most)]
    values: list[dict[str, Any]] = [
        {"captions": person.occurrences, "value": person.rate} for person in people
    ]
    x = alt.X(
        "captions:Q",
        # Nobody is left out: 0 has a place, and above it every power of ten is as wide.
        scale=alt.Scale(
            type="symlog", constant=1, domain=[0, max(most, 1)], nice=False, padding=12
        ),
        axis=alt.Axis(
            values=ticks,
            format=",d",
            title="Captions that name the person",
            labelOverlap="greedy",
            grid=False,
        ),
    )
    top = nice_top(max(person.rate or 0.0 for person in people))
    scale = alt.Scale(domain=[0, top], nice=False, padding=6)
    y = alt.Y("value:Q", scale=scale, axis=share_axis(top, narrow=False), title=None)
    point = (
        rows(values)
        .mark_point(filled=True, size=60, opacity=0.6, fill=MEMBER, stroke=PAPER, strokeWidth=0.5)
        .encode(x=x, y=y)
    )
    head = heading("Leak rate", below)
    return point.properties(width=280 if narrow else 620, height=220 if narrow else 260, title=head)
