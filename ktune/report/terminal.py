"""Learning curves as characters, for terminals."""

from collections.abc import Sequence

import numpy as np

from ktune.diagnosis import TrialView
from ktune.report.figures.learning_curves import curve_names

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_EMPTY = 0x2800  # braille: 2 × 4 dots in a character

SIDES = (("train", "training"), ("val", "validation"))


def draw_trial(view: TrialView, *, width: int = 60, height: int = 10) -> str:
    """Return the loss and objective curves of a trial as text.

    Args:
        view: The trial.
        width: Columns of each plot, without its axis.
        height: Lines of each plot.

    Returns:
        Lines of at most ``width + 12`` columns; a sentence if there are no curves.
    """
    plots = [
        draw_curves(view, metric, width=width, height=height)
        for metric in curve_names(view)
    ]
    return "\n\n".join(plots) or "No curves of this trial were recorded."


def draw_curves(view: TrialView, metric: str, *, width: int, height: int) -> str:
    """Return a plot of the training and validation means of a metric."""
    curves = {
        label: curve.mean(axis=0)
        for side, label in SIDES
        if (curve := view.curve(f"{side}_{metric}")) is not None
    }
    finite = np.concatenate([c[np.isfinite(c)] for c in curves.values()])
    if not len(finite):
        return f"{metric}: not defined in any epoch"
    low, high = float(finite.min()), float(finite.max())
    grids = {
        label: _dots(curve, low, high, width, height) for label, curve in curves.items()
    }
    lines = _canvas(grids, low, high, width, height)
    epochs = len(next(iter(curves.values())))
    best = (view.result.best_epoch or 0) + 1
    foot = f"{'':>10}└{'─' * width}"
    numbers = f"{'':>11}1{epochs:>{width - 1}}"
    title = f"{metric} by epoch   ⣿ training   ░ validation (best epoch {best})"
    return "\n".join([title, *lines, foot, numbers])


def _canvas(
    grids: dict[str, np.ndarray], low: float, high: float, width: int, height: int
) -> list[str]:
    """Return the curves as lines of characters with the axis at the left."""
    train = grids.get("training", np.zeros((height * 4, width * 2), dtype=bool))
    validation = grids.get("validation", np.zeros_like(train))
    lines = []
    for row in range(height):
        cells = [_cell(train, validation, row, column) for column in range(width)]
        lines.append(f"{_mark(row, height, low, high):>9} │{''.join(cells)}".rstrip())
    return lines


def _cell(train: np.ndarray, validation: np.ndarray, row: int, column: int) -> str:
    part = slice(4 * row, 4 * row + 4), slice(2 * column, 2 * column + 2)
    dots = train[part]
    if not dots.any():
        return "░" if validation[part].any() else " "
    if validation[part].any():
        return "▒"
    code = sum(_DOTS[y][x] for y in range(4) for x in range(2) if dots[y, x])
    return chr(_EMPTY + code)


def _dots(
    curve: np.ndarray, low: float, high: float, width: int, height: int
) -> np.ndarray:
    """Return a curve as dots, shape (4 * height, 2 * width), top first."""
    grid = np.zeros((4 * height, 2 * width), dtype=bool)
    span = (high - low) or 1.0
    x = np.linspace(0, len(curve) - 1, 2 * width)
    y = np.interp(x, np.arange(len(curve)), curve)
    rows = ((high - y) / span * (4 * height - 1)).round()
    previous: int | None = None
    for column, row in enumerate(rows):
        if not np.isfinite(row):
            previous = None
            continue
        place = int(row)
        start, end = sorted((place, place if previous is None else previous))
        grid[start : end + 1, column] = True
        previous = place
    return grid


def _mark(row: int, height: int, low: float, high: float) -> str:
    """Return the label of the axis at a line; "" for most lines."""
    places: Sequence[int] = (0, height // 2, height - 1)
    if row not in places:
        return ""
    return f"{high - (high - low) * row / max(height - 1, 1):.4g}"
