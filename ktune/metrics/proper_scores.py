"""Proper scoring rules: losses of single rows, least for the true probabilities.

Accuracy counts rows and is equal for many trials. Log loss and squared error differ as
soon as predictions do, and are convex: the mean of several predictions never has a
larger loss than these have on average.

Source:
    Gneiting & Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation,
    Journal of the American Statistical Association 102 (2007).
"""

import math
from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task

SMALLEST = float(np.finfo(np.float32).eps)
"""Smallest likelihood of a row, so that one certain mistake is not infinitely bad."""

_CONFIDENCE = 1.96
"""Standard errors in half a 95 % interval."""


def proper_metric(task: Task) -> str:
    """Return the metric that is the mean of `row_losses`."""
    return "mse" if task is Task.REGRESSION else "log_loss"


def tie_breaker(objective: str, task: Task) -> str:
    """Return the metric that breaks ties of an objective; "" if it is one itself.

    It is the root of the squared error, which is recorded, and has the same order; of
    a custom task the model's own loss.
    """
    if objective in ("loss", "log_loss", "mse", "rmse", "r2"):
        return ""
    if task is Task.CUSTOM:
        return "loss"
    return "rmse" if task is Task.REGRESSION else "log_loss"


def row_losses(y: np.ndarray, predictions: np.ndarray, task: Task) -> np.ndarray:
    """Return the loss of every row, shape (n,): log loss or squared error.

    Args:
        y: Targets as in ``Dataset.y``.
        predictions: In the form of `ktune.metrics.scores.compute_metrics`.
        task: Task of ``y``.
    """
    if task is Task.REGRESSION:
        error = predictions.reshape(y.shape) - y.astype(np.float64)
        return _mean_over_columns(error**2)
    if task is Task.MULTICLASS:
        likelihood = predictions[np.arange(len(y)), y] / predictions.sum(axis=1)
    else:
        likelihood = np.where(y == 1, predictions, 1 - predictions)
    return _mean_over_columns(negative_log(likelihood))


def negative_log(likelihood: np.ndarray) -> np.ndarray:
    """Return the negative logarithm of likelihoods, never infinite."""
    return np.asarray(-np.log(np.clip(likelihood, SMALLEST, 1.0).astype(np.float64)))


@dataclass(frozen=True)
class PairedGain:
    """Mean difference of the losses of two models on the same rows, with its interval.

    Attributes:
        mean: Positive if the second model is better.
        low: Lower end of the 95 % interval.
        high: Its upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the second model is better by more than the noise of the rows."""
        return self.low > 0

    def __str__(self) -> str:
        if self.mean >= 0:
            return f"better by {self.mean:.4f} [{self.low:+.4f}, {self.high:+.4f}]"
        return f"worse by {-self.mean:.4f} [{-self.high:+.4f}, {-self.low:+.4f}]"


def paired_gain(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None
) -> PairedGain:
    """Compare the losses of two models row by row.

    Args:
        first: Losses of the first model, shape (n,).
        second: Losses of the second model for the same rows.
        weights: Weight of every row; None: all rows count the same.

    Example:
        >>> print(paired_gain(np.array([1.0, 0.9, 0.8]), np.array([0.5, 0.3, 0.3])))
        better by 0.5333 [+0.4800, +0.5867]
    """
    differences = first - second
    weights = np.ones(len(differences)) if weights is None else weights
    shares = weights / weights.sum()
    mean = float(shares @ differences)
    error = math.sqrt(float(shares**2 @ (differences - mean) ** 2))
    return PairedGain(mean, mean - _CONFIDENCE * error, mean + _CONFIDENCE * error)


def _mean_over_columns(losses: np.ndarray) -> np.ndarray:
    return losses.reshape(len(losses), -1).mean(axis=1)
