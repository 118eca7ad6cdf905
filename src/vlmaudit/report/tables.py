"""The tables of a report: gates, groups, curve, numbers and settings."""

from collections.abc import Iterable, Sequence
from typing import Final

from vlmaudit.audits.identity_inference.finding import Finding, GroupRow
from vlmaudit.report.parts import (
    Cell,
    Column,
    GateView,
    GroupView,
    Mark,
    Row,
    SeriesView,
    Table,
)
from vlmaudit.report.wording import (
    QUANTITIES,
    by_number,
    is_planted,
    quantity_label,
    votes_needed,
)
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    decimal,
    hits,
    interval,
    p_floor,
    p_number,
    percent,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate, Failures, Gate

_KINDS: Final = ("dose", "arm", "membership", "occurrences")
_SETTINGS: Final = {
    "protocol": "Protocol",
    "pool": "Decoys and control people share",
    "names": "Decoy names to compare with (K)",
    "paper_pool": "Names in the paper's candidate pool",
    "templates": "Templates",
    "tau": "Templates that must agree (τ)",
    "alpha": "Share of false discoveries allowed (α)",
    "draws": "Random choices of attack pictures a size",
    "sizes": "Numbers of attack pictures",
    "edges": "Borders of the occurrence groups",
    "max_failures": "Share of failures above which nothing is concluded",
    "seed": "Seed",
}
_ESTIMATES: Final = {
    "auc": "Chance that a member scores above a non-member (AUC)",
    "auc_over_blind": "What the model adds to a guess that never asks it (difference of AUC)",
    "assured_threshold": "Score above which a non-member is rarely found",
    "fpr_of_assured_threshold": "Non-members above that score, judged by the other half's",
    "correlation_with_counts": "Evidence against captions that name the person (Spearman)",
    "correlation_with_counts_partial": "The same, less what the table of people explains",
    "structural_fpr": "People the votes flag where nothing is tied (structural FPR)",
}
_NOT_RATES: Final = frozenset(
    ("auc", "mean", "median", "slope", "rho", "spearman", "correlation", "z")
)


def gate_views(gates: Sequence[Gate]) -> tuple[GateView, ...]:
    """The gates, those that failed first."""
    states: dict[bool | None, tuple[Mark, str]] = {
        False: ("no", "failed"),
        None: ("unknown", "could not be checked"),
        True: ("yes", "passed"),
    }
    order = list(states)
    return tuple(
        GateView(
            sentence_case(visible(gate.name)),
            *states[gate.passed],
            visible(gate.label),
            sentence_case(visible(gate.sentence)),
        )
        for gate in sorted(gates, key=lambda gate: order.index(gate.passed))
    )


def failure_table(failures: Failures) -> Table:
    """The reasons of failures, the most frequent first."""
    units = sentence_case(f"{failures.unit}s")
    return Table(
        f"{units} without an answer, by reason",
        (Column("Reason"), Column(units, is_number=True)),
        tuple(
            Row((Cell(visible(reason)), Cell(count(number))))
            for reason, number in by_number(failures.reasons)
        ),
    )


def group_views(groups: Sequence[GroupRow]) -> tuple[GroupView, ...]:
    """The groups, doses before other arms, each in its order."""
    names: dict[bool | None, str] = {True: "TPR", False: "FPR", None: NO_VALUE}
    return tuple(
        GroupView(
            label=visible(group.group),
            kind=group.kind,
            is_member=group.is_member,
            counts_as=names[group.is_member],
            detected=group.detected,
            by_votes=group.by_votes,
        )
        for group in sorted(groups, key=lambda group: (_KINDS.index(group.kind), group.order))
    )


def _rate_cells(estimate: Estimate) -> tuple[Cell, Cell]:
    """The share and its interval; a share of nobody at all shows its limit first."""
    return Cell(bound(estimate)), Cell(NO_VALUE if estimate.value is None else interval(estimate))


def group_table(finding: Finding, groups: Sequence[GroupView]) -> Table:
    """The share detected in each group: what the first chart draws."""
    is_audit = finding.protocol == "audit"
    columns = [
        Column("Group"),
        Column("Detected", is_number=True),
        Column("95 % interval", is_number=True),
        *([Column("By votes alone", is_number=True)] if is_audit else []),
        Column("Counts as"),
    ]
    rows = []
    for group in groups:
        share, limits = _rate_cells(group.detected)
        cells = [
            Cell(group.label, is_name=True),
            Cell(share.text, (hits(group.detected),)),
            limits,
        ]
        if is_audit:
            votes = group.by_votes
            cells.append(Cell(bound(votes), () if votes.value is None else (interval(votes),)))
        rows.append(Row((*cells, Cell(group.counts_as))))
    return Table("Share of people detected, by group", tuple(columns), tuple(rows))


def series_views(finding: Finding) -> tuple[SeriesView, ...]:
    """The rates by number of attack pictures, in reading order."""
    planted = is_planted(finding)
    views = []
    for quantity in QUANTITIES:
        points = [point for point in finding.curve if point.quantity == quantity]
        if points:
            views.append(
                SeriesView(
                    quantity,
                    sentence_case(quantity_label(quantity, planted=planted)),
                    tuple(sorted(points, key=lambda point: point.pictures)),
                )
            )
    return tuple(views)


def curve_table(series: Sequence[SeriesView]) -> Table:
    """The rates by number of attack pictures: what the second chart draws."""
    sizes = sorted({point.pictures for one in series for point in one.points})
    rows = []
    for size in sizes:
        cells = [Cell(count(size))]
        for one in series:
            rates = [point.rate for point in one.points if point.pictures == size]
            cells.append(_curve_cell(rates[0]) if rates else Cell(NO_VALUE))
        rows.append(Row(tuple(cells)))
    return Table(
        "Rates by number of attack pictures",
        (
            Column("Pictures of each person", is_number=True),
            *(Column(one.label, is_number=True) for one in series),
        ),
        tuple(rows),
    )


def _curve_cell(estimate: Estimate) -> Cell:
    small = [f"n = {count(estimate.n)}"]
    if estimate.value is not None:
        small.insert(0, interval(estimate))
    if estimate.sd is not None:
        small.append(f"SD over draws {percent(estimate.sd)}")
    return Cell(bound(estimate), tuple(small))


def group_key(finding: Finding, groups: Sequence[GroupView]) -> tuple[tuple[str, str], ...]:
    """What the shapes of the first chart mean; only those that are drawn."""
    planted = is_planted(finding)
    meaning: dict[bool | None, tuple[str, str]] = {
        True: ("member", "face and name planted together" if planted else "known members"),
        False: ("other", "never planted" if planted else "known non-members"),
        None: ("neither", "planted, never together" if planted else "membership unknown"),
    }
    kinds = {group.is_member for group in groups}
    return tuple(meaning[kind] for kind in (True, False, None) if kind in kinds)


def group_method(finding: Finding) -> str:
    """How the first table's numbers came about."""
    said = [
        methods([group.detected for group in finding.groups]),
        "TPR: true positive rate, where being detected is right. FPR: false positive rate, where"
        " it is wrong.",
    ]
    if finding.protocol == "audit":
        said.append(f"By votes alone: {votes_needed(finding)}.")
    return " ".join(said)


def curve_method(finding: Finding) -> str:
    """How the second table's numbers came about."""
    rates = [point.rate for point in finding.curve]
    said = [methods(rates), "Pointwise: each interval holds for its own number of pictures."]
    if any(one.sd is not None for one in rates):
        said.append("SD over draws: how much the choice of pictures matters; not uncertainty.")
    return " ".join(said)


def methods(estimates: Sequence[Estimate]) -> str:
    """How the intervals were computed, and over what."""
    methods = list(dict.fromkeys(visible(estimate.method) for estimate in estimates))
    units = list(dict.fromkeys(visible(estimate.unit) for estimate in estimates))
    if not methods:
        return ""
    return f"Intervals: 95 %, {', '.join(methods)}; n counts: {', '.join(units)}."


def _estimate_label(key: str, *, planted: bool) -> str:
    for quantity in QUANTITIES:
        if key.casefold() == quantity.casefold():
            return sentence_case(quantity_label(quantity, planted=planted))
    if key.startswith("tpr_at_fpr_"):
        cut = percent(float(key.removeprefix("tpr_at_fpr_"))).replace(".0 %", " %")
        return f"Members detected when at most {cut} of the others are flagged (TPR at {cut} FPR)"
    return _ESTIMATES.get(key, sentence_case(visible(key).replace("_", " ")))


def _estimate_cells(key: str, estimate: Estimate) -> tuple[Cell, ...]:
    if key != "assured_threshold" and not set(key.casefold().split("_")) & _NOT_RATES:
        return (Cell(hits(estimate)), *_rate_cells(estimate))
    value, low, high = estimate.value, estimate.low, estimate.high
    limits = NO_VALUE if low is None or high is None else f"{decimal(low)} to {decimal(high)}"
    return (
        Cell(f"n = {count(estimate.n)}"),
        Cell(NO_VALUE if value is None else decimal(value)),
        Cell(limits),
    )


def estimate_table(finding: Finding) -> Table:
    """Every estimate of the finding."""
    planted = is_planted(finding)
    rows = []
    for key, estimate in finding.estimates.items():
        small = () if estimate.sd is None else (f"SD over draws {percent(estimate.sd)}",)
        first = Cell(_estimate_label(key, planted=planted), small)
        method = Cell(visible(estimate.method), (f"n counts: {visible(estimate.unit)}",))
        rows.append(Row((first, *_estimate_cells(key, estimate), method)))
    return Table(
        "All estimates",
        (
            Column("Quantity"),
            Column("Count", is_number=True),
            Column("Value", is_number=True),
            Column("95 % interval", is_number=True),
            Column("Method"),
        ),
        tuple(rows),
    )


def test_table(finding: Finding) -> Table:
    """Every test of the finding."""
    rows = []
    for test in finding.tests:
        floor = () if test.p_min is None else (f"cannot go below {p_floor(test.p_min)}",)
        size = f"null of {count(test.null_n)}, by {visible(test.unit)}" if test.null_n else ""
        family = () if test.family is None else (f"with: {visible(test.family)}",)
        adjusted = NO_VALUE if test.p_adjusted is None else p_number(test.p_adjusted)
        rows.append(
            Row(
                (
                    Cell(sentence_case(visible(test.name))),
                    Cell(decimal(test.statistic, 3)),
                    Cell(p_number(test.p), floor),
                    Cell(adjusted, family),
                    Cell(sentence_case(visible(test.null)), (size,) if size else ()),
                )
            )
        )
    return Table(
        "All tests",
        (
            Column("Test"),
            Column("Statistic", is_number=True),
            Column("p", is_number=True),
            Column("Adjusted p", is_number=True),
            Column("If nothing is there"),
        ),
        tuple(rows),
    )


def _written(value: str | int | float | bool | None) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))


def _pairs(caption: str, pairs: Iterable[tuple[str, str]]) -> Table:
    return Table(
        caption,
        (Column("What"), Column("Value")),
        tuple(Row((Cell(key), Cell(value, is_name=True))) for key, value in pairs),
    )


def settings_table(finding: Finding) -> Table:
    """What the audit was told."""
    return _pairs(
        "Settings",
        (
            (_SETTINGS.get(key, sentence_case(visible(key).replace("_", " "))), _written(value))
            for key, value in finding.settings.items()
        ),
    )


def provenance_table(finding: Finding) -> Table:
    """Which weights answered, and by which rules they were read."""
    return _pairs("Where it comes from", _provenance(finding))


def _provenance(finding: Finding) -> Iterable[tuple[str, str]]:
    model = finding.model
    if model is None:
        yield "Model", "none asked: concluded from a table of votes"
    else:
        yield "Model", visible(model.name)
        yield "Family", visible(model.family)
        yield "Weights", visible(model.weights)
        yield "Arithmetic", visible(model.dtype)
        yield "Attention", visible(model.attention)
        yield "Quantisation", visible(model.quantization)
    yield "Audit", finding.audit
    yield "Protocol", finding.protocol
    yield "Format of finding.json", str(finding.schema_version)
