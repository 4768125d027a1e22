"""Conversion of targets for a compiled Keras model, and of its outputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ktune.data.compiled_loss import compiled_loss
from ktune.data.dataset import Targets, Task
from ktune.data.loss_probe import TargetForm
from ktune.data.nest import nest_of, parts_of
from ktune.data.output_scale import OutputScale
from ktune.data.target_form import target_form
from ktune.errors import TrialFailed

_MARK = "_ktune_learns_scaled_targets"

OUTSIDE = 1e-3
"""Tolerance within which outputs are probabilities."""


@dataclass(frozen=True, eq=False)
class TargetScaling:
    """Mean and deviation of regression targets over training rows.

    The initial outputs of a network are near 0 ± 1. Unscaled targets of 150 ± 80 take
    a hundred epochs with small learning rates, and large ones diverge.

    Attributes:
        mean: Shape () or (k,).
        deviation: Likewise; 1 where a target is constant.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, y: np.ndarray) -> np.ndarray:
        """Return standardised targets."""
        return ((y - self.mean) / self.deviation).astype(np.float32)

    def undo(self, y: np.ndarray) -> np.ndarray:
        """Return targets in their original unit."""
        return (y * self.deviation + self.mean).astype(np.float32)


def fit_target_scaling(y: Targets, rows: np.ndarray) -> TargetScaling | None:
    """Return the scaling of the training rows; None for classes and labels."""
    is_regression = isinstance(y, np.ndarray) and y.dtype.kind == "f" and y.ndim < 3
    if not is_regression:
        return None
    known = y[rows].astype(np.float64)
    deviation = known.std(axis=0)
    return TargetScaling(known.mean(axis=0), np.where(deviation > 0, deviation, 1.0))


def let_learn_scaled_targets(model: Any) -> None:
    """Mark a model that is trained on scaled targets."""
    setattr(model, _MARK, True)


def learns_scaled_targets(model: Any) -> bool:
    """Whether `let_learn_scaled_targets` was called for a model."""
    return bool(getattr(model, _MARK, False))


def in_units(model: Any, scaling: TargetScaling) -> Any:
    """Return the trained model with a last layer that undoes the scaling."""
    import keras

    mean, deviation = scaling.mean.tolist(), scaling.deviation.tolist()
    layer = keras.layers.Rescaling(deviation, offset=mean, name="target_units")
    if hasattr(model, "inputs") and model.inputs:
        whole = keras.Model(model.inputs, layer(model.outputs[0]), name=model.name)
    else:  # a subclassed model has no graph to extend
        whole = keras.Sequential([model, layer], name=model.name)
    optimizer = keras.optimizers.deserialize(
        keras.optimizers.serialize(model.optimizer)
    )
    whole.compile(optimizer, loss=compiled_loss(model))
    return whole


def encode_targets(
    y: Targets,
    model: Any,
    task: Task,
    n_outputs: int,
    scaling: TargetScaling | None = None,
) -> Targets:
    """Return targets in the form that the loss of a model requires.

    Class numbers become one-hot rows for a ``categorical_crossentropy`` and a
    float32 column for a model with one output; a sparse loss takes class numbers.
    Targets of a custom task are unchanged.

    Args:
        y: Targets as in ``Dataset.y``.
        model: A compiled Keras model with one output.
        task: Task of ``y``.
        n_outputs: Number of classes, labels or regression targets.
        scaling: Scaling of regression targets, for a model that learns them scaled.

    Returns:
        An array with the same number of rows.
    """
    if task is Task.CUSTOM:
        return y
    if scaling is not None and learns_scaled_targets(model):
        y = scaling.apply(y)
    if task is Task.REGRESSION or task is Task.MULTILABEL:
        return y.astype(np.float32).reshape(len(y), -1)
    form = target_form(model, task, n_outputs)
    if form is TargetForm.CLASS_NUMBERS:
        return y.astype(np.int32)
    if form is None:
        return y.astype(np.float32).reshape(-1, 1)
    return np.eye(n_outputs, dtype=np.float32)[y]


def as_predictions(
    outputs: Any,
    task: Task,
    *,
    scale: OutputScale,
    scaling: TargetScaling | None = None,
) -> Any:
    """Return the outputs of a model as predictions for ``compute_metrics``.

    Args:
        outputs: Outputs of ``model.predict``, shape (n, k); for a custom task any
            array, or a mapping of arrays, which becomes a `Nest`.
        task: Task of the model.
        scale: Scale of the outputs of a classifier.
        scaling: Scaling of the targets; None: outputs are in the original unit.

    Raises:
        TrialFailed: The outputs are not finite, or their scale is unknown and they
            are not probabilities.
    """
    if task is Task.CUSTOM:
        return _finite(nest_of(outputs))
    outputs = np.asarray(outputs, dtype=np.float32)
    if not np.isfinite(outputs).all():
        raise TrialFailed("the model's outputs are not finite numbers (NaN or inf)")
    if task is Task.REGRESSION:
        is_column = outputs.ndim == 2 and outputs.shape[1] == 1
        values = outputs[:, 0] if is_column else outputs
        return values if scaling is None else scaling.undo(values)
    is_exclusive = task.is_classification and outputs.shape[-1] > 1
    if scale is OutputScale.UNKNOWN and not are_probabilities(outputs, is_exclusive):
        raise TrialFailed(SCALE_IS_UNKNOWN)
    if scale is OutputScale.SCORES:
        outputs = (outputs + 1) / 2
    if scale is OutputScale.LOGITS:
        rows = _softmax(outputs) if is_exclusive else _sigmoid(outputs)
    else:
        rows = outputs
    if not is_exclusive:
        rows = np.clip(rows, 0, 1)
        return rows if task is Task.MULTILABEL else rows.reshape(-1)
    rows = np.maximum(rows, 1e-12)
    rows = rows / rows.sum(axis=-1, keepdims=True)
    return rows[:, 1] if task is Task.BINARY else rows


def _finite(outputs: Any) -> Any:
    for part in parts_of(outputs).values():
        if np.asarray(part).dtype.kind == "f" and not np.isfinite(part).all():
            raise TrialFailed("the model's outputs are not finite numbers (NaN or inf)")
    return outputs


SCALE_IS_UNKNOWN = (
    "the model's outputs are not between 0 and 1, and neither its loss nor its last "
    "layer tells what they are. Give the experiment outputs='logits' if the loss takes "
    "logits, or end the model in activation 'sigmoid' or 'softmax'."
)


def are_probabilities(outputs: np.ndarray, is_exclusive: bool) -> bool:
    """Whether outputs lie between 0 and 1 and, of exclusive classes, sum to 1."""
    if outputs.min() < -OUTSIDE or outputs.max() > 1 + OUTSIDE:
        return False
    sums = outputs.sum(axis=-1)
    return not is_exclusive or bool(np.abs(sums - 1).max() <= OUTSIDE)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -80, 80))))


def _softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
