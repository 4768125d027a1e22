"""The layout of a model's weights in one flat vector."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

LANES = 16
"""Block size; vectors are padded to a multiple of it.

Vector instructions process up to 16 floats at once; the rest of an array is rounded
differently (by 1 ulp in ``rsqrt`` and ``pow``). In whole blocks, the numbers of a fold
are identical whether it is trained alone or together with others.
"""


class WeightLayout:
    """Shapes of the weights in order, and the padding after the last.

    Args:
        variables: The trainable variables of a model.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self.shapes = [tuple(variable.shape) for variable in variables]
        self._sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.n_padding = -sum(self._sizes) % LANES

    @property
    def size(self) -> int:
        """Length of a vector, including the padding."""
        return sum(self._sizes) + self.n_padding

    def split(self, vector: Any) -> list[Any]:
        """Cut a vector into tensors of the shapes."""
        parts = tf.split(vector, [*self._sizes, self.n_padding])
        return [
            tf.reshape(part, shape)
            for part, shape in zip(parts, self.shapes, strict=False)
        ]

    def join(self, parts: Sequence[Any]) -> Any:
        """Join tensors of the shapes to a vector; the inverse of `split`."""
        padding = tf.zeros(self.n_padding)
        return tf.concat([*(tf.reshape(part, [-1]) for part in parts), padding], 0)
