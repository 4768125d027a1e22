"""Average a fold's weights over the last third of its epochs.

With a constant learning rate the last epoch is a matter of luck: the weights move
around a minimum. Their mean over many epochs is near its centre. It is one model, so it
costs nothing at inference. After ``n`` epochs the mean covers the last ``n / 3``, so
the score of an epoch is that of a training that ends there, as a refit does.

Source:
    Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization,
    UAI 2018: statistics of batch normalisation belong to the weights they were
    measured with, so they are measured anew.
"""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ktune.data.dataset import Inputs, take_rows
from ktune.data.fixed_batch import fixed_batch_size

STATISTICS_CHUNK = 512
"""Rows per call when statistics are measured."""


class WeightAverage:
    """The weights of one fold after its last epochs, and their mean."""

    def __init__(self) -> None:
        self._weights: deque[np.ndarray] = deque()
        self._n_epochs = 0

    def add(self, weights: np.ndarray) -> None:
        """Add the weights after an epoch, shape (n_weights,)."""
        self._n_epochs += 1
        self._weights.append(weights)
        while len(self._weights) > averaged_epochs(self._n_epochs):
            self._weights.popleft()

    def mean(self) -> np.ndarray:
        """Return the mean over the last third of the epochs so far."""
        total = np.zeros(self._weights[0].shape, np.float64)
        for weights in self._weights:
            total += weights
        return (total / len(self._weights)).astype(self._weights[0].dtype)


def averaged_epochs(n_epochs: int) -> int:
    """Return the number of epochs that the mean covers.

    Example:
        >>> [averaged_epochs(n) for n in (1, 3, 4, 30)]
        [1, 1, 2, 10]
    """
    return -(-n_epochs // 3)


def flat_weights(model: Any) -> np.ndarray:
    """Return the trainable weights of a model, shape (n_weights,)."""
    return np.concatenate([_value(v).ravel() for v in model.trainable_variables])


def set_flat_weights(model: Any, weights: np.ndarray) -> None:
    """Set the trainable weights of a model; values after the last one are padding."""
    position = 0
    for variable in model.trainable_variables:
        size = int(np.prod(variable.shape))
        variable.assign(weights[position : position + size].reshape(variable.shape))
        position += size


def copy_variables(source: Any, target: Any) -> None:
    """Copy all variables of a model to another one of the same structure."""
    for kind in ("trainable_variables", "non_trainable_variables"):
        pairs = zip(getattr(source, kind), getattr(target, kind), strict=True)
        for variable, copied in pairs:
            copied.assign(_value(variable))


@contextlib.contextmanager
def averaged(
    model: Any, average: WeightAverage, x: Inputs, rows: np.ndarray
) -> Iterator[None]:
    """Let a model have the averaged weights for the block.

    Args:
        model: The Keras model in training.
        average: Its weights after the last epochs.
        x: Preprocessed features of all rows.
        rows: Positions of the training rows.
    """
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    before = [_value(variable) for variable in variables]
    try:
        set_flat_weights(model, average.mean())
        renew_statistics(model, x, rows)
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def has_statistics(model: Any) -> bool:
    """Whether a model measures moving statistics of its batches."""
    return bool(_normalizations(model))


def renew_statistics(model: Any, x: Inputs, rows: np.ndarray) -> None:
    """Measure the moving statistics of batch normalisation anew for present weights.

    They are the means over chunks of the training rows. The states of random
    generators stay as they are.

    Args:
        model: The Keras model.
        x: Preprocessed features of all rows.
        rows: Positions of the training rows.
    """
    layers = _normalizations(model)
    if not layers:
        return
    others = [v for v in model.non_trainable_variables if not _is_of(v, layers)]
    before = [_value(variable) for variable in others]
    sums = [np.zeros(v.shape, np.float64) for layer in layers for v in _moving(layer)]
    n_rows = 0
    with _without_memory(layers):
        for part in _chunks(rows, fixed_batch_size(model)):
            model(take_rows(x, part), training=True)
            n_rows += len(part)
            values = [_value(v) for layer in layers for v in _moving(layer)]
            for total, value in zip(sums, values, strict=True):
                total += len(part) * value.astype(np.float64)
    moving = [v for layer in layers for v in _moving(layer)]
    for variable, total in zip(moving, sums, strict=True):
        variable.assign((total / n_rows).astype("float32"))
    for variable, value in zip(others, before, strict=True):
        variable.assign(value)


def _normalizations(model: Any) -> list[Any]:
    """Return the layers that measure moving statistics in training."""
    import keras

    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def _moving(layer: Any) -> tuple[Any, Any]:
    return layer.moving_mean, layer.moving_variance


def _is_of(variable: Any, layers: Sequence[Any]) -> bool:
    return any(variable is moving for layer in layers for moving in _moving(layer))


def _value(variable: Any) -> np.ndarray:
    import keras

    return np.array(keras.ops.convert_to_numpy(variable))


@contextlib.contextmanager
def _without_memory(layers: Sequence[Any]) -> Iterator[None]:
    """Let moving statistics be those of the last batch alone."""
    before = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def _chunks(rows: np.ndarray, fixed_size: int | None) -> Iterator[np.ndarray]:
    """Yield chunks of rows; of a fixed size only whole ones."""
    size = fixed_size or STATISTICS_CHUNK
    last = len(rows) // size * size if fixed_size else len(rows)
    for start in range(0, last, size):
        yield rows[start : min(start + size, last)]
