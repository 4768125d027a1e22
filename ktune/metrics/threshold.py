"""The decision threshold of binary classification, tuned on out-of-fold predictions."""

from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.metrics.scores import compute_metrics

DEFAULT = 0.5
TUNE = "tune"

_TUNED_FOR = ("f1", "accuracy", "balanced_accuracy", "matthews_corrcoef", "jaccard")
"""Metrics for which a threshold is tuned. Precision and recall alone are best at the
extremes; ranking metrics and log loss do not depend on a threshold."""

_OF_LABELS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "jaccard",
)
"""Metrics that depend on the threshold."""

_MOST_CANDIDATES = 200


@dataclass(frozen=True)
class Threshold:
    """A decision threshold.

    Attributes:
        value: In (0, 1).
        metric: The metric it was tuned for; "" if the user has set it.
        score: Out-of-fold score at the threshold; None if the user has set it.
        score_at_half: Out-of-fold score at 0.5.
    """

    value: float
    metric: str = ""
    score: float | None = None
    score_at_half: float | None = None

    def describe(self) -> str:
        """Return the threshold and its scores as a sentence."""
        if self.score is None or self.score_at_half is None:
            return f"Decision threshold {self.value:.3f}, as given."
        return (
            f"Decision threshold {self.value:.3f}, tuned on out-of-fold predictions: "
            f"{self.metric} {self.score:.4f} there, {self.score_at_half:.4f} at 0.5."
        )


def tune_threshold(y: np.ndarray, predictions: np.ndarray, objective: str) -> Threshold:
    """Find the threshold with the best score of the out-of-fold predictions.

    Args:
        y: 0 or 1, shape (n,).
        predictions: Out-of-fold probability of class 1.
        objective: Objective of the search; if it does not depend on a threshold, F1
            is used.

    Source:
        The method of scikit-learn's TunedThresholdClassifierCV.
    """
    metric = objective if objective in _TUNED_FOR else _TUNED_FOR[0]
    predictions = predictions.astype(np.float64)
    values = [*_candidates(predictions), DEFAULT]
    scores = [_score(metric, y, predictions, value) for value in values]
    best = np.nanmax(scores)
    # Of equally good thresholds take the nearest to 0.5, the smallest change.
    equal = [v for v, s in zip(values, scores, strict=True) if s >= best - 1e-12]
    value = min(equal, key=lambda v: abs(v - DEFAULT))
    return Threshold(float(value), metric, float(best), float(scores[-1]))


def cut_at(predictions: np.ndarray, threshold: float) -> np.ndarray:
    """Rescale probabilities so that the threshold becomes 0.5.

    Their order is kept, so metrics that cut at 0.5 apply the threshold.
    """
    below = 0.5 * predictions / threshold
    above = 0.5 + 0.5 * (predictions - threshold) / (1 - threshold)
    return np.where(predictions <= threshold, below, above)


def of_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the metrics that depend on the threshold."""
    return tuple(name for name in names if name in _OF_LABELS)


def _candidates(predictions: np.ndarray) -> np.ndarray:
    """Return the midpoints between neighbouring probabilities, at most 200."""
    levels = np.unique([0.0, *predictions, 1.0])
    middles = (levels[1:] + levels[:-1]) / 2
    if len(middles) > _MOST_CANDIDATES:
        at = np.linspace(0, len(middles) - 1, _MOST_CANDIDATES).astype(np.int64)
        middles = middles[at]
    return middles


def _score(metric: str, y: np.ndarray, predictions: np.ndarray, at: float) -> float:
    rescaled = cut_at(predictions, at)
    return compute_metrics((metric,), y, rescaled, Task.BINARY)[metric]
