"""Bar chart of the importances of the hyperparameters."""

from ktune.report.figures.figure import Figure, axis, numbers, plain
from ktune.report.view import SearchReport

MOST = 12


def importance_bars(report: SearchReport) -> Figure | None:
    """Draw importances with their uncertainty; None with too few trials."""
    importances = report.importances[:MOST][::-1]
    if not importances:
        return None
    return Figure(
        key="importances",
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "x": numbers(i.share for i in importances),
                "y": [plain(i.name) for i in importances],
                "marker": {"color": "@accent"},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": numbers(max(i.high - i.share, 0) for i in importances),
                    "arrayminus": numbers(max(i.share - i.low, 0) for i in importances),
                    "color": "@muted",
                },
                "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
            }
        ],
        layout={
            "xaxis": axis("share of importance", tickformat=".0%", rangemode="tozero"),
            "yaxis": {"automargin": True, "type": "category"},
        },
        height=120 + 34 * len(importances),
        caption="PED-ANOVA over complete trials; lines are 90 % percentile bootstrap "
        "intervals. If lines overlap, the order is uncertain.",
    )
