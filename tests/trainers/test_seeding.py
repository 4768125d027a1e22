"""Models are built as Keras seeds them, and TensorFlow's kernels do not pile up."""

import numpy as np

from ktune.trainers import seeding
from ktune.utils.runtime import import_keras


def build():
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])


def weights(model):
    return [np.asarray(variable) for variable in model.weights]


def test_kernels_are_dropped_now_and_then_and_the_weights_are_the_same(monkeypatch):
    import_keras()
    import tensorflow as tf

    seeding.build_seeded(build, 7)  # the first of a process is built twice
    dropped = []
    set_seed = tf.random.set_seed
    monkeypatch.setattr(
        tf.random, "set_seed", lambda seed: (dropped.append(seed), set_seed(seed))
    )
    monkeypatch.setattr(seeding, "BUILDS_BETWEEN_CLEARINGS", 4)
    models = [seeding.build_seeded(build, 7) for _ in range(8)]
    assert dropped == [7, 7]
    for model in models[1:]:
        for ours, first in zip(weights(model), weights(models[0]), strict=True):
            np.testing.assert_array_equal(ours, first)
