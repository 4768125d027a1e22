"""Scores of simple models on the folds of a search, as baselines for all trials.

A trial below a linear model, or far below a small forest, underfits, which its own
learning curves cannot show.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from ktune.data.dataset import Inputs, Task
from ktune.data.preprocessing import PreparedFold
from ktune.diagnosis.view import Baselines
from ktune.errors import KtuneError
from ktune.metrics.objectives import of_predictions
from ktune.metrics.scores import compute_metrics

MOST_ROWS = 2000
MOST_FEATURES = 4096
MOST_FOLDS = 5
N_TREES = 50


def measure_baselines(
    folds: Sequence[PreparedFold], task: Task, metrics: Sequence[str], *, seed: int
) -> Baselines:
    """Train simple models on the folds of a search and score them.

    Takes seconds: at most `MOST_ROWS` training rows of each fold are used, so the
    scores are lower bounds.

    Args:
        folds: The prepared folds of the search.
        task: Task of the data.
        metrics: Canonical names of the metrics; those of the model itself
            are ignored.
        seed: Seed of the search.

    Returns:
        Means over the folds. Linear model and forest are omitted if the features are
        not a single table of numbers, or the task is multilabel.
    """
    if task is Task.CUSTOM:  # simple models do not predict arrays of any shape
        return Baselines()
    names = of_predictions(metrics)
    folds = folds[:MOST_FOLDS]
    constant = _mean_scores(_constant(task), folds, task, names, seed)
    if task is Task.MULTILABEL or _table(folds[0].x, np.array([0])) is None:
        return Baselines(constant=constant)
    return Baselines(
        constant=constant,
        linear=_mean_scores(_linear(task), folds, task, names, seed),
        trees=_mean_scores(_trees(task, seed), folds, task, names, seed),
    )


def _constant(task: Task) -> Any:
    if task is Task.REGRESSION:
        return DummyRegressor()
    return DummyClassifier(strategy="prior")


def _linear(task: Task) -> Any:
    if task is Task.REGRESSION:
        return Ridge()
    return LogisticRegression(max_iter=100)


def _trees(task: Task, seed: int) -> Any:
    kind = ExtraTreesRegressor if task is Task.REGRESSION else ExtraTreesClassifier
    return kind(n_estimators=N_TREES, min_samples_leaf=2, random_state=seed)


def _mean_scores(
    model: Any,
    folds: Sequence[PreparedFold],
    task: Task,
    names: tuple[str, ...],
    seed: int,
) -> Mapping[str, float]:
    """Fit and score on every fold; {} if the model cannot be fitted."""
    scores = []
    for fold in folds:
        try:
            predictions = _fit_predict(model, fold, task, seed)
            y = fold.y[fold.validation]
            weights = None if fold.weights is None else fold.weights[fold.validation]
            scores.append(compute_metrics(names, y, predictions, task, weights))
        except (ValueError, KtuneError):  # NaN in the features, one class only, …
            return {}
    means = {name: float(np.mean([s[name] for s in scores])) for name in names}
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}


def _fit_predict(model: Any, fold: PreparedFold, task: Task, seed: int) -> np.ndarray:
    rows = fold.train
    if len(rows) > MOST_ROWS:
        rows = np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False)
    is_constant = isinstance(model, DummyClassifier | DummyRegressor)
    train = np.zeros((len(rows), 1)) if is_constant else _table(fold.x, rows)
    n_validation = len(fold.validation)
    validation = (
        np.zeros((n_validation, 1)) if is_constant else _table(fold.x, fold.validation)
    )
    with warnings.catch_warnings():
        # The score of a model that has not converged is a lower bound, too.
        warnings.simplefilter("ignore")
        model.fit(train, fold.y[rows])
    return _predictions(model, validation, fold, task)


def _predictions(
    model: Any, rows: np.ndarray | None, fold: PreparedFold, task: Task
) -> np.ndarray:
    """Return predictions in the form of `compute_metrics`."""
    if task is Task.REGRESSION:
        return np.asarray(model.predict(rows)).reshape(fold.y[fold.validation].shape)
    if task is Task.MULTILABEL:
        return np.column_stack(
            [
                p[:, -1] * (c[-1] == 1)
                for p, c in zip(model.predict_proba(rows), model.classes_, strict=True)
            ]
        )
    if task is Task.BINARY:
        return np.asarray(model.predict_proba(rows)[:, 1])
    n_classes = int(fold.y.max()) + 1
    predictions = np.zeros((len(fold.validation), n_classes))
    predictions[:, model.classes_.astype(np.int64)] = model.predict_proba(rows)
    return predictions


def _table(x: Inputs, rows: np.ndarray) -> np.ndarray | None:
    """Return rows as a table of numbers; None for other or too many features."""
    if not isinstance(x, np.ndarray):
        return None
    if int(np.prod(x.shape[1:])) > MOST_FEATURES:
        return None
    return x[rows].reshape(len(rows), -1)
