"""The loss of the best constant prediction, as the level of no skill of a custom task.

The loss is the user's own, and a constant must be one that the output layer could
give. So several constants are tried for each output, and the best one counts: the mean,
median and quantiles of the targets, the shares of classes, and their logits.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ktune.data.dataset import take_rows
from ktune.data.nest import map_arrays, structure_of
from ktune.data.preprocessing import PreparedFold
from ktune.evaluation.context import SearchContext
from ktune.spaces.hyperparameters import default_values

MOST_ROWS = 500
_TINY = 1e-6


def constant_loss(context: SearchContext) -> float | None:
    """Return the mean over folds of the lowest loss of a constant; None: unknown."""
    builder = context.builder
    try:
        model = builder.model(default_values(builder.declare))
        losses = [_of_fold(model, fold) for fold in context.folds]
    except Exception:  # the user's own loss may raise any error for such outputs
        return None
    found = [loss for loss in losses if loss is not None]
    return float(np.mean(found)) if found and len(found) == len(losses) else None


def _of_fold(model: Any, fold: PreparedFold) -> float | None:
    import keras

    train, validation = _spread(fold.train), _spread(fold.validation)
    outputs = model(take_rows(fold.x, validation[:2]), training=False)
    shapes = [tuple(part.shape[1:]) for part in keras.tree.flatten(outputs)]
    learned = keras.tree.flatten(structure_of(fold.y[train]))
    if len(learned) != len(shapes):
        return None
    targets = structure_of(fold.y[validation])
    options = [
        list(_constants(np.asarray(part), shape))
        for part, shape in zip(learned, shapes, strict=True)
    ]

    def loss(chosen: list[np.ndarray]) -> float:
        rows = [np.broadcast_to(c, (len(validation), *c.shape)) for c in chosen]
        own = keras.tree.pack_sequence_as(outputs, [np.array(part) for part in rows])
        return float(model._compile_loss(map_arrays(np.asarray, targets), own))

    return _lowest(loss, options)


def _lowest(loss: Any, options: list[list[np.ndarray]]) -> float | None:
    """Choose the constant of one output after the other, and return the loss."""
    chosen = [constants[0] for constants in options]
    best = np.inf
    for place, constants in enumerate(options):
        losses = []
        for constant in constants:
            value = loss([*chosen[:place], constant, *chosen[place + 1 :]])
            losses.append(value if np.isfinite(value) else np.inf)
        chosen[place] = constants[int(np.argmin(losses))]
        best = min(losses)
    return best if np.isfinite(best) else None


def _constants(y: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield constants of the shape of a row of outputs."""
    for value in (0.0, 0.5):
        yield np.full(shape, value, np.float32)
    yield from _classes(y, shape)
    numbers = y.astype(np.float64)
    # One value for all places, then one for each channel, then one for each place.
    for axes in (None, tuple(range(y.ndim - 1)), 0):
        for middle in (numbers.mean(axes), np.median(numbers, axes)):
            if (fitted := _fitted(middle, shape)) is not None:
                yield fitted
                if fitted.min() >= 0 and fitted.max() <= 1:
                    yield _logits(fitted)
    if len(shape) == 1 and shape[0] > 1 and y[0].size == 1:
        places = (np.arange(shape[0]) + 1) / (shape[0] + 1)
        yield np.quantile(numbers, places).astype(np.float32)


def _classes(y: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield the shares of classes for outputs with one channel a class."""
    n_channels = shape[-1] if shape else 1
    is_class = y.dtype.kind in "iu" and n_channels > 1 and y.size
    if not is_class or y.min() < 0 or y.max() >= n_channels:
        return
    counts = np.bincount(y.ravel().astype(np.int64), minlength=n_channels)
    shares = np.broadcast_to(counts / counts.sum(), shape).astype(np.float32)
    yield shares
    yield np.log(np.maximum(shares, _TINY))


def _fitted(value: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    value = np.asarray(value, np.float32)
    if value.shape != shape and value.shape == shape[:-1] and shape[-1] == 1:
        value = value[..., None]
    try:
        return np.array(np.broadcast_to(value, shape))
    except ValueError:
        return None


def _logits(shares: np.ndarray) -> np.ndarray:
    inside = np.clip(shares, _TINY, 1 - _TINY)
    return np.log(inside / (1 - inside)).astype(np.float32)


def _spread(rows: np.ndarray) -> np.ndarray:
    size = min(len(rows), MOST_ROWS)
    return rows[np.linspace(0, len(rows) - 1, size).astype(np.int64)]
