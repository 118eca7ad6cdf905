"""The page of a ladder, which needs nothing but a browser."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vlmaudit.lab.hit_rates import HitRate
from vlmaudit.report.pages import render_page, write_figures
from vlmaudit.report.parts import Cell, Column, MatrixCell, MatrixView, Row, Table
from vlmaudit.results.files import write_text
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    counted,
    decimal,
    hits,
    interval,
    p_number,
    people_of,
    percent,
    visible,
)
from vlmaudit.results.records import Estimate
from vlmaudit.studies.ladder_charts import FIGURES, ladder_charts
from vlmaudit.studies.ladder_records import DoseRow, LadderFinding, TargetRow
from vlmaudit.studies.ladder_words import arm_words, difference, headline, sentences

PAGE: Final = "ladder.html"


def write_page(finding: LadderFinding, out: Path) -> Path:
    """Write ladder.html, figures/*.svg and figures/*.pdf, each whole or not at all.

    Returns:
        Where the page is.
    """
    drawings = ladder_charts(finding, _matrices(finding))
    write_figures(drawings, out / "figures", known=FIGURES)
    said = list(sentences(finding))
    page = render_page(
        "ladder.html.j2",
        drawings,
        headline=headline(finding),
        is_found=bool(finding.is_repeated),
        sentences=said,
        subtitle=(
            f"{counted(len(finding.seeds), 'seed', 'seeds')}, {finding.targets} targets and two "
            f"twins each; {counted(finding.people, 'person', 'people')} audited in each"
        ),
        # All seeds together first: a reader should not take one seed for the answer.
        doses=_doses(
            sorted(finding.doses, key=lambda row: row.seed is not None),
            "Shares of people by arm and seed",
            by_source=False,
        ),
        by_source=(
            _doses(finding.by_source, "Shares of people by arm and source", by_source=True)
            if finding.by_source
            else None
        ),
        effects=_effects(finding),
        seen=_seen(finding),
        confusion=_confusion(finding),
        models=_models(finding),
        settings=Table(
            "Settings of the training",
            (Column("Setting"), Column("Value")),
            tuple(
                Row((Cell(name.replace("_", " ")), Cell(str(value))))
                for name, value in finding.settings.items()
            ),
        ),
    )
    path = out / PAGE
    write_text(path, page)
    return path


def _seed(seed: int | None) -> str:
    return "all" if seed is None else count(seed)


def _rate_cell(estimate: Estimate) -> Cell:
    if estimate.value is None:
        return Cell(NO_VALUE)
    return Cell(bound(estimate), (hits(estimate), interval(estimate)))


def _doses(rows: Sequence[DoseRow], caption: str, *, by_source: bool) -> Table:
    level = {True: "5 % not excluded", False: "above 5 %", None: ""}
    return Table(
        caption,
        (
            Column("Arm"),
            Column("Source") if by_source else Column("Seed", is_number=True),
            Column("p of at most .05", "by the test", is_number=True),
            Column("Detected", "by the audit", is_number=True),
            Column("Flagged", "by the paper's votes", is_number=True),
            Column("Mean score", "in SDs", is_number=True),
            Column("Level"),
        ),
        tuple(
            Row(
                (
                    Cell(arm_words(row.arm)),
                    Cell(visible(row.source) if by_source else _seed(row.seed)),
                    _rate_cell(row.small_p),
                    _rate_cell(row.detected),
                    _rate_cell(row.by_votes),
                    Cell(NO_VALUE if row.mean_z is None else decimal(row.mean_z)),
                    Cell(level[row.at_level]),
                )
            )
            for row in rows
        ),
    )


def _effects(finding: LadderFinding) -> Table:
    return Table(
        "Score with planting minus without, same people",
        (
            Column("Compared with"),
            Column("Planted", is_number=True),
            Column("Seed", is_number=True),
            Column("Mean difference", "95 % interval", is_number=True),
            Column("p", "one-sided", is_number=True),
        ),
        tuple(
            Row(
                (
                    Cell(row.compared),
                    Cell(f"{row.dose}×"),
                    Cell(_seed(row.seed)),
                    Cell(difference(row.difference)),
                    Cell(p_number(row.test.p)),
                )
            )
            for row in finding.effects
        ),
    )


def _seen(finding: LadderFinding) -> Table | None:
    if not finding.seen:
        return None
    return Table(
        "The same people, attacked with unseen pictures and with those trained on",
        (
            Column("Seed", is_number=True),
            Column("Unseen", "p of at most .05", is_number=True),
            Column("Trained on", "p of at most .05", is_number=True),
            Column("Gain", "mean difference of scores", is_number=True),
            Column("p", "one-sided", is_number=True),
        ),
        tuple(
            Row(
                (
                    Cell(_seed(row.seed)),
                    _rate_cell(row.unseen),
                    _rate_cell(row.seen),
                    Cell(difference(row.difference)),
                    Cell(p_number(row.test.p)),
                )
            )
            for row in finding.seen
        ),
    )


_RULES: Final = {"votes": "By the paper's votes", "test": "By the audit"}


def _matrices(finding: LadderFinding) -> list[MatrixView]:
    seed = None if len(finding.seeds) > 1 else finding.seeds[0]
    return [
        MatrixView(
            _RULES[row.rule],
            tuple(
                MatrixCell(
                    who="planted" if cell.is_member else "never planted",
                    decision="flagged" if cell.is_flagged else "not flagged",
                    is_right=cell.is_member == cell.is_flagged,
                    people=people_of(cell.people, cell.rate.n),
                    rate=cell.rate,
                )
                for cell in row.cells
            ),
        )
        for row in finding.confusions
        if row.seed == seed
    ]


def _confusion(finding: LadderFinding) -> Table:
    return Table(
        "People flagged, by rule and seed",
        (
            Column("Rule"),
            Column("Seed", is_number=True),
            Column("Planted, flagged", "TPR", is_number=True),
            Column("Never planted, flagged", "FPR", is_number=True),
        ),
        tuple(
            Row(
                (
                    Cell(_RULES[row.rule]),
                    Cell(_seed(row.seed)),
                    *(_rate_cell(cell.rate) for cell in row.cells if cell.is_flagged),
                )
            )
            for row in finding.confusions
        ),
    )


def _hit_cell(found: HitRate | None) -> Cell:
    if found is None or found.rate.value is None:
        return Cell(NO_VALUE)
    return Cell(
        percent(found.rate.value),
        (f"chance {percent(found.chance)}", f"n = {count(found.rate.n)}"),
    )


def _models(finding: LadderFinding) -> Table:
    has_labels = any(model.utility.zero_shot for model in finding.models)
    hints = ["held-out pictures find a caption"] * 2 + ["zero-shot"] * 2
    names = ["Rank@1", "Rank@5", "Top-1", "Top-5"]
    shown = len(names) if has_labels else 2
    return Table(
        "The targets, and what they learnt besides people",
        (
            Column("Target"),
            Column("Design"),
            Column("TPR", "by the audit", is_number=True),
            Column("FPR", "by the audit", is_number=True),
            *(
                Column(name, hint, is_number=True)
                for name, hint in zip(names[:shown], hints[:shown], strict=True)
            ),
            Column("Conditions that failed"),
        ),
        tuple(
            Row(
                (
                    Cell(f"Seed {model.seed}, target {model.target}", (model.twin,)),
                    Cell(model.design or NO_VALUE),
                    Cell(NO_VALUE) if model.tpr is None else _rate_cell(model.tpr),
                    Cell(NO_VALUE) if model.fpr is None else _rate_cell(model.fpr),
                    *list(_hits(model))[:shown],
                    Cell(", ".join(model.failed_gates) or "none"),
                )
            )
            for model in finding.models
        ),
    )


def _hits(model: TargetRow) -> Iterator[Cell]:
    retrieval, zero_shot = model.utility.retrieval, model.utility.zero_shot
    yield _hit_cell(retrieval.rank1 if retrieval else None)
    yield _hit_cell(retrieval.rank5 if retrieval else None)
    yield _hit_cell(zero_shot.top1 if zero_shot else None)
    yield _hit_cell(zero_shot.top5 if zero_shot else None)
