"""Between ktune's targets and what a compiled Keras model wants and returns."""

from typing import Any

import numpy as np

from ktune.dataset import Task
from ktune.errors import TrialFailed


def encode_targets(y: np.ndarray, model: Any, task: Task, n_outputs: int) -> np.ndarray:
    """Return targets in the form the model's loss wants.

    Class numbers become one-hot rows for a ``categorical_crossentropy`` and a
    float32 column for a model with one output; a sparse loss takes them as they are.

    Args:
        y: Targets as in ``Dataset.y``.
        model: A compiled Keras model with one output.
        task: What ``y`` is.
        n_outputs: Number of classes, labels or regression targets.

    Returns:
        An array with the same number of rows.
    """
    if task is Task.REGRESSION or task is Task.MULTILABEL:
        return y.astype(np.float32).reshape(len(y), -1)
    if uses_sparse_loss(model):
        return y.astype(np.int32)
    if _has_one_output(model, task):
        return y.astype(np.float32).reshape(-1, 1)
    return np.eye(n_outputs, dtype=np.float32)[y]


def as_predictions(outputs: np.ndarray, task: Task, *, is_logits: bool) -> np.ndarray:
    """Return a model's outputs as ``compute_metrics`` takes predictions.

    Args:
        outputs: What ``model.predict`` returns, shape (n, k).
        task: What is predicted.
        is_logits: Whether the loss was made with ``from_logits=True``.

    Raises:
        TrialFailed: The outputs are not finite.
    """
    outputs = np.asarray(outputs, dtype=np.float32)
    if not np.isfinite(outputs).all():
        raise TrialFailed("the model's outputs are not finite numbers (NaN or inf)")
    if task is Task.REGRESSION:
        return outputs[:, 0] if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs
    if task is Task.MULTILABEL:
        return _sigmoid(outputs) if is_logits else outputs
    if task is Task.BINARY and outputs.shape[-1] == 1:
        column = outputs.reshape(-1)
        return _sigmoid(column) if is_logits else np.clip(column, 0, 1)
    rows = _softmax(outputs) if is_logits else np.clip(outputs, 1e-12, None)
    rows = rows / rows.sum(axis=-1, keepdims=True)
    return rows[:, 1] if task is Task.BINARY else rows


def returns_logits(model: Any) -> bool:
    """Whether the compiled loss takes logits, so the outputs are no probabilities."""
    return bool(getattr(model.loss, "from_logits", False))


def uses_sparse_loss(model: Any) -> bool:
    """Whether the compiled loss takes class numbers."""
    return "sparse" in _loss_name(model)


def _has_one_output(model: Any, task: Task) -> bool:
    shape = getattr(model, "output_shape", None)
    if isinstance(shape, tuple):
        return bool(shape[-1] == 1)
    # A subclassed model does not tell its shape. Two columns of class probabilities
    # go with a categorical loss, one column with any other.
    return task is Task.BINARY and "categorical" not in _loss_name(model)


def _loss_name(model: Any) -> str:
    loss = model.loss
    named = loss if isinstance(loss, str) else getattr(loss, "name", None)
    return str(named or getattr(loss, "__name__", "")).lower()


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -80, 80))))


def _softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
