"""How high the true values of records rank among made-up ones, and the coins of canaries."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from vlmaudit.audits.memorization.arms import contrast_arms, mean_of_records, wide
from vlmaudit.audits.memorization.finding import CanaryRow, ConditionRow, ExposureRow
from vlmaudit.audits.memorization.observed import (
    CANARY,
    SEEN,
    TUNED,
    UNSEEN,
    Observed,
    has_failed,
)
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.seeds import stream
from vlmaudit.stats.exposure import canary_test, exposure_bits, mean_exposure
from vlmaudit.stats.one_run import epsilon_lower_bound, guess_canaries

NOTHING_KNOWN: Final = 1 / float(np.log(2))
"""Mean exposure of a record that nobody knows, in bits."""
_CONDITIONS: Final = (True, False)
_LEVEL: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """What ranks of likelihoods say.

    Attributes:
        rows: Mean bits by checkpoint, arm, field and condition.
        conditions: Seen against unseen, all fields together.
        bits: Of the audited checkpoint: ``record, arm, bits``, the mean over fields and conditions.
        canaries: The coin test; None where there are no canaries.
    """

    rows: list[ExposureRow]
    conditions: list[ConditionRow]
    bits: pl.DataFrame
    canaries: CanaryRow | None


def exposure(observed: Observed, settings: Memorization) -> Exposure | None:
    """Ranks, contrasts and canaries; None where no likelihood was asked for."""
    if observed.exposure is None:
        return None
    table = observed.exposure.filter(~has_failed(), pl.col("higher").is_not_null())
    if table.is_empty():
        return None
    ranked = table.with_columns(
        bits=pl.Series(
            exposure_bits(*(table[name].to_numpy() for name in ("higher", "equal", "decoys")))
        )
    )
    tuned = ranked.filter(pl.col("role") == TUNED)
    # First by field, then over fields and conditions: all weigh alike.
    bits = tuned.group_by("record", "arm").agg(pl.col("bits").mean()).sort("arm", "record")
    return Exposure(
        rows=_rows(ranked, observed.roles),
        conditions=[
            row
            for role in observed.roles
            for row in _conditions(ranked.filter(pl.col("role") == role), role, settings)
        ],
        bits=bits,
        canaries=_canaries(bits, observed, settings),
    )


def _rows(ranked: pl.DataFrame, roles: list[str]) -> list[ExposureRow]:
    rows = []
    keys = ["role", "arm", "field", "with_picture"]
    for (role, arm, name, with_picture), cell in ranked.group_by(keys, maintain_order=True):
        by_record = cell.group_by("record").agg(pl.col("bits").mean(), pl.col("decoys").max())
        bits = by_record.sort("record")["bits"].to_numpy()
        rows.append(
            ExposureRow(
                role=str(role),
                arm=str(arm),
                field=str(name),
                with_picture=bool(with_picture),
                bits=mean_of_records(bits),
                ceiling=float(np.log2(by_record["decoys"].to_numpy().min() + 1)),
                p=mean_exposure(bits).p,
            )
        )
    return sorted(rows, key=lambda row: roles.index(row.role))


def _conditions(ranked: pl.DataFrame, role: str, settings: Memorization) -> list[ConditionRow]:
    both = ranked.filter(pl.col("arm").is_in([SEEN, UNSEEN]))
    asked = [condition for condition in _CONDITIONS if condition in set(both["with_picture"])]
    _, arms, values = wide(both, "with_picture", "bits", asked)
    seen = np.array([arm == SEEN for arm in arms], dtype=bool)
    if not asked or not seen.any() or seen.all():
        return []
    contrasts = contrast_arms(
        values,
        seen,
        permutations=settings.permutations,
        rng=stream(settings.seed, "exposure", role),
    )
    return [
        ConditionRow(
            role=role,
            with_picture=condition,
            seen=mean_of_records(values[seen, place]),
            unseen=mean_of_records(values[~seen, place]),
            difference=one.difference,
            auc=one.auc.value,
            auc_low=one.auc.low,
            auc_high=one.auc.high,
            upper=one.auc.upper,
            p=one.p,
            p_adjusted=one.p_adjusted,
        )
        for place, (condition, one) in enumerate(zip(asked, contrasts, strict=True))
    ]


def _canaries(bits: pl.DataFrame, observed: Observed, settings: Memorization) -> CanaryRow | None:
    """The coin test, and the bound on ε where coins alone decided who was in."""
    known = observed.records.filter(pl.col("arm") == CANARY, pl.col("included").is_not_null())
    asked = (
        bits.filter(pl.col("arm") == CANARY)
        .join(known.select("record", "dose", "included"), on="record")
        # An order that knows nothing of coins or scores: ties are broken by it.
        .sort("record")
    )
    if asked.is_empty():
        return None
    scores, included = asked["bits"].to_numpy(), asked["included"].to_numpy()
    n, n_in = len(included), int(included.sum())
    doses = sorted(set(asked.filter("included")["dose"].drop_nulls()))
    guesses = min(settings.guesses or n, n)
    right, epsilon, why_not = None, None, ""
    if not (observed.album or {}).get("randomised"):
        why_not = "inclusion was not randomised independently"
    elif n < known.height:
        why_not = f"{known.height - n} of {known.height} canaries have no exposure"
    else:
        guesses -= guesses % 2
        if not guesses:
            why_not = "a single canary cannot be guessed in and out"
        else:
            right = guess_canaries(scores, included, guesses)
            epsilon = epsilon_lower_bound(right, guesses, n, delta=settings.delta, alpha=_LEVEL)
    test = None
    if 0 < n_in < n:
        test = canary_test(
            scores,
            included,
            permutations=settings.permutations,
            rng=stream(settings.seed, "canaries"),
        )
    return CanaryRow(
        included=n_in,
        left_out=n - n_in,
        doses=doses,
        auc=test.auc if test else None,
        p=test.p if test else None,
        guesses=guesses,
        right=right,
        epsilon=epsilon,
        delta=settings.delta,
        why_not=why_not,
    )
