"""Trials by two objectives, with the Pareto front."""

from typing import Any

from ktune.diagnosis import TrialView, Verdict
from ktune.metrics.ranking import front_of_results
from ktune.metrics.scores import COSTS, Objective
from ktune.report.figures.figure import Figure, axis, numbers, verdict_points
from ktune.report.view import SearchReport


def pareto(report: SearchReport) -> Figure | None:
    """Draw the first objective over the second; None for a single objective."""
    goal = report.context.goal
    trials = [view for view in report.ranked if view.result.scores]
    if goal.is_single or not trials:
        return None
    first, second = goal.objectives[:2]
    return Figure(
        key="pareto",
        data=[*_points(report, trials), _front_line(report, trials)],
        layout={
            "xaxis": _axis(second),
            "yaxis": axis(first.metric),
            "showlegend": True,
        },
        height=380,
        caption="On the line: trials that no other trial dominates. Trial "
        f"{trials[0].number} was selected by the rule {goal.pick!r}.",
    )


def _axis(objective: Objective) -> dict[str, Any]:
    if objective.metric in COSTS:
        return axis(objective.metric, type="log", tickformat="~s", dtick="D2")
    return axis(objective.metric)


def _points(report: SearchReport, trials: list[TrialView]) -> list[dict[str, Any]]:
    groups: dict[Verdict, list[TrialView]] = {}
    for view in trials:
        groups.setdefault(report.diagnosis.trials[view.number].verdict, []).append(view)
    return [
        {
            **verdict_points(
                verdict,
                numbers(view.result.scores[1] for view in group),
                numbers(view.result.scores[0] for view in group),
                [f"trial {view.number}" for view in group],
            ),
            "hovertemplate": "%{text}<br>%{y:.4g} at %{x:,.4g}"
            "<extra>%{fullData.name}</extra>",
        }
        for verdict, group in groups.items()
    ]


def _front_line(report: SearchReport, trials: list[TrialView]) -> dict[str, Any]:
    results = ((view.trial, view.result) for view in trials)
    front = front_of_results(results, report.context.goal)
    scores = sorted((s.scores[1], s.scores[0]) for s in front)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "x": numbers(x for x, _ in scores),
        "y": numbers(y for _, y in scores),
        "line": {"color": "@accent", "width": 2, "dash": "dot"},
        "hoverinfo": "skip",
    }
