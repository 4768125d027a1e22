"""Scores of a custom task on test rows, by the model's own loss and metrics."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ktune.data.dataset import Inputs, Targets, take_rows
from ktune.data.model_outputs import in_structure_of
from ktune.data.nest import nest_of, structure_of
from ktune.evaluation.context import SearchContext
from ktune.metrics.intervals import Estimate, jackknife_error
from ktune.spaces.hyperparameters import default_values
from ktune.trainers.common import evaluate, with_stable_names

_CHECKED_ROWS = 2

Score = Callable[[Any, Targets], float]
"""Returns the objective of outputs, in the form of `named_outputs`, and targets."""

PREDICT_BATCH = 1024


def estimate_own_scores(
    model: Any, x: Inputs, y: Targets, weights: np.ndarray | None, *, seed: int
) -> dict[str, Estimate]:
    """Score a model on rows by its own loss and metrics, with 95 % intervals.

    Args:
        model: A compiled Keras model.
        x: Preprocessed rows.
        y: Their targets.
        weights: Weight of every row; None: all rows count the same.
        seed: Seed of the search.

    Returns:
        Metric name to estimate; without an interval where outputs alone do not decide
        a metric, or there are few rows.
    """
    values = evaluate(model, x, y, weights)
    outputs = nest_of(model.predict(x, batch_size=PREDICT_BATCH, verbose=0))

    def scores(rows: np.ndarray) -> dict[str, float]:
        of_rows = None if weights is None else weights[rows]
        return scores_of_outputs(model, y[rows], outputs[rows], of_rows)

    try:
        errors = jackknife_error(scores, len(y), seed=seed)
    except Exception:  # the user's own `compute_metrics` may need more than outputs
        errors = {}
    return {name: _estimate(v, errors.get(name)) for name, v in values.items()}


def scores_of_outputs(
    model: Any, y: Targets, outputs: Any, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Return compiled loss, without regularisation, and metrics of outputs.

    Args:
        model: A compiled model; its weights do not matter.
        y: Targets of some rows.
        outputs: Outputs for these rows, in the structure of the model.
        weights: Weight of every row.
    """
    targets, outputs = structure_of(y), structure_of(outputs)
    model.reset_metrics()
    loss = model._compile_loss(targets, outputs, weights)
    model._loss_tracker.update_state(loss)
    logs = model.compute_metrics(None, targets, outputs, weights)
    return with_stable_names(model, logs)


def objective_score(context: SearchContext) -> Score:
    """Return the function that scores outputs by the objective.

    The model with default values computes it, so that models with other values, such
    as loss weights, are measured by one scale.
    """
    builder = context.builder
    model = builder.model(default_values(builder.declare))
    rows = take_rows(context.folds[0].x, np.arange(_CHECKED_ROWS))
    metric = context.objective.metric

    def score(outputs: Any, y: Targets) -> float:
        own = in_structure_of(model, outputs, rows)
        return scores_of_outputs(model, y, nest_of(own)).get(metric, float("nan"))

    return score


def _estimate(value: float, error: float | None) -> Estimate:
    if error is None or not np.isfinite(error):
        return Estimate(value)
    return Estimate(value, value - error, value + error)
