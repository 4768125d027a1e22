"""The figures of a comparison."""

from typing import Any

from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Standing, pareto_front
from ktune.metrics.scores import N_PARAMETERS
from ktune.report.comparison.view import Comparison, Contender
from ktune.report.figures.figure import (
    VERDICT_SYMBOLS,
    Figure,
    axis,
    numbers,
    plain,
)
from ktune.report.figures.learning_curves import curve_names
from ktune.trial import TrialState


def comparison_figures(comparison: Comparison) -> dict[str, Any]:
    """Return all figures by their name in the template."""
    return {
        "curves": overlaid_curves(comparison),
        "differences": differences(comparison),
        "pareto": pareto(comparison),
    }


def overlaid_curves(comparison: Comparison) -> list[Figure]:
    """Draw the curves of all contenders on common axes, one figure for each metric."""
    metric = comparison.objective.metric
    shared = [
        name
        for name in dict.fromkeys(["loss", metric])
        if all(name in curve_names(c.view) for c in comparison.contenders)
    ]
    return [_overlay(comparison, name) for name in shared]


def _overlay(comparison: Comparison, metric: str) -> Figure:
    data = []
    for index, contender in enumerate(comparison.contenders):
        for side, dash, width in (("val", "solid", 2.5), ("train", "dot", 1.5)):
            data.append(_curve(contender, index, metric, side, dash, width))
    return Figure(
        key=f"overlay-{'loss' if metric == 'loss' else 'objective'}",
        data=data,
        layout={"xaxis": axis("epoch"), "yaxis": axis(metric)},
        height=360,
        caption="Solid: validation. Dotted: training. Means over folds.",
    )


def _curve(
    contender: Contender, index: int, metric: str, side: str, dash: str, width: float
) -> dict[str, Any]:
    curve = contender.view.curve(f"{side}_{metric}")
    assert curve is not None
    label = plain(contender.label)
    return {
        "type": "scatter",
        "mode": "lines" if curve.shape[1] > 1 else "markers",
        "x": list(range(1, curve.shape[1] + 1)),
        "y": numbers(curve.mean(axis=0)),
        "name": label,
        "legendgroup": label,
        "showlegend": side == "val",
        "line": {"color": f"@line{index + 1}", "dash": dash, "width": width},
        "hovertemplate": f"epoch %{{x}}: %{{y:.4g}}<extra>{label}, {side}</extra>",
    }


def differences(comparison: Comparison) -> Figure | None:
    """Draw the interval of each difference from the first contender."""
    tested = [d for d in comparison.duels if d.difference is not None][::-1]
    if not tested:
        return None
    intervals = [d.difference for d in tested if d.difference is not None]
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": numbers(d.mean for d in intervals),
            "y": [plain(duel.other) for duel in tested],
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": numbers(d.high - d.mean for d in intervals),
                "arrayminus": numbers(d.mean - d.low for d in intervals),
                "color": "@accent",
                "thickness": 2,
            },
            "marker": {"size": 11, "color": "@accent"},
            "hovertemplate": "%{y}: %{x:+.4f}<extra></extra>",
        }
    ]
    metric = comparison.objective.metric
    return Figure(
        key="differences",
        data=data,
        layout={
            "xaxis": axis(f"{metric} minus that of the first", zeroline=True),
            "yaxis": {"type": "category", "automargin": True},
            "shapes": [_zero_line()],
            "showlegend": False,
        },
        height=130 + 44 * len(tested),
        caption="95 % intervals. If an interval contains 0, the difference is not "
        "significant.",
    )


def _zero_line() -> dict[str, Any]:
    return {
        "type": "line",
        "x0": 0,
        "x1": 0,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": "@muted", "dash": "dash", "width": 1.5},
    }


def pareto(comparison: Comparison) -> Figure | None:
    """Draw score over size, with the Pareto front marked."""
    sized = [c for c in comparison.contenders if c.view.result.n_parameters]
    if len(sized) < 2:
        return None
    metric = comparison.objective.metric
    front = on_front(comparison)
    data = [
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": plain(contender.label),
            "x": [contender.view.result.n_parameters],
            "y": numbers([contender.view.result.mean(metric)]),
            "text": [plain(contender.label.split(" ")[0])],
            "textposition": "top center",
            "marker": {
                "size": 14 if contender.label in front else 9,
                "symbol": VERDICT_SYMBOLS[contender.diagnosis.verdict],
                "color": f"@line{comparison.contenders.index(contender) + 1}",
            },
            "hovertemplate": "%{x:,} parameters, %{y:.4f}"
            f"<extra>{plain(contender.label)}</extra>",
        }
        for contender in sized
    ]
    return Figure(
        key="pareto",
        data=data,
        layout={
            "xaxis": axis("parameters", type="log", tickformat="~s", dtick="D2"),
            "yaxis": axis(metric),
            "showlegend": False,
        },
        height=340,
        caption="Large: on the Pareto front, no other trial is smaller and better.",
    )


def on_front(comparison: Comparison) -> set[str]:
    """Return the labels of the contenders on the Pareto front of score and size."""
    contenders, objective = comparison.contenders, comparison.objective
    standings = [
        Standing(
            number=position,
            state=TrialState.COMPLETE,
            scores=(
                contender.view.result.mean(objective.metric),
                contender.view.result.n_parameters or 0,
            ),
        )
        for position, contender in enumerate(contenders)
    ]
    front = pareto_front(standings, (objective, make_objective(N_PARAMETERS)))
    return {contenders[standing.number].label for standing in front}
