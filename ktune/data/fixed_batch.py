"""Models with a fixed batch size, such as stateful RNNs: batches of exactly that size.

A stateful layer carries its state from batch to batch. Rows of a search are
independent and shuffled, so that states are reset before every batch that is scored or
predicted; the outputs of a row then do not depend on the rows before.
"""

import warnings
from typing import Any

import numpy as np

from ktune.data.dataset import Inputs, count_rows, take_rows


def fixed_batch_size(model: Any) -> int | None:
    """Return the batch size a model is built for; None: any size."""
    inputs = getattr(model, "inputs", None) or []
    size = inputs[0].shape[0] if inputs else None
    if size is None or _takes_batch_of(model, size + 1):
        return None
    return int(size)


def _takes_batch_of(model: Any, size: int) -> bool:
    """Whether a model takes a batch that is larger than its inputs say.

    Keras writes the size of the first batch into a Sequential model without an Input
    layer, though the model takes any size.
    """
    import keras

    layers = model._flatten_layers(include_self=False)
    if any(getattr(layer, "stateful", False) for layer in layers):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a list where inputs have names
            rows = [
                np.zeros([size, *(n or 1 for n in part.shape[1:])], part.dtype)
                for part in model.inputs
            ]
            outputs = model(rows if len(rows) > 1 else rows[0], training=False)
    except Exception:  # of any layer, in words of its own
        return False
    return bool(keras.tree.flatten(outputs)[0].shape[0] == size)


def some_rows(model: Any, x: Inputs, at_least: int = 1) -> Inputs:
    """Return the first rows, as many as the model takes; too few are repeated."""
    size = fixed_batch_size(model) or at_least
    return take_rows(x, np.arange(size) % count_rows(x))


def reset_states(model: Any) -> None:
    """Reset the states of stateful layers."""
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
            layer.reset_state()


def predict_in_batches(model: Any, x: Inputs, size: int) -> np.ndarray:
    """Return the outputs for rows, in batches of a fixed size, the last one padded."""
    n_rows, parts = count_rows(x), []
    for start in range(0, n_rows, size):
        rows = np.minimum(np.arange(start, start + size), n_rows - 1)
        reset_states(model)
        parts.append(np.asarray(model.predict_on_batch(take_rows(x, rows))))
    return np.concatenate(parts)[:n_rows]
