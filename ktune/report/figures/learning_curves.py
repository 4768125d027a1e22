"""Learning curves of a trial: training and validation, with the spread of folds."""

from typing import Any

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis import TrialView
from ktune.report.figures.figure import Figure, axis, band, numbers

MOST_PANELS = 4

SIDES = (("train", "training", "@train"), ("val", "validation", "@validation"))


def learning_curves(view: TrialView) -> Figure | None:
    """Draw loss and objective of a trial side by side; None without curves."""
    metrics = curve_names(view)
    if not metrics:
        return None
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"shapes": []}
    for panel, metric in enumerate(metrics):
        data += _panel(view, metric, panel)
        layout |= _axes(metric, panel, len(metrics))
        layout["shapes"].append(_best_epoch(view, panel))
    return Figure(
        key=f"curves-{view.number}",
        data=data,
        layout=layout,
        caption="Line: mean over folds. Band: lowest to highest fold. Dotted: the "
        "best epoch.",
    )


def curve_names(view: TrialView) -> list[str]:
    """Return the loss and the objective; for the loss as objective, also a metric.

    Of a custom task, also further metrics of the model.
    """
    objective = view.context.objective.metric
    if view.context.task is Task.CUSTOM:
        wanted = list(dict.fromkeys(["loss", objective, *_own_metrics(view)]))
        return [n for n in wanted if view.curve(f"val_{n}") is not None][:MOST_PANELS]
    default = "r2" if view.context.task is Task.REGRESSION else "accuracy"
    second = objective if objective != "loss" else default
    wanted = ["loss", second]
    return [name for name in wanted if view.curve(f"val_{name}") is not None]


def _own_metrics(view: TrialView) -> list[str]:
    prefix = "val_"
    return [n.removeprefix(prefix) for n in view.result.curves if n.startswith(prefix)]


def _panel(view: TrialView, metric: str, panel: int) -> list[dict[str, Any]]:
    traces = []
    place = {"xaxis": f"x{panel + 1}", "yaxis": f"y{panel + 1}"}
    for side, label, colour in SIDES:
        curve = view.curve(f"{side}_{metric}")
        if curve is None:
            continue
        epochs = list(range(1, curve.shape[1] + 1))
        if len(curve) > 1:
            traces.append(
                band(epochs, curve.min(axis=0), curve.max(axis=0), colour, **place)
            )
        traces.append(
            {
                "type": "scatter",
                "mode": "lines" if len(epochs) > 1 else "markers",
                "x": epochs,
                "y": numbers(np.mean(curve, axis=0)),
                "name": label,
                "legendgroup": label,
                "showlegend": panel == 0,
                "line": {"color": colour, "width": 2.5},
                "hovertemplate": f"epoch %{{x}}: %{{y:.4g}}<extra>{label}</extra>",
                **place,
            }
        )
    return traces


def _axes(metric: str, panel: int, n_panels: int) -> dict[str, Any]:
    number = panel + 1
    gap = 0.28 / n_panels
    width = (1 - gap * (n_panels - 1)) / n_panels
    left = panel * (width + gap)
    domain = [left, min(left + width, 1.0)]
    return {
        f"xaxis{number}": axis("epoch", domain=domain, anchor=f"y{number}"),
        f"yaxis{number}": axis(metric, anchor=f"x{number}"),
    }


def _best_epoch(view: TrialView, panel: int) -> dict[str, Any]:
    epoch = (view.result.best_epoch or 0) + 1
    number = panel + 1
    return {
        "type": "line",
        "x0": epoch,
        "x1": epoch,
        "y0": 0,
        "y1": 1,
        "xref": f"x{number}",
        "yref": f"y{number} domain",
        "line": {"color": "@muted", "width": 1.5, "dash": "dot"},
    }
