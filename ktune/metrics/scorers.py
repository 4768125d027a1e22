"""Scores that scikit-learn or SciPy computes.

Importing them takes seconds, and reading a recorded search needs neither.
"""

import contextlib
import functools
import warnings

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.metrics.calibration import (
    CALIBRATION_ERROR,
    calibration_error,
    reliability_bins,
)
from ktune.metrics.predictions import predicted_classes


def score(
    name: str,
    y: np.ndarray,
    predictions: np.ndarray,
    task: Task,
    weights: np.ndarray | None = None,
) -> float:
    """Score by the scikit-learn scorer of this name; NaN where it is undefined.

    A scorer that takes no ``weights`` of rows is called without.
    """
    if name == CALIBRATION_ERROR:
        return _calibration_error(y, predictions, task)
    if task.is_classification and len(np.unique(y)) < 2:
        return float("nan")
    if weights is None and name == "roc_auc" and task is Task.BINARY:
        return _roc_auc(y == 1, predictions)
    if weights is None and name == "roc_auc_ovr" and task is Task.MULTICLASS:
        return _roc_auc_one_versus_rest(y, predictions)
    try:
        return _score_by_scikit_learn(name, y, predictions, task, weights)
    except (ValueError, AttributeError) as error:
        if _fits(name, task, y.shape[1:]):
            return float("nan")  # undefined for these rows: a class is absent, say
        raise ExperimentError(
            f"metric {name!r} cannot score a {task} task: {error}"
        ) from error


def _roc_auc(is_positive: np.ndarray, predictions: np.ndarray) -> float:
    """Return the probability that a positive row ranks above a negative one.

    Computed from the sum of ranks (Mann-Whitney), for every fold of every trial;
    scikit-learn's function takes ten times as long.
    """
    n_positive = int(is_positive.sum())
    n_pairs = n_positive * (len(is_positive) - n_positive)
    ranks = rankdata(predictions)[is_positive].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / n_pairs)


def _roc_auc_one_versus_rest(y: np.ndarray, predictions: np.ndarray) -> float:
    """Return the mean over classes; NaN if a class is absent."""
    n_classes = predictions.shape[1]
    if len(np.unique(y)) < n_classes:
        return float("nan")
    each = [_roc_auc(y == k, predictions[:, k]) for k in range(n_classes)]
    return float(np.mean(each))


def _calibration_error(y: np.ndarray, predictions: np.ndarray, task: Task) -> float:
    if not task.is_classification:
        raise ExperimentError(
            f"metric {CALIBRATION_ERROR!r} cannot score a {task} task: it is for the "
            "probabilities of classes."
        )
    return calibration_error(reliability_bins(y, predictions, task))


def _score_by_scikit_learn(
    name: str,
    y: np.ndarray,
    predictions: np.ndarray,
    task: Task,
    weights: np.ndarray | None = None,
) -> float:
    replay = _Classifier if task is not Task.REGRESSION else _Regressor
    with warnings.catch_warnings():
        # Scorers warn of undefined values, for every fold of every trial.
        warnings.simplefilter("ignore")
        scorer, model = get_scorer(name), replay(predictions, task)
        if weights is not None:
            with contextlib.suppress(TypeError):
                return float(scorer(model, None, y, sample_weight=weights))
        return float(scorer(model, None, y))


@functools.cache
def _fits(name: str, task: Task, columns: tuple[int, ...]) -> bool:
    """Whether a metric is defined on ideal rows of this task."""
    y, predictions = _ideal_rows(task, columns)
    try:
        _score_by_scikit_learn(name, y, predictions, task)
    except (ValueError, AttributeError):
        return False
    return True


def _ideal_rows(task: Task, columns: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions with every class, or positive fractions."""
    numbers = np.arange(6)
    if task is Task.MULTICLASS:
        return numbers % 3, np.eye(3)[numbers % 3]
    rows = numbers % 2 if task is not Task.REGRESSION else (numbers + 0.5) / 6
    y = np.broadcast_to(rows.reshape(-1, *[1] * len(columns)), (6, *columns))
    return y, y.astype(np.float64)


class _Classifier(ClassifierMixin, BaseEstimator):
    """A classifier that returns known predictions, for scikit-learn's scorers."""

    def __init__(self, predictions: np.ndarray, task: Task) -> None:
        self.predictions = predictions
        self.task = task
        self.classes_ = _classes(predictions, task)

    def predict(self, x: None) -> np.ndarray:
        return predicted_classes(self.predictions, self.task)

    def predict_proba(self, x: None) -> np.ndarray:
        if self.task is Task.BINARY:
            return np.column_stack([1 - self.predictions, self.predictions])
        if self.task is Task.MULTICLASS:
            # float32 rows sum to 1 only to 1e-7, which scikit-learn warns about.
            rows = self.predictions.astype(np.float64)
            return rows / rows.sum(axis=1, keepdims=True)
        return self.predictions


def _classes(predictions: np.ndarray, task: Task) -> np.ndarray | list[np.ndarray]:
    """Return ``classes_`` as scikit-learn's classifiers define it."""
    if task is Task.MULTILABEL:
        return [np.arange(2) for _ in range(predictions.shape[1])]
    return np.arange(2 if task is Task.BINARY else predictions.shape[1])


class _Regressor(RegressorMixin, BaseEstimator):
    """A regressor that returns known predictions, for scikit-learn's scorers."""

    def __init__(self, predictions: np.ndarray, task: Task) -> None:
        self.predictions = predictions
        self.task = task
        self.is_fitted_ = True

    def predict(self, x: None) -> np.ndarray:
        return self.predictions
