"""What TensorFlow's registry of gradients keeps of closed trainings, and what not."""

import gc
import weakref

import numpy as np

from ktune.utils.runtime import import_keras

import_keras()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from ktune.testing.trainers import (  # noqa: E402
    build_random,
    compiled,
    make_task,
    only,
)
from ktune.trainers.keras_fit import KerasFitTrainer  # noqa: E402


@tf.custom_gradient
def turned_round(x):
    return tf.identity(x), lambda upstream: -upstream


turned_round_alike = tf.function(turned_round)
"""One function that all models share, traced once for each shape."""


class TurnRound(keras.layers.Layer):
    """Passes its input through, and gradients with the opposite sign."""

    def call(self, x):
        return turned_round_alike(turned_round(turned_round(x)))


def build_turning():
    return compiled([keras.layers.Dense(4), TurnRound()], (6,))


def graphs_alive():
    graph = tf.__internal__.FuncGraph
    return {id(found): found for found in gc.get_objects() if isinstance(found, graph)}


def input_gradient(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x).numpy()


def test_a_closed_training_leaves_no_graph_behind():
    before = graphs_alive()
    training = KerasFitTrainer().start(only(make_task(build_random, (6,)), 0))
    training.run_epoch()
    new = [weakref.ref(g) for key, g in graphs_alive().items() if key not in before]
    assert new
    training.close()
    del training, before
    gc.collect()
    assert [graph() for graph in new if graph() is not None] == []


def test_a_layer_keeps_its_own_gradient_when_its_training_is_closed(tmp_path):
    """A saved model names it, and a function that models share needs it again."""
    task = only(make_task(build_turning, (6,)), 0)
    training = KerasFitTrainer().start(task)
    training.run_epoch()
    training.close()
    model = training.model(0)
    # It scored its rows together and without gradients; now as many are learned from.
    n_scored = len(task.folds[0].train_sample) + len(task.folds[0].validation)
    x = tf.ones((n_scored, 6))
    expected = input_gradient(model, x)
    assert np.all(input_gradient(turned_round_alike, x) == -1)
    tf.saved_model.save(model, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    serve = loaded.signatures["serving_default"]
    found = input_gradient(lambda x: list(serve(x).values()), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
