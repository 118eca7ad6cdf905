"""All charts of a name-leakage report, in its order."""

from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.report.leakage.charts import condition_chart, outcome_chart, rate_chart
from vlmaudit.report.leakage.people_charts import (
    distribution_chart,
    occurrence_chart,
    people_chart,
)
from vlmaudit.report.parts import Drawing


def draw_all(finding: Finding) -> tuple[Drawing, ...]:
    """The charts for which the finding has numbers."""
    drawings = (
        rate_chart(finding),
        outcome_chart(finding),
        people_chart(finding),
        distribution_chart(finding),
        occurrence_chart(finding),
        condition_chart(finding),
    )
    return tuple(drawing for drawing in drawings if drawing is not None)
