"""Predicted classes, and the confusion matrix that counts them."""

import numpy as np

from ktune.data.dataset import Task


def predicted_classes(predictions: np.ndarray, task: Task) -> np.ndarray:
    """Return class numbers, shape (n,), or 0/1 labels, shape (n, k)."""
    if task is Task.MULTICLASS:
        return predictions.argmax(axis=1)
    return (predictions > 0.5).astype(np.int64)


def confusion_matrix(
    y: np.ndarray,
    predicted: np.ndarray,
    n_classes: int,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Count rows by [true class, predicted class], shape (n_classes, n_classes).

    Rows with weights count by them, rounded, and as many in all as there are rows.
    """
    pairs = y.astype(np.int64) * n_classes + predicted
    if weights is not None:
        shares = weights * (len(weights) / weights.sum())
        counts = np.bincount(pairs, shares, minlength=n_classes**2)
        return np.rint(counts).astype(np.int64).reshape(n_classes, n_classes)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
