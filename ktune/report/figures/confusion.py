"""Confusion matrix of out-of-fold predictions."""

import numpy as np

from ktune.diagnosis import TrialView
from ktune.report.figures.figure import Figure, axis, numbers, plain
from ktune.utils.text import shortened

LARGEST_WITH_NUMBERS = 15


def confusion_figure(view: TrialView) -> Figure | None:
    """Draw the shares of each true class; None for regression."""
    if not view.result.confusion:
        return None
    counts = np.array(view.result.confusion, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = class_names(view, len(counts))
    heatmap = {
        "type": "heatmap",
        "z": [numbers(row) for row in shares],
        "x": names,
        "y": names,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "@surface"], [1, "@accent"]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "customdata": [[int(c) for c in row] for row in counts],
        "hovertemplate": "true %{y}, predicted %{x}<br>%{customdata} rows "
        "(%{z:.1%})<extra></extra>",
    }
    if len(counts) <= LARGEST_WITH_NUMBERS:
        heatmap |= {
            "text": [[f"{c:.0f}" for c in row] for row in counts],
            "texttemplate": "%{text}",
        }
    return Figure(
        key="confusion",
        data=[heatmap],
        layout={
            "xaxis": axis("predicted", type="category", side="bottom"),
            "yaxis": axis("true", type="category", autorange="reversed"),
        },
        height=min(620, 220 + 34 * len(counts)),
        caption="Numbers are counts of out-of-fold predictions; colours are shares of "
        "the true class.",
    )


def class_names(view: TrialView, n_classes: int) -> list[str]:
    """Return short, safe and distinct names of the classes."""
    names = view.context.class_names
    full = [str(names[k]) if k < len(names) else str(k) for k in range(n_classes)]
    cut = [shortened(name, 18) for name in full]
    if len(set(cut)) < len(cut):
        cut = [f"{name} ({k})" for k, name in enumerate(cut)]
    return [plain(name) for name in cut]
