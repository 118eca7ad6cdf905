"""What comes out when pictures are shown under a condition, person by person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from vlmaudit.audits.identity_inference.evidence import Evidence
from vlmaudit.audits.identity_inference.finding import PersonRow, ShownRow
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.shares import share
from vlmaudit.results.records import Estimate
from vlmaudit.seeds import stream
from vlmaudit.stats.differences import contrast
from vlmaudit.stats.multiplicity import benjamini_hochberg
from vlmaudit.stats.paired import mean_interval, sign_flip

_FLIPS: Final = 9999
_STUDENT: Final = "mean over people, t"


@dataclass(frozen=True, slots=True, eq=False)
class UnderCondition:
    """The evidence of pictures under a condition, and of the same pictures as they are.

    Attributes:
        condition: As it is written.
        changed: The evidence on everybody, from pictures under it; control people are shown
            under it, too: else their faces would not compare.
        plain: The evidence from the same pictures as they are.
        failed: Pictures under it without an answer.
    """

    condition: str
    changed: Sequence[Evidence]
    plain: Sequence[Evidence]
    failed: int


def shown_rows(
    conditions: Sequence[UnderCondition],
    rows_of: Callable[[Sequence[Evidence]], Sequence[PersonRow]],
    settings: IdentityInference,
) -> list[ShownRow]:
    """A row a condition.

    Args:
        conditions: The evidence under each.
        rows_of: Everybody's row, from evidence.
        settings: For tau and the seed.
    """
    rows = [
        _row(under, rows_of(under.changed), rows_of(under.plain), settings) for under in conditions
    ]
    tested = [place for place, row in enumerate(rows) if row.z_p is not None]
    q = benjamini_hochberg(np.array([rows[place].z_p for place in tested])) if tested else ()
    for place, adjusted in zip(tested, q, strict=True):
        rows[place] = rows[place].model_copy(update={"z_p_adjusted": float(adjusted)})
    return rows


def _row(
    under: UnderCondition,
    changed: Sequence[PersonRow],
    plain: Sequence[PersonRow],
    settings: IdentityInference,
) -> ShownRow:
    pairs = [
        (one, other)
        for one, other in zip(changed, plain, strict=True)
        if one.pictures and other.pictures
    ]
    decided = [
        (float(one.detected), float(other.detected))
        for one, other in pairs
        if one.detected is not None and other.detected is not None
    ]
    z = [(one.z, other.z) for one, other in pairs if one.z is not None and other.z is not None]
    after, before = np.array(z, dtype=np.float64).reshape(-1, 2).T
    flips = stream(settings.seed, "conditions", under.condition)
    found = contrast(*np.array(decided).T, rng=flips, flips=_FLIPS) if decided else None
    return ShownRow(
        condition=under.condition,
        people=len(pairs),
        pictures=sum(one.pictures for one, _ in pairs),
        failed=under.failed,
        detected=share([bool(one) for one, _ in decided]),
        detected_plain=share([bool(other) for _, other in decided]),
        detected_change=Estimate(
            value=found.value, low=found.low, high=found.high, n=found.n, method=found.method
        )
        if found
        else None,
        detected_p=found.p if found else None,
        by_votes=share([one.score >= settings.tau for one, _ in pairs if one.score is not None]),
        z=_mean(after),
        z_plain=_mean(before),
        z_change=_mean(after - before) if z else None,
        z_p=_two_sided(after - before, flips) if z else None,
    )


def _mean(values: Float[np.ndarray, " people"]) -> Estimate:
    limits = mean_interval(values)
    return Estimate(
        value=float(values.mean()) if len(values) else None,
        low=limits.low if limits else None,
        high=limits.high if limits else None,
        n=len(values),
        method=_STUDENT,
    )


def _two_sided(differences: Float[np.ndarray, " people"], rng: np.random.Generator) -> float:
    """Twice the smaller of both one-sided p-values, which share the flips' distribution."""
    up = sign_flip(differences, rng=rng, n_permutations=_FLIPS).p
    down = sign_flip(-differences, rng=rng, n_permutations=_FLIPS).p
    return min(1.0, 2 * min(up, down))
