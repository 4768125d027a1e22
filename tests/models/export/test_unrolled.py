"""Recurrent layers are unrolled for TFLite, also those with a cell of the user's."""

import numpy as np

from ktune.utils.runtime import import_keras

import_keras()

import keras  # noqa: E402

from ktune.models.export.complete_model import unrolled  # noqa: E402


class Cell(keras.layers.Layer):
    """A cell without gates."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def call(self, x, states):
        state = keras.ops.tanh(keras.ops.matmul(x, self.kernel) + states[0])
        return state, [state]


def test_a_cell_of_the_user_is_made_again():
    model = keras.Sequential([keras.Input((4, 2)), keras.layers.RNN(Cell(3))])
    rows = np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32)
    copy = unrolled(model)
    assert copy.layers[0].unroll
    np.testing.assert_allclose(copy(rows), model(rows), atol=1e-6)
