"""One program serves a family of models, to the same bits as programs of their own."""

import numpy as np
import pytest

from ktune.utils.runtime import import_keras

import_keras()

import keras  # noqa: E402

from ktune.testing.trainers import (  # noqa: E402
    assert_close,
    compiled,
    make_task,
    plain_fit,
)
from ktune.trainers.graph import program_cache  # noqa: E402
from ktune.trainers.graph.family import is_family  # noqa: E402
from ktune.trainers.graph.trainer import GraphTrainer  # noqa: E402

pytestmark = pytest.mark.slow

layers, regularizers = keras.layers, keras.regularizers


def block(units, *, rate=0.2, noise=0.1, l2=0.01, activation="relu"):
    return [
        layers.GaussianNoise(noise),
        layers.Dense(units, use_bias=False, kernel_regularizer=regularizers.L2(l2)),
        layers.BatchNormalization(),
        layers.Activation(activation),
        layers.LeakyReLU(0.1),
        layers.Dropout(rate),
    ]


def task_of(*widths, **settings):
    def build():
        stack = [layer for units in widths for layer in block(units, **settings)]
        return compiled(stack, (6,))

    return make_task(build, (6,))


def train(task, n_epochs=2):
    training = GraphTrainer().start(task)
    epochs = [training.run_epoch() for _ in range(n_epochs)]
    training.close()
    return epochs


def bits(epochs):
    return [
        (fold.train_loss, fold.validation_loss, fold.validation_predictions.tobytes())
        for epoch in epochs
        for fold in epoch
    ]


MEMBERS = {
    "narrow": task_of(3, 20),
    "wide": task_of(40, 9),
    "other_rate": task_of(17, 17, rate=0.5),
    "other_numbers": task_of(17, 17, noise=0.5, l2=0.2),
}


def test_members_of_a_family_share_a_program_and_keep_their_bits():
    program_cache.forget_programs()
    first = {name: bits(train(task)) for name, task in MEMBERS.items()}
    assert len(program_cache._PROGRAMS) == 1
    program_cache.forget_programs()
    again = {name: bits(train(MEMBERS[name])) for name in reversed(MEMBERS)}
    assert again == first
    assert len({str(scores) for scores in first.values()}) == len(MEMBERS)


def test_a_member_agrees_with_plain_fit():
    train(MEMBERS["wide"], n_epochs=1)  # the program is of another member
    task = MEMBERS["narrow"]
    training = GraphTrainer().start(task)
    for _ in range(2):
        training.run_epoch()
    expected, _ = plain_fit(task, 0, 2)
    assert_close(training.model(0), expected)


@pytest.mark.parametrize(
    "task",
    [task_of(3), task_of(3, 20, activation="tanh"), task_of(3, 20, rate=0.0)],
    ids=["depth", "activation", "no dropout"],
)
def test_another_structure_has_a_program_of_its_own(task):
    program_cache.forget_programs()
    train(MEMBERS["narrow"], n_epochs=1)
    train(task, n_epochs=1)
    assert len(program_cache._PROGRAMS) == 2


def test_layers_of_the_user_are_no_family():
    class Doubled(layers.Layer):
        def call(self, x):
            return 2 * x

    assert not is_family(compiled([Doubled(), layers.Dense(3)], (6,)))


def test_heavy_models_keep_programs_of_their_own(monkeypatch):
    monkeypatch.setattr(program_cache, "LIGHT_BELOW", 0)
    program_cache.forget_programs()
    for units in (3, 4):
        task = make_task(lambda n=units: compiled([layers.Dense(n)], (6,)), (6,))
        train(task, n_epochs=1)
    assert len(program_cache._PROGRAMS) == 2


def test_a_layer_of_one_unit_trains():
    (epoch,) = train(task_of(1), n_epochs=1)
    assert np.isfinite(epoch[0].validation_loss)


class BySize(keras.regularizers.Regularizer):
    """Reads the shape of the weights, as the user's own code may."""

    def __call__(self, weights):
        return keras.ops.sum(weights) / float(weights.shape[-1])

    def get_config(self):
        return {}


def by_size(x):
    return x / float(x.shape[-1])


def test_code_of_the_user_sees_the_shapes_of_its_model():
    def build():
        dense = layers.Dense(5, by_size, kernel_regularizer=BySize())
        return compiled([dense], (6,))

    assert is_family(build())
    epochs = train(make_task(build, (6,)), n_epochs=1)
    assert all(np.isfinite(fold.train_loss) for fold in epochs[0])
