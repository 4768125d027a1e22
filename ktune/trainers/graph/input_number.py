"""A number of an optimizer or a layer that is an input of a program."""

import keras
import numpy as np
import tensorflow as tf


class InputNumber(keras.Variable):
    """A variable in the place of a Python number that is greater than 0.

    Keras asks whether such a number is off (``self.rate > 0``, ``rate == 1.0``), which
    a tensor cannot answer while a program is traced.

    Args:
        value: The number of the model that is traced.
    """

    def __init__(self, value: float) -> None:
        super().__init__(np.float32(value), trainable=False)

    def get_shape(self) -> tf.TensorShape:
        """Return the shape; TensorFlow's dropout asks for it."""
        return tf.TensorShape([])

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __gt__(self, other: object) -> bool:
        return True

    __hash__ = keras.Variable.__hash__
