"""Parallel coordinates: trials as lines through their hyperparameters."""

from typing import Any

from ktune.report.figures.figure import Figure, numbers, plain, shown
from ktune.report.figures.scales import ends, place, rank_groups, varied_parameters
from ktune.report.view import SearchReport
from ktune.trial import TrialState
from ktune.utils.text import shortened

MOST = 8
N_GROUPS = 5
GROUP_NAMES = ("best fifth", "2nd", "3rd", "4th", "last fifth")


def parallel_coordinates(report: SearchReport) -> Figure | None:
    """Draw lines coloured by rank; None with fewer than two varied parameters.

    Plotly's own parallel coordinates need WebGL, which is missing in prints, on
    phones and on remote desktops, so the lines are plain ones.
    """
    parameters = varied_parameters(report)[:MOST]
    ranked = [v for v in report.ranked if v.result.state is TrialState.COMPLETE]
    if len(parameters) < 2 or len(ranked) < N_GROUPS:
        return None
    data: list[dict[str, Any]] = []
    for group, trials in enumerate(rank_groups(ranked, N_GROUPS)):
        x: list[float | None] = []
        y: list[float | None] = []
        text: list[str | None] = []
        for view in trials:
            for column, parameter in enumerate(parameters):
                value = view.trial.values.get(parameter.name)
                x.append(column)
                y.append(None if value is None else place(parameter, value))
                label = "inactive" if value is None else shown(value)
                text.append(f"trial {view.number}: {plain(parameter.name)} = {label}")
            x.append(None)
            y.append(None)
            text.append(None)
        data.insert(0, _lines(group, x, y, text))
    return Figure(
        key="parallel",
        data=data,
        layout=_layout(parameters),
        height=420,
        caption="One line per trial, most important parameter first. Good values lie "
        "where the dark lines meet. Click on the legend to hide a group.",
    )


def _lines(group: int, x: list[Any], y: list[Any], text: list[Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": GROUP_NAMES[group],
        "legendrank": group + 1,
        "x": x,
        "y": numbers(y),
        "text": text,
        "line": {"color": f"@rank{group + 1}", "width": 2.2 if group == 0 else 1.2},
        "opacity": 0.95 if group == 0 else 0.6,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _layout(parameters: list[Any]) -> dict[str, Any]:
    notes = []
    for column, parameter in enumerate(parameters):
        low, high = ends(parameter)
        for text, y, anchor in ((low, -0.02, "top"), (high, 1.02, "bottom")):
            notes.append(
                {
                    "x": column,
                    "y": y,
                    "text": text,
                    "showarrow": False,
                    "yanchor": anchor,
                    "font": {"size": 11, "color": "@muted"},
                }
            )
    names = [plain(shortened(parameter.name, 20)) for parameter in parameters]
    return {
        "xaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "tickangle": -30 if len(names) > 4 else 0,
            "showgrid": True,
            "gridwidth": 2,
            "automargin": True,
            "range": [-0.3, len(names) - 0.7],
        },
        "yaxis": {"visible": False, "range": [-0.12, 1.12]},
        "annotations": notes,
    }
