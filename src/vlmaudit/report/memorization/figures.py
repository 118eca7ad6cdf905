"""All charts of a memorization report, in its order."""

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.report.memorization.charts import (
    curve_chart,
    dose_chart,
    layer_chart,
    map_chart,
    mean_chart,
    module_chart,
)
from vlmaudit.report.parts import Drawing


def draw_all(finding: Finding) -> tuple[Drawing, ...]:
    """The charts for which the finding has numbers."""
    drawings = (
        mean_chart(finding),
        layer_chart(finding),
        map_chart(finding),
        module_chart(finding),
        curve_chart(finding),
        dose_chart(finding),
    )
    return tuple(drawing for drawing in drawings if drawing is not None)
