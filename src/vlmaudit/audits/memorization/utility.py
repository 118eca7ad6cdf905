"""What checkpoints make of the task they were tuned for."""

from vlmaudit.audits.memorization.finding import UtilityRow
from vlmaudit.audits.memorization.observed import Observed
from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson


def utility_rows(observed: Observed) -> list[UtilityRow]:
    """Shares of held-out questions answered rightly, by checkpoint."""
    if observed.utility is None:
        return []
    rows = []
    for role in observed.roles:
        for row in observed.utility.filter(role=role).iter_rows(named=True):
            right, asked = int(row["right"]), int(row["asked"])
            if not asked:
                continue
            limits = clopper_pearson(right, asked)
            rows.append(
                UtilityRow(
                    role=role,
                    measure=row["measure"],
                    rate=Estimate(
                        value=right / asked,
                        low=limits.low,
                        high=limits.high,
                        n=asked,
                        method="Clopper-Pearson",
                        unit="question",
                    ),
                )
            )
    return rows
