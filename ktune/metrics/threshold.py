"""The probability from which on a row is called positive, tuned out of fold."""

from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.metrics.scores import compute_metrics

DEFAULT = 0.5
TUNE = "tune"

_TUNED_FOR = ("f1", "accuracy", "balanced_accuracy", "matthews_corrcoef", "jaccard")
"""Metrics worth tuning a threshold for. Precision and recall alone are best at the
ends, rankings and log loss do not know a threshold."""

_OF_LABELS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "jaccard",
)
"""Metrics that change with the threshold."""

_MOST_CANDIDATES = 200


@dataclass(frozen=True)
class Threshold:
    """Where probabilities are cut.

    Attributes:
        value: In (0, 1).
        metric: What it was tuned for; "" where it was given.
        score: Of the out-of-fold predictions cut there; None where it was given.
        score_at_half: The same, cut at 0.5.
    """

    value: float
    metric: str = ""
    score: float | None = None
    score_at_half: float | None = None

    def describe(self) -> str:
        """Say where it is and what it is worth."""
        if self.score is None or self.score_at_half is None:
            return f"Decision threshold {self.value:.3f}, as given."
        return (
            f"Decision threshold {self.value:.3f}, tuned on out-of-fold predictions: "
            f"{self.metric} {self.score:.4f} there, {self.score_at_half:.4f} at 0.5."
        )


def tune_threshold(y: np.ndarray, predictions: np.ndarray, objective: str) -> Threshold:
    """Find the threshold that is best on predictions of rows not trained on.

    Args:
        y: 0 or 1, shape (n,).
        predictions: Probability of class 1 by the fold that did not train on the row.
        objective: Of the search; tuned for if it depends on a threshold, else F1.

    Source:
        scikit-learn's TunedThresholdClassifierCV does the same on its own folds.
    """
    metric = objective if objective in _TUNED_FOR else _TUNED_FOR[0]
    predictions = predictions.astype(np.float64)
    values = [*_candidates(predictions), DEFAULT]
    scores = [_score(metric, y, predictions, value) for value in values]
    best = np.nanmax(scores)
    # Of equally good ones the nearest to a half: it asks for the least.
    equal = [v for v, s in zip(values, scores, strict=True) if s >= best - 1e-12]
    value = min(equal, key=lambda v: abs(v - DEFAULT))
    return Threshold(float(value), metric, float(best), float(scores[-1]))


def cut_at(predictions: np.ndarray, threshold: float) -> np.ndarray:
    """Return probabilities bent so that the threshold comes to lie at 0.5.

    Their order stays, so whatever cuts at a half cuts the given ones at the threshold.
    """
    below = 0.5 * predictions / threshold
    above = 0.5 + 0.5 * (predictions - threshold) / (1 - threshold)
    return np.where(predictions <= threshold, below, above)


def of_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the metrics that change with the threshold."""
    return tuple(name for name in names if name in _OF_LABELS)


def _candidates(predictions: np.ndarray) -> np.ndarray:
    """Return the middles between neighbouring probabilities, at most 200 of them."""
    levels = np.unique([0.0, *predictions, 1.0])
    middles = (levels[1:] + levels[:-1]) / 2
    if len(middles) > _MOST_CANDIDATES:
        at = np.linspace(0, len(middles) - 1, _MOST_CANDIDATES).astype(np.int64)
        middles = middles[at]
    return middles


def _score(metric: str, y: np.ndarray, predictions: np.ndarray, at: float) -> float:
    bent = cut_at(predictions, at)
    return compute_metrics((metric,), y, bent, Task.BINARY)[metric]
