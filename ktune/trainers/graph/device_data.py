"""Arrays as TensorFlow tensors, made once for as long as the array lives."""

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ktune.data.dataset import Inputs


class DeviceArrays:
    """Tensors of arrays, by identity.

    The folds and trials of a search share their arrays, so features are copied once
    a search. An entry goes when its array does, so nothing is held beyond need.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[np.ndarray], Any]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def inputs(self, x: Inputs) -> Any:
        """Return features as one tensor, or one a named input."""
        if isinstance(x, Mapping):
            return {name: self.tensor(part) for name, part in x.items()}
        return self.tensor(np.asarray(x))

    def tensor(self, array: np.ndarray) -> Any:
        """Return the tensor of an array, which must not change while it lives."""
        entry = self._entries.get(id(array))
        if entry is not None and entry[0]() is array:
            return entry[1]
        key = id(array)
        reference = weakref.ref(array, lambda _: self._entries.pop(key, None))
        tensor = tf.constant(array)
        self._entries[key] = (reference, tensor)
        return tensor
