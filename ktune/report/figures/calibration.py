"""Reliability diagram: accuracy over confidence."""

from collections.abc import Sequence
from typing import Any

from ktune.diagnosis import NotApplicable, TrialView
from ktune.diagnosis.out_of_fold import Bin, read_out_of_fold, reliability
from ktune.metrics.calibration import calibration_error
from ktune.report.figures.figure import Figure, axis, numbers


def calibration_figure(view: TrialView) -> Figure | None:
    """Draw accuracy over confidence; None without probabilities."""
    try:
        out_of_fold = read_out_of_fold(view.result.out_of_fold)
        bins = reliability(out_of_fold, view.context.task)
    except NotApplicable:
        return None
    lowest = min(min(b.confidence, b.accuracy) for b in bins)
    start = max(0.0, round(lowest - 0.05, 1))
    return Figure(
        key="calibration",
        data=[_diagonal(start), _reliability_curve(bins)],
        layout={
            "xaxis": axis("probability of the predicted class", range=[start, 1.02]),
            "yaxis": axis("accuracy", rangemode="normal"),
        },
        caption=f"Expected calibration error {calibration_error(bins):.3f}. Below the "
        "dashed line the model is overconfident. Bars are 95 % intervals; all points "
        "have the same number of rows.",
    )


def _diagonal(start: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [start, 1],
        "y": [start, 1],
        "name": "perfectly calibrated",
        "line": {"color": "@muted", "dash": "dash", "width": 1.5},
        "hoverinfo": "skip",
    }


def _reliability_curve(bins: Sequence[Bin]) -> dict[str, Any]:
    errors = [(b.accuracy * (1 - b.accuracy) / b.n_rows) ** 0.5 for b in bins]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": numbers(b.confidence for b in bins),
        "y": numbers(b.accuracy for b in bins),
        "error_y": {
            "type": "data",
            "array": numbers(1.96 * e for e in errors),
            "color": "@accent",
            "thickness": 1,
        },
        "customdata": [b.n_rows for b in bins],
        "name": "this model",
        "line": {"color": "@accent", "width": 2.5},
        "marker": {"size": 8, "color": "@accent"},
        "hovertemplate": "confidence %{x:.3f}, accuracy %{y:.3f}"
        "<br>%{customdata} rows<extra></extra>",
    }
