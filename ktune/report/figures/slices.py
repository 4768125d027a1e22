"""Score over one hyperparameter at a time."""

from typing import Any

from ktune.diagnosis import Verdict
from ktune.report.figures.figure import (
    Figure,
    axis,
    numbers,
    shown,
    verdict_points,
)
from ktune.report.figures.scales import varied_parameters
from ktune.report.view import SearchReport
from ktune.trial import TrialState

MOST = 6


def slices(report: SearchReport) -> list[Figure]:
    """Draw a small figure for each parameter, most important first."""
    parameters = varied_parameters(report)[:MOST]
    return [_slice(report, p, index) for index, p in enumerate(parameters)]


def _slice(report: SearchReport, parameter: Any, index: int) -> Figure:
    is_number = parameter.low is not None
    groups: dict[Verdict, tuple[list[Any], list[float], list[str]]] = {}
    for view in report.ranked:
        value = view.trial.values.get(parameter.name)
        if value is None or view.result.state is not TrialState.COMPLETE:
            continue
        verdict = report.diagnosis.trials[view.number].verdict
        x, y, text = groups.setdefault(verdict, ([], [], []))
        x.append(value if is_number else shown(value))
        y.append(float(view.result.score or 0))
        text.append(f"trial {view.number}: {shown(value)}")
    data = [
        {
            **verdict_points(verdict, numbers(x) if is_number else x, numbers(y), text),
            "hovertemplate": "%{text}<br>%{y:.4g}<extra>%{fullData.name}</extra>",
        }
        for verdict, (x, y, text) in groups.items()
    ]
    kind = "category" if not is_number else "log" if parameter.is_log else "linear"
    is_count = parameter.step == 1 and parameter.high - parameter.low <= 10
    extra = {"dtick": 1} if kind == "log" or (is_number and is_count) else {}
    return Figure(
        key=f"slice-{index}",
        data=data,
        layout={
            "xaxis": axis(parameter.name, type=kind, **extra),
            "yaxis": axis(report.metric),
            "showlegend": False,
        },
        height=260,
    )
