"""All trials by score and gap, coloured by verdict."""

from ktune.diagnosis import Verdict
from ktune.report.figures.figure import (
    Figure,
    axis,
    numbers,
    verdict_points,
)
from ktune.report.view import SearchReport


def gap_map(report: SearchReport) -> Figure | None:
    """Draw the gap between training and validation over the score."""
    metric = report.metric
    sign = 1.0 if report.context.objective.direction == "max" else -1.0
    groups: dict[Verdict, list[tuple[float, float, int]]] = {}
    for view in report.ranked:
        validation = view.result.mean(metric)
        gap = sign * (view.result.mean(metric, "train") - validation)
        verdict = report.diagnosis.trials[view.number].verdict
        groups.setdefault(verdict, []).append((validation, gap, view.number))
    if not groups:
        return None
    data = [
        {
            **verdict_points(
                verdict,
                numbers(point[0] for point in groups[verdict]),
                numbers(point[1] for point in groups[verdict]),
                [f"trial {point[2]}" for point in groups[verdict]],
            ),
            "hovertemplate": "%{text}<br>"
            "score %{x:.4g}<br>gap %{y:.4g}<extra>%{fullData.name}</extra>",
        }
        for verdict in Verdict
        if verdict in groups
    ]
    best = "right" if sign > 0 else "left"
    return Figure(
        key="gap-map",
        data=data,
        layout={
            "xaxis": axis(f"validation {metric}"),
            "yaxis": axis(f"gap in {metric}", zeroline=True),
            "showlegend": True,
        },
        height=380,
        caption=f"Best at the bottom {best}: a good score with a small gap. At the "
        "top: training rows are fitted much better than validation rows.",
    )
