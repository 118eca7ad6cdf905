"""The tables of a memorization report."""

from collections.abc import Iterable, Sequence
from typing import Final

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.words import ANSWERS, MEANS
from vlmaudit.report.memorization.words import ANSWER_MARKS, limits_of, role_words
from vlmaudit.report.parts import Cell, Column, Row, Table
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    decimal,
    interval,
    p_floor,
    p_number,
    percent,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate

_SETTINGS: Final = {
    "protocol": "Protocol",
    "means": "Means",
    "token": "Token whose states are probed",
    "query": "Asked while states are kept",
    "pictures": "Held-out pictures a record",
    "batch_size": "Pictures in a mini-batch",
    "batches": "Mini-batches a record",
    "batch_sizes": "Sizes of mini-batches for the curves",
    "curve_batches": "Mini-batches of each such size",
    "fields": "Fields asked for; empty: all",
    "decoys": "Made-up values a true one is ranked among",
    "max_new_tokens": "Tokens after which an answer is cut off",
    "folds": "Parts of the records, each tested on the rest",
    "permutations": "Permutations of records (B)",
    "alpha": "Error level over the means (α)",
    "guesses": "Canaries guessed; 0: all",
    "delta": "δ of the bound on ε",
    "max_failures": "Share of failures above which nothing is concluded",
    "seed": "Seed",
}
_WAYS: Final = {
    "outright": "printed whole",
    "partial": "printed, that value left blank",
    "removed": "nothing printed",
}


def mean_table(finding: Finding) -> Table:
    """The four means side by side."""
    rows = [
        Row(
            (
                Cell(sentence_case(MEANS[row.mean]), (visible(row.where),) if row.where else ()),
                Cell(ANSWERS[row.answer], mark=ANSWER_MARKS[row.answer]),
                Cell(f"{count(row.n_seen)} / {count(row.n_unseen)}"),
                Cell(NO_VALUE if row.auc is None else decimal(row.auc)),
                Cell(limits_of(row.low, row.high)),
                Cell(NO_VALUE if row.upper is None else decimal(row.upper)),
                Cell(NO_VALUE if row.p is None else p_number(row.p)),
                Cell(NO_VALUE if row.p_adjusted is None else p_number(row.p_adjusted)),
            )
        )
        for row in finding.means
    ]
    return Table(
        "The four means",
        (
            Column("Seen from unseen by", "where it stands out most"),
            Column("Answer"),
            Column("Records", "seen / unseen", is_number=True),
            Column("AUC", is_number=True),
            Column("95 % interval", is_number=True),
            Column("Ruled out above", "in all layers, modules, ways", is_number=True),
            Column("p", is_number=True),
            Column("Adjusted p", is_number=True),
        ),
        tuple(rows),
    )


def layer_table(finding: Finding) -> Table:
    """Every layer of every checkpoint."""
    split = {(row.role, row.layer): row for row in finding.split_layers}
    rows = []
    for row in (*finding.layers, *finding.other_layers):
        published = split.get((row.role, row.layer))
        rows.append(
            Row(
                (
                    Cell(visible(row.name) or f"layer {row.layer}", (role_words(row.role),)),
                    Cell(decimal(row.auc)),
                    Cell(limits_of(row.low, row.high)),
                    Cell(percent(row.accuracy)),
                    Cell(percent(row.control)),
                    Cell(p_number(row.p)),
                    Cell(p_number(row.p_adjusted)),
                    Cell(NO_VALUE if published is None else percent(published.accuracy)),
                    Cell(NO_VALUE if published is None else percent(published.control)),
                )
            )
        )
    return Table(
        "Probes by layer",
        (
            Column("Layer", "checkpoint"),
            Column("AUC", "other records", is_number=True),
            Column("95 % interval", is_number=True),
            Column("Accuracy", is_number=True),
            Column("Control", "labels permuted", is_number=True),
            Column("p", is_number=True),
            Column("Adjusted p", is_number=True),
            Column("Published split", "accuracy", is_number=True),
            Column("Its control", "labels drawn anew", is_number=True),
        ),
        tuple(rows),
    )


def change_table(finding: Finding) -> Table:
    """The audited checkpoint against others, layer by layer, and twins."""
    rows = [
        Row(
            (
                Cell(f"layer {row.layer}", (f"against: {role_words(row.against)}",)),
                Cell(decimal(row.auc)),
                Cell(decimal(row.other_auc)),
                Cell(decimal(row.difference)),
                Cell(p_number(row.p_adjusted)),
            )
        )
        for row in finding.change_layers
    ]
    rows += [
        Row(
            (
                Cell(f"layer {row.layer}", ("differences between twins",)),
                Cell(decimal(row.auc), (limits_of(row.low, row.high),)),
                Cell(NO_VALUE),
                Cell(NO_VALUE),
                Cell(p_number(row.p_adjusted)),
            )
        )
        for row in finding.twin_layers
    ]
    return Table(
        "Against other checkpoints",
        (
            Column("Layer"),
            Column("AUC", "audited", is_number=True),
            Column("AUC", "the other", is_number=True),
            Column("Difference", is_number=True),
            Column("Adjusted p", is_number=True),
        ),
        tuple(rows),
    )


def module_table(finding: Finding) -> Table:
    """Every module of every checkpoint."""
    rows = [
        Row(
            (
                Cell(sentence_case(visible(row.module)), (role_words(row.role),)),
                Cell(f"{row.seen:+.5f}"),
                Cell(f"{row.unseen:+.5f}"),
                Cell(f"{row.difference:+.5f}", (f"{row.low:+.5f} to {row.high:+.5f}",)),
                Cell(
                    NO_VALUE if row.auc is None else decimal(row.auc),
                    (limits_of(row.auc_low, row.auc_high),),
                ),
                Cell(p_number(row.p)),
                Cell(p_number(row.p_adjusted)),
            )
        )
        for row in finding.modules
    ]
    return Table(
        "Gradients by module",
        (
            Column("Module", "checkpoint"),
            Column("Seen", "cosine, printed less meaningless", is_number=True),
            Column("Unseen", is_number=True),
            Column("Difference", "95 % interval", is_number=True),
            Column("AUC", "95 % interval", is_number=True),
            Column("p", is_number=True),
            Column("Adjusted p", is_number=True),
        ),
        tuple(rows),
    )


def curve_table(finding: Finding) -> Table:
    """The paper's curves in numbers."""
    rows = [
        Row(
            (
                Cell(sentence_case(visible(row.module)), (role_words(row.role),)),
                Cell(visible(row.kind)),
                Cell(count(row.batch_size)),
                Cell(f"{row.mean:.4f}", (f"{row.lowest:.4f} to {row.highest:.4f}",)),
                Cell(count(row.batches)),
            )
        )
        for row in finding.gradient_curves
    ]
    return Table(
        "A mini-batch against itself, changed",
        (
            Column("Module", "checkpoint"),
            Column("Changed by"),
            Column("Examples", is_number=True),
            Column("Cosine", "lowest to highest", is_number=True),
            Column("Mini-batches", is_number=True),
        ),
        tuple(rows),
    )


def way_table(finding: Finding) -> Table:
    """Seen against unseen records by way of asking."""
    rows = [
        Row(
            (
                Cell(sentence_case(_WAYS.get(row.way, row.way)), (role_words(row.role),)),
                Cell(bound(row.seen), (_n(row.seen),)),
                Cell(bound(row.unseen), (_n(row.unseen),)),
                Cell(decimal(row.auc), (limits_of(row.auc_low, row.auc_high),)),
                Cell(p_number(row.p)),
                Cell(p_number(row.p_adjusted)),
            )
        )
        for row in finding.ways
    ]
    return Table(
        "Values said, seen against unseen records",
        (
            Column("Shown", "checkpoint"),
            Column("Seen", "95 % interval", is_number=True),
            Column("Unseen", "95 % interval", is_number=True),
            Column("AUC", "95 % interval", is_number=True),
            Column("p", is_number=True),
            Column("Adjusted p", is_number=True),
        ),
        tuple(rows),
    )


def field_table(finding: Finding) -> Table:
    """Values said, field by field and arm by arm."""
    rows = [
        Row(
            (
                Cell(visible(row.field), (_WAYS.get(row.way, row.way), role_words(row.role))),
                Cell(visible(row.arm)),
                Cell(bound(row.rate), (_n(row.rate),)),
                Cell(NO_VALUE if row.of_others is None else percent(row.of_others)),
                Cell(NO_VALUE if row.p is None else p_number(row.p)),
            )
        )
        for row in finding.extraction
    ]
    return Table(
        "Values said, field by field",
        (
            Column("Field", "shown, checkpoint"),
            Column("Records"),
            Column("Said", "95 % interval", is_number=True),
            Column("Of others", "the same values", is_number=True),
            Column("p", "records swapped", is_number=True),
        ),
        tuple(rows),
    )


def exposure_table(finding: Finding) -> Table:
    """Bits by arm, field and condition."""
    rows = [
        Row(
            (
                Cell(
                    visible(row.field),
                    ("with the picture" if row.with_picture else "without a picture",
                     role_words(row.role)),
                ),
                Cell(visible(row.arm)),
                Cell(
                    NO_VALUE if row.bits.value is None else decimal(row.bits.value),
                    (limits_of(row.bits.low, row.bits.high), f"n = {count(row.bits.n)}"),
                ),
                Cell(decimal(row.ceiling)),
                Cell(p_number(row.p)),
            )
        )
        for row in finding.exposure
    ]  # fmt: skip
    return Table(
        "Exposure",
        (
            Column("Field", "shown, checkpoint"),
            Column("Records"),
            Column("Bits", "mean, 95 % interval", is_number=True),
            Column("At most", is_number=True),
            Column("p", "if nobody is known", is_number=True),
        ),
        tuple(rows),
    )


def condition_table(finding: Finding) -> Table:
    """Bits of seen against unseen records."""
    rows = [
        Row(
            (
                Cell(
                    "With the picture" if row.with_picture else "Without a picture",
                    (role_words(row.role),),
                ),
                Cell(_bits(row.seen), (limits_of(row.seen.low, row.seen.high),)),
                Cell(_bits(row.unseen), (limits_of(row.unseen.low, row.unseen.high),)),
                Cell(decimal(row.auc), (limits_of(row.auc_low, row.auc_high),)),
                Cell(p_number(row.p)),
                Cell(p_number(row.p_adjusted)),
            )
        )
        for row in finding.conditions
    ]
    return Table(
        "Bits of exposure, seen against unseen records",
        (
            Column("Shown", "checkpoint"),
            Column("Seen", "95 % interval", is_number=True),
            Column("Unseen", "95 % interval", is_number=True),
            Column("AUC", "95 % interval", is_number=True),
            Column("p", is_number=True),
            Column("Adjusted p", is_number=True),
        ),
        tuple(rows),
    )


def dose_table(finding: Finding) -> Table:
    """Every mean by how often a record was printed."""
    rows = [
        Row(
            (
                Cell("never" if not row.dose else count(row.dose)),
                Cell(count(row.records)),
                Cell(NO_VALUE if row.score is None else _bits(row.score)),
                Cell(
                    NO_VALUE
                    if row.gradient is None or row.gradient.value is None
                    else f"{row.gradient.value:+.5f}"
                ),
                Cell(NO_VALUE if row.hits is None else bound(row.hits)),
                Cell(
                    NO_VALUE if row.exposure is None else _bits(row.exposure),
                    ()
                    if row.exposure is None
                    else (limits_of(row.exposure.low, row.exposure.high),),
                ),
            )
        )
        for row in finding.doses
    ]
    return Table(
        "By dose",
        (
            Column("Times printed"),
            Column("Records", is_number=True),
            Column("Probe", "mean score, SDs", is_number=True),
            Column("Gradients", "cosine", is_number=True),
            Column("Answers", "with the value", is_number=True),
            Column("Likelihoods", "bits", is_number=True),
        ),
        tuple(rows),
    )


def utility_table(finding: Finding) -> Table:
    """What each checkpoint makes of held-out questions."""
    rows = [
        Row(
            (
                Cell(sentence_case(role_words(row.role))),
                Cell(visible(row.measure)),
                Cell(bound(row.rate)),
                Cell(interval(row.rate)),
                Cell(count(row.rate.n)),
            )
        )
        for row in finding.utility
    ]
    return Table(
        "Held-out questions",
        (
            Column("Checkpoint"),
            Column("Measure"),
            Column("Right", is_number=True),
            Column("95 % interval", is_number=True),
            Column("Questions", is_number=True),
        ),
        tuple(rows),
    )


def test_table(finding: Finding) -> Table:
    """Every test."""
    rows = []
    for test in finding.tests:
        floor = () if test.p_min is None else (f"cannot go below {p_floor(test.p_min)}",)
        rows.append(
            Row(
                (
                    Cell(sentence_case(visible(test.name))),
                    Cell(decimal(test.statistic, 3)),
                    Cell(p_number(test.p), floor),
                    Cell(NO_VALUE if test.p_adjusted is None else p_number(test.p_adjusted)),
                    Cell(sentence_case(visible(test.null))),
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


def settings_table(finding: Finding) -> Table:
    """What the audit was told."""
    return _pairs(
        "Settings",
        [
            (_SETTINGS.get(key, sentence_case(visible(key))), visible(str(value)))
            for key, value in finding.settings.items()
        ],
    )


def provenance_table(finding: Finding) -> Table:
    """Which weights were asked."""
    return _pairs("Where it comes from", _provenance(finding))


def _provenance(finding: Finding) -> Iterable[tuple[str, str]]:
    model = finding.model
    if model is None:
        yield "Model", "none asked: concluded from states captured elsewhere"
    else:
        yield "Model", visible(model.name)
        yield "Weights", visible(model.weights)
        yield "Arithmetic", visible(model.dtype)
    yield "Training set", visible(finding.variant) or "not known"
    yield "Checkpoints", ", ".join(role_words(role) for role in finding.roles)
    yield "Format of finding.json", str(finding.schema_version)


def _pairs(caption: str, pairs: Iterable[tuple[str, str]] | Sequence[tuple[str, str]]) -> Table:
    return Table(
        caption,
        (Column("What"), Column("Value")),
        tuple(Row((Cell(key), Cell(value, is_name=True))) for key, value in pairs),
    )


def _n(estimate: Estimate) -> str:
    return f"{interval(estimate)}; n = {count(estimate.n)}"


def _bits(estimate: Estimate) -> str:
    return NO_VALUE if estimate.value is None else decimal(estimate.value)
