"""Scores of rows with weights; metrics that take none are computed without."""

import numpy as np

from ktune.data.dataset import Task
from ktune.metrics.predictions import predicted_classes
from ktune.metrics.proper_scores import row_losses


def weighted_score(
    name: str, y: np.ndarray, predictions: np.ndarray, task: Task, weights: np.ndarray
) -> float:
    """Return one score of rows with weights, as scikit-learn's ``sample_weight``.

    Args:
        name: Canonical metric name, without ``loss``.
        y: Targets as in ``Dataset.y``.
        predictions: In the form of `ktune.metrics.scores.compute_metrics`.
        task: Task of ``y``.
        weights: Weight of every row.
    """
    from ktune.metrics.scorers import score

    if task is Task.REGRESSION and name in ("mae", "mse", "rmse", "r2"):
        return _of_errors(name, y, predictions, weights)
    if name == "accuracy":
        is_right = predicted_classes(predictions, task) == y
        right = is_right if is_right.ndim == 1 else is_right.all(axis=1)
        return float(np.average(right, weights=weights))
    if name == "log_loss":
        return float(np.average(row_losses(y, predictions, task), weights=weights))
    return score(name, y, predictions, task, weights)


def _of_errors(
    name: str, y: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> float:
    y = y.astype(np.float64)
    error = predictions.reshape(y.shape) - y
    if name == "mae":
        return float(np.mean(np.average(np.abs(error), axis=0, weights=weights)))
    squared = np.average(error**2, axis=0, weights=weights)
    if name == "r2":
        mean = np.average(y, axis=0, weights=weights)
        spread = np.average((y - mean) ** 2, axis=0, weights=weights)
        has_spread = bool(np.all(spread > 0))
        return float(np.mean(1 - squared / spread)) if has_spread else float("nan")
    mse = float(np.mean(squared))
    return mse if name == "mse" else float(np.sqrt(mse))
