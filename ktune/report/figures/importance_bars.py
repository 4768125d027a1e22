"""Which hyperparameters mattered."""

from ktune.report.figures.figure import Figure, axis, numbers, plain
from ktune.report.view import SearchReport

MOST = 12


def importance_bars(report: SearchReport) -> Figure | None:
    """Draw importances with their uncertainty; None with too few trials."""
    found = report.importances[:MOST][::-1]
    if not found:
        return None
    return Figure(
        key="importances",
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "x": numbers(i.share for i in found),
                "y": [plain(i.name) for i in found],
                "marker": {"color": "@accent"},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": numbers(max(i.high - i.share, 0) for i in found),
                    "arrayminus": numbers(max(i.share - i.low, 0) for i in found),
                    "color": "@muted",
                },
                "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
            }
        ],
        layout={
            "xaxis": axis("share of importance", tickformat=".0%", rangemode="tozero"),
            "yaxis": {"automargin": True, "type": "category"},
        },
        height=120 + 34 * len(found),
        caption="PED-ANOVA over complete trials; lines are 90 % percentile bootstrap "
        "intervals. Overlapping lines: too few trials to say which matters more.",
    )
