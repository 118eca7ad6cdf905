"""Records one by one, and by how often they were printed."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from vlmaudit.audits.memorization.arms import (
    mean_of_records,
    share_of_records,
    slope_on_dose,
)
from vlmaudit.audits.memorization.finding import DoseRow, SlopeRow
from vlmaudit.audits.memorization.observed import SEEN, UNSEEN, Observed
from vlmaudit.audits.memorization.said import Said
from vlmaudit.audits.memorization.settings import MEANS, Mean, Memorization
from vlmaudit.audits.memorization.verdicts import holm
from vlmaudit.results.records import Estimate
from vlmaudit.seeds import stream

COLUMNS: Final[Mapping[Mean, str]] = {
    "probe": "probe_score",
    "gradients": "gradient_change",
    "extraction": "hit_rate",
    "exposure": "exposure_bits",
}
"""Columns of units.parquet: one number a record by each mean, of the audited checkpoint."""
_UNITS: Final[Mapping[Mean, str]] = {
    "probe": "SDs",
    "gradients": "of the cosine",
    "extraction": "of answers",
    "exposure": "bits",
}


def unit_rows(observed: Observed, said: Said) -> pl.DataFrame:
    """A row a record: arm, dose, whether it was in, and what each mean says of it."""
    hits: dict[str, float] = {}
    if said.extracted:
        # First over pictures: a field and a way weigh as another.
        cells = said.extracted.hits.group_by("record", "way", "field").agg(pl.col("hit").mean())
        hits = dict(cells.group_by("record").agg(pl.col("hit").mean()).iter_rows())
    bits = said.exposed.bits.select("record", "bits") if said.exposed else None
    values: Mapping[Mean, Mapping[str, float]] = {
        "probe": said.probed.scores if said.probed else {},
        "gradients": said.graded.changes if said.graded else {},
        "extraction": hits,
        "exposure": {} if bits is None else dict(bits.iter_rows()),
    }
    records = observed.records.select("record", "arm", "dose", "included").sort("arm", "record")
    return records.with_columns(
        pl.Series(
            COLUMNS[mean], [values[mean].get(record) for record in records["record"]], pl.Float64
        )
        for mean in MEANS
    )


def dose_rows(units: pl.DataFrame) -> list[DoseRow]:
    """What every mean says by dose: unseen records first, as dose 0."""
    known = _dosed(units)
    rows = []
    for dose in sorted(set(known["times"])):
        group = known.filter(pl.col("times") == dose)
        rows.append(
            DoseRow(
                dose=dose,
                records=group.height,
                exposure=_estimate(group, "exposure"),
                hits=_estimate(group, "extraction", is_share=True),
                gradient=_estimate(group, "gradients"),
                score=_estimate(group, "probe"),
            )
        )
    return rows


def slope_rows(units: pl.DataFrame, settings: Memorization) -> list[SlopeRow]:
    """What a doubling of the dose adds among seen records; doses were drawn, as arms were."""
    seen = units.filter(pl.col("arm") == SEEN, pl.col("dose") > 0)
    found: list[tuple[Mean, float, float, int]] = []
    for mean in MEANS:
        known = seen.filter(pl.col(COLUMNS[mean]).is_not_null()).sort("record")
        values = known[COLUMNS[mean]].to_numpy()
        # Seen records may change gradients more or less than unseen ones: which, doses do not say.
        sign = -1.0 if mean == "gradients" and _difference(units, mean) < 0 else 1.0
        slope = slope_on_dose(
            sign * values,
            known["dose"].to_numpy().astype(np.float64),
            permutations=settings.permutations,
            rng=stream(settings.seed, "doses", mean),
        )
        if slope is not None:
            found.append((mean, sign * slope[0], slope[1], known.height))
    adjusted = holm([p for _, _, p, _ in found])
    return [
        SlopeRow(mean=mean, slope=slope, p=p, p_adjusted=q, n=n, unit=_UNITS[mean])
        for (mean, slope, p, n), q in zip(found, adjusted, strict=True)
    ]


def _dosed(units: pl.DataFrame) -> pl.DataFrame:
    """Seen records by their dose, and unseen ones as never printed."""
    both = units.filter(pl.col("arm").is_in([SEEN, UNSEEN]))
    times = pl.when(pl.col("arm") == UNSEEN).then(0).otherwise(pl.col("dose"))
    return both.with_columns(times=times).filter(pl.col("times").is_not_null())


def _estimate(group: pl.DataFrame, mean: Mean, *, is_share: bool = False) -> Estimate | None:
    values = group[COLUMNS[mean]].drop_nulls().to_numpy()
    if not len(values):
        return None
    return share_of_records(values) if is_share else mean_of_records(values)


def _difference(units: pl.DataFrame, mean: Mean) -> float:
    sides: Sequence[float | None] = [
        units.filter(pl.col("arm") == arm)[COLUMNS[mean]].mean()  # type: ignore[misc]
        for arm in (SEEN, UNSEEN)
    ]
    return (sides[0] or 0.0) - (sides[1] or 0.0)
