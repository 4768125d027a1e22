"""The optimization history: scores of all trials, the best so far, the baselines."""

from typing import Any

from ktune.diagnosis import Verdict
from ktune.report.figures.figure import (
    VERDICT_COLOURS,
    VERDICT_SYMBOLS,
    Figure,
    axis,
    numbers,
)
from ktune.report.view import SearchReport

BASELINES = (
    ("constant", "constant prediction", "dot"),
    ("linear", "linear model", "dash"),
    ("trees", "small forest", "dashdot"),
)


def history(report: SearchReport) -> Figure | None:
    """Draw scores in the order of trials; None when no trial has a score."""
    scored = sorted(report.ranked, key=lambda view: view.number)
    if not scored:
        return None
    numbers_of_trials = [view.number for view in scored]
    data = [*_points(report), _best_so_far(report)]
    lines = _baseline_lines(report, numbers_of_trials[0], numbers_of_trials[-1])
    return Figure(
        key="history",
        data=[*lines, *data],
        layout={
            "xaxis": axis("trial"),
            "yaxis": axis(report.metric),
        },
        height=380,
        caption="Hollow: pruned trials, with the score at the epoch of pruning. "
        "Horizontal lines: simple models on the same folds.",
    )


def _points(report: SearchReport) -> list[dict[str, Any]]:
    groups: dict[Verdict, list[Any]] = {}
    for view in report.ranked:
        groups.setdefault(report.diagnosis.trials[view.number].verdict, []).append(view)
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": verdict.value,
            "x": [view.number for view in views],
            "y": numbers(view.result.score for view in views),
            "marker": {
                "color": VERDICT_COLOURS[verdict],
                "symbol": [
                    VERDICT_SYMBOLS[verdict]
                    + ("" if view.result.is_complete else "-open")
                    for view in views
                ],
                "size": 8,
            },
            "hovertemplate": "trial %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
        }
        for verdict, views in groups.items()
    ]


def _best_so_far(report: SearchReport) -> dict[str, Any]:
    is_better = report.context.objective.is_better
    x, y = [], []
    best = report.context.objective.worst
    for view in sorted(report.search.complete, key=lambda view: view.number):
        if view.result.score is not None and is_better(view.result.score, best):
            best = view.result.score
        x.append(view.number)
        y.append(best)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": x,
        "y": numbers(y),
        "line": {"shape": "hv", "color": "@text", "width": 2},
        "hoverinfo": "skip",
    }


def _baseline_lines(
    report: SearchReport, first: int, last: int
) -> list[dict[str, Any]]:
    baselines = report.context.baselines
    if baselines is None:
        return []
    lines = []
    for key, label, dash in BASELINES:
        score = getattr(baselines, key).get(report.metric)
        if score is not None:
            lines.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": label,
                    "x": [first, max(last, first + 1)],
                    "y": numbers([score, score]),
                    "line": {"color": "@muted", "dash": dash, "width": 1.5},
                    "hovertemplate": f"{label}: %{{y:.4g}}<extra></extra>",
                }
            )
    return lines
