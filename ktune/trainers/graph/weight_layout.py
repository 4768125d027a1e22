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
        return _split(vector, [*self._sizes, self.n_padding], self.shapes)

    def join(self, parts: Sequence[Any]) -> Any:
        """Join tensors of the shapes to a vector; the inverse of `split`."""
        return _join(parts, self.n_padding)


class OpenLayout:
    """The layout of weights whose shapes are known when a program runs.

    Args:
        ranks: Number of axes of each weight.
        dims: Tensor of all shapes, one after another, int32.
    """

    def __init__(self, ranks: Sequence[int], dims: Any) -> None:
        self.shapes = tf.split(dims, list(ranks))
        sizes = tf.stack([tf.reduce_prod(shape) for shape in self.shapes])
        self._n_padding = tf.math.floormod(-tf.reduce_sum(sizes), LANES)
        self._sizes = tf.concat([sizes, [self._n_padding]], 0)

    def split(self, vector: Any) -> list[Any]:
        """Cut a vector into tensors of the shapes."""
        return _split(vector, self._sizes, self.shapes)

    def join(self, parts: Sequence[Any]) -> Any:
        """Join tensors of the shapes to a vector; the inverse of `split`."""
        return _join(parts, self._n_padding)


def _split(vector: Any, sizes: Any, shapes: Sequence[Any]) -> list[Any]:
    parts = tf.split(vector, sizes, num=len(shapes) + 1)
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=False)]


def _join(parts: Sequence[Any], n_padding: Any) -> Any:
    flat = [tf.reshape(part, [-1]) for part in parts]
    return tf.concat([*flat, tf.zeros([n_padding])], 0)
