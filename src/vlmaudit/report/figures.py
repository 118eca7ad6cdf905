"""All charts of a report, in its order."""

from vlmaudit.report.bin_chart import bin_chart
from vlmaudit.report.charts import curve_chart, group_chart
from vlmaudit.report.grids import heat_chart, matrix_chart
from vlmaudit.report.parts import Drawing
from vlmaudit.report.views import ReportView


def draw_all(shown: ReportView) -> tuple[Drawing, ...]:
    """The charts for which the finding has numbers."""
    bins = shown.occurrences
    drawings = (
        group_chart(shown.groups),
        bin_chart(
            bins.bins,
            axis=bins.axis,
            rule=bins.rule,
            votes=bins.votes,
            is_by_votes=shown.protocol == "paper",
        ),
        curve_chart(shown.series),
        heat_chart(bins.bins, bins.sizes),
        matrix_chart(shown.matrices),
    )
    return tuple(drawing for drawing in drawings if drawing is not None)
