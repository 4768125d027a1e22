"""A cache of TensorFlow tensors for NumPy arrays."""

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ktune.data.dataset import Inputs


class DeviceArrays:
    """Cache of the tensors of arrays, by identity.

    The folds and trials of a search share their arrays, so features are copied once
    per search. A tensor is released together with its array.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[np.ndarray], Any]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def inputs(self, x: Inputs) -> Any:
        """Return features as one tensor, or one per named input."""
        if isinstance(x, Mapping):
            return {name: self.tensor(part) for name, part in x.items()}
        return self.tensor(np.asarray(x))

    def tensor(self, array: np.ndarray) -> Any:
        """Return the tensor of an array; the array must not change."""
        entry = self._entries.get(id(array))
        if entry is not None and entry[0]() is array:
            return entry[1]
        key = id(array)
        reference = weakref.ref(array, lambda _: self._entries.pop(key, None))
        tensor = tf.constant(array)
        self._entries[key] = (reference, tensor)
        return tensor
