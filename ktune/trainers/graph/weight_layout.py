"""How a model's weights lie in one flat vector."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

LANES = 16
"""Vectors are padded to a multiple of this and handled in blocks of it.

Vector instructions take up to 16 floats at once; what is left at the end of an array is
rounded differently (by 1 ulp in ``rsqrt`` and ``pow``). In whole blocks, a fold's
numbers are the same whether it is trained alone or beside others.
"""


class WeightLayout:
    """Shapes of weights in their order, and the padding after the last.

    Args:
        variables: The trainable variables of a model.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self.shapes = [tuple(variable.shape) for variable in variables]
        self._sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.n_padding = -sum(self._sizes) % LANES

    @property
    def size(self) -> int:
        """Numbers in a vector, padding included."""
        return sum(self._sizes) + self.n_padding

    def split(self, vector: Any) -> list[Any]:
        """Cut a vector into tensors of the shapes."""
        parts = tf.split(vector, [*self._sizes, self.n_padding])
        return [
            tf.reshape(part, shape)
            for part, shape in zip(parts, self.shapes, strict=False)
        ]

    def join(self, parts: Sequence[Any]) -> Any:
        """Lay tensors of the shapes out flat; undoes `split`."""
        padding = tf.zeros(self.n_padding)
        return tf.concat([*(tf.reshape(part, [-1]) for part in parts), padding], 0)
