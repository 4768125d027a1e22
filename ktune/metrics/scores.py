"""Metrics: names, directions and functions that score predictions.

*Curve metrics* are computed after every epoch for every fold, so numpy computes them
from one confusion matrix (the input checks of a scikit-learn scorer take a
millisecond, more than an epoch of a small model). All other metrics are computed by
scikit-learn, at the best epoch only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.metrics.calibration import CALIBRATION_ERROR
from ktune.metrics.predictions import confusion_matrix, predicted_classes
from ktune.metrics.proper_scores import negative_log
from ktune.metrics.weighted import weighted_score
from ktune.utils.text import did_you_mean

Direction: TypeAlias = Literal["max", "min"]

LOSS = "loss"
"""The loss of the compiled model, computed by the trainer."""

N_PARAMETERS = "n_parameters"
LATENCY = "latency_ms"

COSTS = (N_PARAMETERS, LATENCY)
"""Costs of a model, which may be objectives beside a metric."""

DEFAULT_METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("accuracy", "precision", "recall", "f1", "log_loss", "roc_auc"),
    Task.MULTICLASS: (
        "accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "log_loss",
        "roc_auc_ovr",
    ),
    Task.MULTILABEL: (
        "accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "log_loss",
    ),
    Task.REGRESSION: ("mae", "rmse", "r2"),
    Task.CUSTOM: (),  # the compiled metrics of the model
}

LOWER_IS_BETTER = {LOSS, "log_loss", "mae", "mse", "rmse", CALIBRATION_ERROR}

_KERAS_NAMES = {
    "acc": "accuracy",
    "binary_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "auc": "roc_auc",
    "f1_score": "f1_macro",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
    "r2_score": "r2",
}

COMPILED_NAMES = (
    *_KERAS_NAMES,
    *("accuracy", "precision", "recall", "mae", "mse", "rmse", LOSS),
)
"""Names of Keras's metrics that ktune has metrics of its own for, and the loss."""

_CURVE_METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("accuracy", "precision", "recall", "f1", "log_loss"),
    Task.MULTICLASS: (
        "accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "log_loss",
        "balanced_accuracy",
    ),
    Task.MULTILABEL: DEFAULT_METRICS[Task.MULTILABEL],
    Task.REGRESSION: ("mae", "mse", "rmse", "r2"),
    Task.CUSTOM: (),
}


@dataclass(frozen=True)
class Objective:
    """A metric whose mean over the folds a search optimises, and its direction."""

    metric: str
    direction: Direction

    @property
    def worst(self) -> float:
        """The worst possible value."""
        return -np.inf if self.direction == "max" else np.inf

    def is_better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better than ``than``."""
        return value > than if self.direction == "max" else value < than


def canonical_name(name: str) -> str:
    """Return the canonical name of a metric: ``accuracy`` for ``val_acc``.

    Raises:
        ExperimentError: There is no such metric.
    """
    bare = name.removeprefix("val_")
    bare = _KERAS_NAMES.get(bare, bare)
    if bare in _own_metrics() or bare in known_metrics():
        return bare
    shown = sorted({m for names in DEFAULT_METRICS.values() for m in names})
    raise ExperimentError(
        f"{name!r} is not a metric. Known: {', '.join([LOSS, *shown])} and "
        "scikit-learn's scorer names."
        + did_you_mean(name, [*known_metrics(), *_with_val(known_metrics())])
    )


def is_known(name: str) -> bool:
    """Whether ktune can compute a metric of this name from predictions, or the loss."""
    bare = name.removeprefix("val_")
    bare = _KERAS_NAMES.get(bare, bare)
    return bare in _own_metrics() or bare in known_metrics()


def known_metrics() -> list[str]:
    """Return the names of all metrics, for any task."""
    from sklearn.metrics import get_scorer_names

    return sorted({*_own_metrics(), *get_scorer_names()})


def metrics_of_task(task: Task, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the default metrics of a task, then ``extra`` ones, without repeats."""
    return tuple(dict.fromkeys([*DEFAULT_METRICS[task], *extra]))


def curve_metrics(task: Task, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the wanted metrics that are computed after every epoch."""
    return tuple(name for name in wanted if name in _CURVE_METRICS[task])


def compute_metrics(
    names: tuple[str, ...],
    y: np.ndarray,
    predictions: np.ndarray,
    task: Task,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """Score predictions by several metrics.

    Args:
        names: Canonical metric names, without ``loss``.
        y: Targets as in ``Dataset.y``.
        predictions: Probability of class 1, shape (n,), for binary; probabilities of
            classes or labels, shape (n, k); or predicted values, shaped like ``y``.
        task: Task of ``y``.
        weights: Weight of every row; None: all rows count the same. A metric that
            takes no weights is computed without.

    Returns:
        Metric name to value; NaN where a metric is not defined on these rows.
    """
    if not names:
        return {}
    if weights is not None:
        return {n: weighted_score(n, y, predictions, task, weights) for n in names}
    found = _CURVE_FUNCTIONS[task](y, predictions)
    if not found.keys() >= set(names):
        from ktune.metrics.scorers import score

        missing = (name for name in names if name not in found)
        found |= {name: score(name, y, predictions, task) for name in missing}
    return {name: found[name] for name in names}


def _own_metrics() -> set[str]:
    """Return the names that are not only scorers of scikit-learn."""
    tables = (*DEFAULT_METRICS.values(), *_CURVE_METRICS.values())
    return {LOSS, CALIBRATION_ERROR, *(name for names in tables for name in names)}


def _with_val(names: list[str]) -> list[str]:
    return [f"val_{name}" for name in names]


def _binary_curve_metrics(y: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    counts = confusion_matrix(y, predicted_classes(predictions, Task.BINARY), 2)
    true_positive = counts[1, 1]
    precision = _ratio(true_positive, counts[:, 1].sum())
    recall = _ratio(true_positive, counts[1].sum())
    likelihood = np.where(y == 1, predictions, 1 - predictions)
    return {
        "accuracy": float(np.trace(counts) / len(y)),
        "precision": precision,
        "recall": recall,
        "f1": _ratio(2 * true_positive, counts[1].sum() + counts[:, 1].sum()),
        "log_loss": _mean_negative_log(likelihood),
    }


def _multiclass_curve_metrics(
    y: np.ndarray, predictions: np.ndarray
) -> dict[str, float]:
    counts = confusion_matrix(
        y, predicted_classes(predictions, Task.MULTICLASS), predictions.shape[1]
    )
    diagonal, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    # As in scikit-learn: average over classes that occur in targets or predictions.
    present = (true + predicted) > 0
    recall = diagonal[present] / np.maximum(true[present], 1)
    precision = diagonal[present] / np.maximum(predicted[present], 1)
    f1 = 2 * diagonal[present] / (true + predicted)[present]
    rows = predictions / predictions.sum(axis=1, keepdims=True)
    return {
        "accuracy": float(diagonal.sum() / len(y)),
        "precision_macro": float(precision.mean()),
        "recall_macro": float(recall.mean()),
        "f1_macro": float(f1.mean()),
        "balanced_accuracy": float(recall[true[present] > 0].mean()),
        "log_loss": _mean_negative_log(rows[np.arange(len(y)), y]),
    }


def _multilabel_curve_metrics(
    y: np.ndarray, predictions: np.ndarray
) -> dict[str, float]:
    labels = predicted_classes(predictions, Task.MULTILABEL)
    hits = (labels * y).sum(axis=0)
    true, predicted = y.sum(axis=0), labels.sum(axis=0)
    f1 = 2 * hits / np.maximum(true + predicted, 1)
    likelihood = np.where(y == 1, predictions, 1 - predictions)
    return {
        "accuracy": float((labels == y).all(axis=1).mean()),
        "precision_macro": float((hits / np.maximum(predicted, 1)).mean()),
        "recall_macro": float((hits / np.maximum(true, 1)).mean()),
        "f1_macro": float(f1.mean()),
        "log_loss": _mean_negative_log(likelihood),
    }


def _regression_curve_metrics(
    y: np.ndarray, predictions: np.ndarray
) -> dict[str, float]:
    y = y.astype(np.float64)
    error = predictions.reshape(y.shape) - y
    mse = float(np.mean(error**2))
    spread = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - np.sum(error**2, axis=0) / spread
    return {
        "mae": float(np.mean(np.abs(error))),
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "r2": float(np.mean(r2)) if np.all(spread > 0) else float("nan"),
    }


def _ratio(numerator: float, denominator: float) -> float:
    """Divide; 0 where the denominator is 0, as scikit-learn's ``zero_division=0``."""
    return float(numerator / denominator) if denominator else 0.0


def _mean_negative_log(likelihood: np.ndarray) -> float:
    return float(negative_log(likelihood).mean())


_CURVE_FUNCTIONS: Mapping[
    Task, Callable[[np.ndarray, np.ndarray], dict[str, float]]
] = {
    Task.BINARY: _binary_curve_metrics,
    Task.MULTICLASS: _multiclass_curve_metrics,
    Task.MULTILABEL: _multilabel_curve_metrics,
    Task.REGRESSION: _regression_curve_metrics,
}
