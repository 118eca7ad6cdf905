"""How printed records change gradients: seen against unseen, and the paper's curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from vlmaudit.audits.memorization.arms import auc_limits
from vlmaudit.audits.memorization.finding import CurveRow, ModuleRow
from vlmaudit.audits.memorization.observed import SEEN, TUNED, UNSEEN, Observed
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.seeds import stream
from vlmaudit.stats.gradient_contrast import gradient_contrast

STAMPED: Final = "stamped"
NEUTRAL: Final = "neutral"
CLEAN: Final = "clean-again"
TOLERANCE: Final = 1e-6
"""What a clean batch's cosine with itself may lack of 1."""
_FEWEST: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """What gradients say.

    Attributes:
        rows: Seen against unseen by checkpoint and module.
        curves: The paper's curves.
        n_seen: Seen records of the audited checkpoint.
        n_unseen: Unseen ones.
        worst_repeat: The cosine of a clean batch with itself that is farthest from 1; None where
            it was not asked.
        changes: Mean over modules of a record's change, by record.
        missing: What falls away, and why.
    """

    rows: list[ModuleRow]
    curves: list[CurveRow]
    n_seen: int
    n_unseen: int
    worst_repeat: float | None
    changes: Mapping[str, float]
    missing: tuple[str, ...]


def gradients(observed: Observed, settings: Memorization) -> Gradients | None:
    """Contrasts and curves of the cosines there are; None where there are none."""
    table = observed.gradients
    if table is None or table.filter(role=TUNED).is_empty():
        return None
    known = table.filter(pl.col("cosine").is_finite())
    modules = list(dict.fromkeys(known["module"]))
    missing = [
        f"Gradients of {module}: none that is a number (is it frozen?)."
        for module in dict.fromkeys(table["module"])
        if module not in modules
    ]
    rows: list[ModuleRow] = []
    counts = (0, 0)
    changes: dict[str, float] = {}
    for role in observed.roles:
        names, seen, values = _changes(known.filter(pl.col("role") == role), modules)
        sides = int(seen.sum()), int((~seen).sum())
        if role == TUNED:
            counts = sides
            changes = dict(zip(names, values.mean(axis=1).tolist(), strict=True))
        if min(sides) >= _FEWEST:
            rows += _rows(role, modules, seen, values, settings)
    clean = known.filter(pl.col("kind") == CLEAN)["cosine"].to_numpy()
    return Gradients(
        rows=rows,
        curves=_curves(known),
        n_seen=counts[0],
        n_unseen=counts[1],
        worst_repeat=float(clean[np.abs(clean - 1).argmax()]) if len(clean) else None,
        changes=changes,
        missing=tuple(missing),
    )


def _changes(table: pl.DataFrame, modules: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Of each record and module the mean over batches of cos(printed) less cos(meaningless)."""
    crossed = table.filter(
        pl.col("kind").is_in([STAMPED, NEUTRAL]), pl.col("arm").is_in([SEEN, UNSEEN])
    )
    keys = ["record", "arm", "module", "batch", "batch_size"]
    pairs = (
        crossed.filter(pl.col("kind") == STAMPED)
        .join(crossed.filter(pl.col("kind") == NEUTRAL), on=keys, suffix="_neutral")
        .with_columns(change=pl.col("cosine") - pl.col("cosine_neutral"))
        .group_by("record", "arm", "module")
        .agg(pl.col("change").mean())
    )
    by_record: dict[tuple[str, str], dict[str, float]] = {}
    for record, arm, module, change in (
        pairs.sort("arm", "record").select("record", "arm", "module", "change").iter_rows()
    ):
        by_record.setdefault((record, arm), {})[module] = change
    # Modules are adjusted together: whoever lacks one is left out of all.
    whole = {key: row for key, row in by_record.items() if len(row) == len(modules)}
    values = np.array([[row[module] for module in modules] for row in whole.values()])
    return (
        [record for record, _ in whole],
        np.array([arm == SEEN for _, arm in whole], dtype=bool),
        values.reshape(len(whole), len(modules)),
    )


def _rows(
    role: str, modules: list[str], seen: np.ndarray, values: np.ndarray, settings: Memorization
) -> list[ModuleRow]:
    contrasts = gradient_contrast(
        values,
        seen,
        permutations=settings.permutations,
        rng=stream(settings.seed, "gradients", role),
    )
    rows = []
    for place, (module, one) in enumerate(zip(modules, contrasts, strict=True)):
        area = auc_limits(values[:, place], seen)
        rows.append(
            ModuleRow(
                role=role,
                module=module,
                seen=one.seen,
                unseen=one.unseen,
                difference=one.difference,
                low=one.low,
                high=one.high,
                n_seen=int(seen.sum()),
                n_unseen=int((~seen).sum()),
                auc=area.value,
                auc_low=area.low,
                auc_high=area.high,
                # The test is two-sided: a seen record may change gradients less, too.
                upper=max(area.upper, auc_limits(-values[:, place], seen).upper),
                p=one.p,
                p_adjusted=one.p_adjusted,
            )
        )
    return rows


def _curves(known: pl.DataFrame) -> list[CurveRow]:
    curves = (
        known.filter(pl.col("record").fill_null("") == "", pl.col("arm").fill_null("") == "")
        .group_by("role", "module", "kind", "batch_size", maintain_order=True)
        .agg(
            mean=pl.col("cosine").mean(),
            lowest=pl.col("cosine").min(),
            highest=pl.col("cosine").max(),
            batches=pl.len(),
        )
    )
    return [CurveRow(**row) for row in curves.iter_rows(named=True)]
