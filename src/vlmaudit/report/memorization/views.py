"""What the report of a memorization finding says, in its order."""

from dataclasses import dataclass

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.observed import TUNED
from vlmaudit.audits.memorization.words import MEANS, canary_sentence, listed
from vlmaudit.report.memorization import limits, tables
from vlmaudit.report.memorization.charts import drawn_modules, role_key
from vlmaudit.report.memorization.words import headline
from vlmaudit.report.parts import Fact, GateView, Headline, Table
from vlmaudit.report.tables import failure_table, gate_views
from vlmaudit.report.wording import failures_line
from vlmaudit.results.numbers import bound, count, decimal, interval, p_value, visible


@dataclass(frozen=True, slots=True)
class MemorizationView:
    """Everything on the page, in its order."""

    title: str
    subtitle: str
    protocol: str
    doubt: str
    headline: Headline
    facts: tuple[Fact, ...]
    gates: tuple[GateView, ...]
    failures_line: str
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    mean_table: Table
    utility_table: Table
    layer_key: str
    layer_table: Table
    map_sentence: str
    change_table: Table
    module_table: Table
    curve_sentence: str
    curve_table: Table
    way_table: Table
    field_table: Table
    condition_table: Table
    exposure_table: Table
    dose_table: Table
    dose_sentences: tuple[str, ...]
    canary_sentence: str
    failure_table: Table
    proves: tuple[str, ...]
    does_not_prove: tuple[str, ...]
    test_table: Table
    settings_table: Table
    provenance_table: Table
    repeat: tuple[str, ...]
    handling: str


def view(finding: Finding) -> MemorizationView:
    """Everything the report says of a finding."""
    model = "states captured elsewhere" if finding.model is None else visible(finding.model.name)
    tuned_on = f", tuned on {visible(finding.variant)}" if finding.variant else ""
    return MemorizationView(
        title="Did fine-tuning keep what was merely visible?",
        subtitle=f"{model}{tuned_on}",
        protocol=finding.protocol,
        doubt="this audit is inconclusive" if finding.verdict == "inconclusive" else "",
        headline=headline(finding),
        facts=_facts(finding),
        gates=gate_views(finding.gates),
        failures_line=failures_line(finding.failures, one="record", many="records"),
        notes=tuple(visible(note) for note in finding.notes),
        missing=tuple(visible(one) for one in finding.missing),
        mean_table=tables.mean_table(finding),
        utility_table=tables.utility_table(finding),
        layer_key=role_key(finding),
        layer_table=tables.layer_table(finding),
        map_sentence=_map(finding),
        change_table=tables.change_table(finding),
        module_table=tables.module_table(finding),
        curve_sentence=_curves(finding),
        curve_table=tables.curve_table(finding),
        way_table=tables.way_table(finding),
        field_table=tables.field_table(finding),
        condition_table=tables.condition_table(finding),
        exposure_table=tables.exposure_table(finding),
        dose_table=tables.dose_table(finding),
        dose_sentences=_slopes(finding),
        canary_sentence="" if finding.canaries is None else canary_sentence(finding.canaries),
        failure_table=failure_table(finding.failures),
        proves=limits.proves(finding),
        does_not_prove=limits.does_not_prove(finding),
        test_table=tables.test_table(finding),
        settings_table=tables.settings_table(finding),
        provenance_table=tables.provenance_table(finding),
        repeat=_repeat(finding),
        handling=limits.HANDLING,
    )


def _facts(finding: Finding) -> tuple[Fact, ...]:
    """The numbers of the first screen: what stands out, and whether the task was kept."""
    asked = [row for row in finding.means if row.auc is not None]
    facts = []
    if asked:
        best = min(asked, key=lambda row: (row.p_adjusted is None, row.p_adjusted or 0.0))
        facts.append(
            Fact(
                "Seen records told from unseen ones",
                f"AUC {decimal(best.auc or 0.5)}",
                f"by {MEANS[best.mean]}, {p_value(best.p_adjusted or 1.0)} over all means; "
                ".50 is guessing",
                doubtful=finding.verdict == "inconclusive",
            )
        )
        fewest = min(asked, key=lambda row: min(row.n_seen, row.n_unseen))
        facts.append(
            Fact(
                "Records",
                f"{count(fewest.n_seen)} + {count(fewest.n_unseen)}",
                "seen and unseen, of the mean with the fewest; the record is the unit",
            )
        )
    facts += [
        Fact(
            f"Held-out questions, {visible(row.measure)}",
            bound(row.rate),
            f"{interval(row.rate)}; n = {count(row.rate.n)}",
        )
        for row in finding.utility
        if row.role == TUNED
    ]
    return tuple(facts)


def _map(finding: Finding) -> str:
    drawn = finding.state_map
    if drawn is None:
        return ""
    return (
        f"Where t-SNE puts the states of {count(len(drawn.x))} items of the layer that tells most. "
        "It shows clusters where there are none: items of one record, or of one picture, lie "
        "together whatever was seen. How far the arms lie apart before it draws them is their "
        f"silhouette, {decimal(drawn.silhouette)} (1 is apart, 0 is one cloud; "
        f"{p_value(drawn.p)}, arms permuted over records). Nothing is concluded from the picture."
    )


def _curves(finding: Finding) -> str:
    modules = list(dict.fromkeys(row.module for row in finding.gradient_curves))
    if not modules:
        return ""
    drawn = listed([visible(name) for name in drawn_modules(modules)])
    return (
        "How like a mini-batch's gradient is to that of the same mini-batch, changed: the paper's "
        f"curves. A description, of {drawn}; on unseen text they fall as well, and nothing is "
        "concluded from them."
    )


def _slopes(finding: Finding) -> tuple[str, ...]:
    return tuple(
        f"Each doubling of the times printed adds {row.slope:+.3g} {row.unit} "
        f"({MEANS[row.mean]}; {p_value(row.p_adjusted)}, doses permuted; "
        f"n = {count(row.n)})."
        for row in finding.slopes
    )


def _repeat(finding: Finding) -> tuple[str, ...]:
    if finding.model is None:
        states = " ".join(f"--states {role.upper()}" for role in finding.roles)
        return (f"vlmaudit conclude {states}",)
    others = "".join(f" --{role} {role.upper()}" for role in finding.roles if role != "tuned")
    asked = (
        f"vlmaudit memorization audit --album ALBUM --variant {visible(finding.variant)} "
        f"--model {visible(finding.model.name)}{others} --out RUN"
    )
    return (asked, f"vlmaudit conclude RUN --protocol {finding.protocol}")
