"""Keras is given the classes it does not know, or the pre-flight says why it cannot."""

import keras
import pytest

from ktune.models.registry.custom_objects import find_custom_objects, obstacle

HERE = __name__


class Plain(keras.layers.Layer):
    """Keras derives its config from plain arguments."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def call(self, x):
        return x


class Lacking(Plain):
    """Its config lacks an argument."""

    def get_config(self):
        return {"name": self.name}


class Taking(keras.layers.Layer):
    """Takes an argument that no config can hold."""

    def __init__(self, source):
        super().__init__()
        self.source = source

    def call(self, x):
        return x


class Orthogonal(keras.regularizers.Regularizer):
    """Has no config."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, weights):
        return self.factor * keras.ops.sum(weights)


class Rising(keras.optimizers.schedules.LearningRateSchedule):
    """Has no config."""

    def __init__(self, top):
        self.top = top

    def __call__(self, step):
        return self.top


@keras.saving.register_keras_serializable("own")
class Registered(Plain):
    """Known to Keras by another name."""


def double(x):
    return 2 * x


def own_loss(y, predicted):
    return keras.losses.mean_squared_error(y, predicted)


def model(*layers, optimizer="sgd"):
    made = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    made.compile(optimizer, loss=own_loss)
    return made


def test_classes_and_functions_are_found_by_the_name_keras_asks_for():
    made = model(
        Plain(3), Registered(2), keras.layers.Lambda(double, output_shape=(2,))
    )
    found = {o.key: (o.module, o.name) for o in find_custom_objects(made)}
    assert found == {
        "Plain": (HERE, "Plain"),
        "own>Registered": (HERE, "Registered"),
        "double": (HERE, "double"),
    }
    assert obstacle(made) == ""


def test_the_loss_is_needed_for_training_alone():
    found = find_custom_objects(model(), with_training=True)
    assert [o.key for o in found] == ["own_loss"]


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        (
            lambda: Lacking(3),
            '`def get_config(self): return {**super().get_config(), "',
        ),
        (lambda: Taking(object()), '"source": self.source}` to Taking'),
        (
            lambda: keras.layers.Dense(2, kernel_regularizer=Orthogonal(0.1)),
            '`def get_config(self): return {"factor": self.factor}` to Orthogonal',
        ),
        (lambda: keras.layers.Dense(2, lambda x: 2 * x), "`activation=scaled`"),
        (lambda: keras.layers.Lambda(lambda x: 2 * x), "`keras.layers.Lambda(scaled)`"),
    ],
)
def test_an_obstacle_is_one_sentence_with_the_line_to_write(layer, line):
    told = obstacle(model(layer()))
    assert line in told
    assert "\n" not in told


def test_an_optimizer_without_config_is_an_obstacle_too():
    told = obstacle(model(optimizer=keras.optimizers.SGD(Rising(0.1))))
    assert '`def get_config(self): return {"top": self.top}` to Rising' in told


def test_a_class_inside_a_function_is_found_by_its_full_name():
    class Local(Plain):
        pass

    found = find_custom_objects(model(Local(3)))
    assert [o.name for o in found] == [Local.__qualname__]
    assert "<locals>" in Local.__qualname__
