"""Calibration of probabilities: reliability bins and the calibration error."""

from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task

CALIBRATION_ERROR = "calibration_error"
"""Expected calibration error of class probabilities; scikit-learn has no scorer."""

N_BINS = 10


@dataclass(frozen=True)
class Bin:
    """A bin of rows with similar confidence.

    Attributes:
        confidence: Mean probability of the predicted class.
        accuracy: Share of rows whose predicted class is right.
        n_rows: Number of rows.
    """

    confidence: float
    accuracy: float
    n_rows: int


def reliability_bins(
    y: np.ndarray, prediction: np.ndarray, task: Task
) -> tuple[Bin, ...]:
    """Return bins of equal size, by the probability of the predicted class.

    Args:
        y: Class numbers, shape (n,).
        prediction: Probability of class 1, shape (n,), or of each class, (n, k).
        task: Binary or multiclass.
    """
    confidence, is_right = _confidence(y, prediction.astype(np.float64), task)
    order = np.argsort(confidence, kind="stable")
    return tuple(
        Bin(float(confidence[part].mean()), float(is_right[part].mean()), len(part))
        for part in np.array_split(order, min(N_BINS, len(order)))
        if len(part)
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the mean distance between confidence and accuracy, weighted by rows.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv
        1706.04599 (expected calibration error; here with bins of equal size).
    """
    weights = [b.n_rows for b in bins]
    return float(
        np.average([abs(b.confidence - b.accuracy) for b in bins], weights=weights)
    )


def _confidence(
    y: np.ndarray, prediction: np.ndarray, task: Task
) -> tuple[np.ndarray, np.ndarray]:
    if task is Task.BINARY:
        predicted = (prediction > 0.5).astype(np.int64)
        return np.where(predicted == 1, prediction, 1 - prediction), predicted == y
    rows = prediction / np.maximum(prediction.sum(axis=1, keepdims=True), 1e-9)
    return rows.max(axis=1), rows.argmax(axis=1) == y
