"""Losses as users write them: which targets they want, and on which scale outputs."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from ktune.data.compiled_loss import compiled_loss, is_regression_loss, keras_loss
from ktune.data.dataset import Task
from ktune.data.loss_probe import TargetForm
from ktune.data.output_scale import OutputScale, output_scale, set_output_scale
from ktune.data.target_form import target_form
from ktune.data.targets import as_predictions
from ktune.errors import TrialFailed

LOGITS, PROBABILITIES = OutputScale.LOGITS, OutputScale.PROBABILITIES
SCORES, UNKNOWN = OutputScale.SCORES, OutputScale.UNKNOWN
losses = keras.losses


def compiled(loss, width=1, activation="linear"):
    last = layers.Dense(width, activation, name="out")
    model = keras.Sequential([keras.Input((2,)), last])
    model.compile("sgd", loss=loss)
    return model


def over_logits(y, outputs):
    return losses.binary_crossentropy(y, outputs, from_logits=True)


def by_hand(y, outputs):
    share = ops.sigmoid(outputs)
    return -ops.mean(y * ops.log(share) + (1 - y) * ops.log(1 - share), axis=-1)


def of_probabilities(y, outputs):
    return -ops.mean(y * ops.log(outputs) + (1 - y) * ops.log(1 - outputs), axis=-1)


def with_epsilon(y, outputs):
    return -ops.mean(ops.log(1e-7 + ops.where(y > 0.5, outputs, 1 - outputs)), axis=-1)


def own_hinge(y, outputs):
    return ops.mean(ops.maximum(1 - (2 * y - 1) * outputs, 0), axis=-1)


def smoothed(y, outputs):
    return losses.binary_crossentropy(y, outputs, from_logits=True, label_smoothing=0.1)


def distance(y, outputs):
    return ops.mean(ops.square(y - outputs), axis=-1)


class Focal(keras.losses.Loss):
    def call(self, y, outputs):
        share = ops.softmax(outputs)
        right = ops.sum(y * share, axis=-1)
        return -ops.square(1 - right) * ops.log(right)


def categorical(y, outputs):
    return losses.categorical_crossentropy(y, outputs)


def my_loss(y, outputs):
    return losses.sparse_categorical_crossentropy(y, outputs, from_logits=True)


def sparse_in_name_only(y, outputs):
    return -ops.sum(y * ops.log(ops.maximum(outputs, 1e-7)), axis=-1)


def gathered(y, outputs):
    numbers = ops.cast(ops.reshape(y, (-1, 1)), "int32")
    picked = ops.take_along_axis(ops.log_softmax(outputs), numbers, axis=-1)
    return -ops.squeeze(picked, -1)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (over_logits, LOGITS),
        (by_hand, LOGITS),
        (smoothed, LOGITS),
        (functools.partial(losses.binary_crossentropy, from_logits=True), LOGITS),
        ([losses.BinaryCrossentropy(from_logits=True)], LOGITS),
        ({"out": losses.BinaryFocalCrossentropy(from_logits=True)}, LOGITS),
        ([over_logits], LOGITS),
        ("hinge", LOGITS),
        (own_hinge, LOGITS),
        ("binary_crossentropy", PROBABILITIES),
        (["binary_crossentropy"], PROBABILITIES),
        (of_probabilities, PROBABILITIES),
        (with_epsilon, PROBABILITIES),
        (distance, PROBABILITIES),
        (lambda y, outputs: ops.zeros((2,)), UNKNOWN),
    ],
)
def test_the_loss_tells_on_which_scale_one_linear_output_is(loss, expected):
    assert output_scale(compiled(loss), Task.BINARY, 2) is expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (my_loss, LOGITS),
        (gathered, LOGITS),
        (Focal(), LOGITS),
        ([losses.SparseCategoricalCrossentropy(from_logits=True)], LOGITS),
        ("categorical_hinge", LOGITS),
        (categorical, PROBABILITIES),
        (sparse_in_name_only, PROBABILITIES),
        ("sparse_categorical_crossentropy", PROBABILITIES),
    ],
)
def test_the_loss_tells_on_which_scale_linear_outputs_of_classes_are(loss, expected):
    assert output_scale(compiled(loss, 3), Task.MULTICLASS, 3) is expected


def test_the_loss_tells_on_which_scale_outputs_of_labels_are():
    assert output_scale(compiled(over_logits, 3), Task.MULTILABEL, 3) is LOGITS


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", own_hinge])
def test_tanh_gives_scores_to_a_hinge_loss(loss):
    assert output_scale(compiled(loss, 1, "tanh"), Task.BINARY, 2) is SCORES


@pytest.mark.parametrize("loss", [over_logits, "hinge", "mse"])
def test_a_sigmoid_at_the_end_gives_probabilities_whatever_the_loss(loss):
    assert output_scale(compiled(loss, 1, "sigmoid"), Task.BINARY, 2) is PROBABILITIES


def test_the_activation_of_a_model_inside_of_a_model_is_seen():
    inner = keras.Sequential([keras.Input((2,)), layers.Dense(1), layers.ReLU()])
    inner.add(layers.Activation("sigmoid"))
    inputs = keras.Input((2,))
    model = keras.Model(inputs, inner(inputs))
    model.compile("sgd", loss=over_logits)
    assert output_scale(model, Task.BINARY, 2) is PROBABILITIES


def test_the_word_of_the_experiment_comes_first():
    model = compiled("binary_crossentropy")
    set_output_scale(model, "logits")
    assert output_scale(model, Task.BINARY, 2) is LOGITS


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (my_loss, TargetForm.CLASS_NUMBERS),
        (gathered, TargetForm.CLASS_NUMBERS),
        (["sparse_categorical_crossentropy"], TargetForm.CLASS_NUMBERS),
        ({"out": "sparse_categorical_crossentropy"}, TargetForm.CLASS_NUMBERS),
        (losses.SparseCategoricalCrossentropy(name="x"), TargetForm.CLASS_NUMBERS),
        (categorical, TargetForm.ONE_HOT),
        (sparse_in_name_only, TargetForm.ONE_HOT),
        (Focal(name="sparse"), TargetForm.ONE_HOT),
        ("kl_divergence", TargetForm.ONE_HOT),
        ("crossentropy", TargetForm.ONE_HOT),
    ],
)
def test_a_loss_gets_classes_in_the_form_it_makes_sense_of(loss, expected):
    assert target_form(compiled(loss, 3), Task.MULTICLASS, 3) is expected


def test_one_output_gets_a_column_even_from_a_loss_that_is_called_sparse():
    def sparse_bce(y, outputs):
        return losses.binary_crossentropy(y, outputs)

    assert target_form(compiled(sparse_bce), Task.BINARY, 2) is None


@pytest.mark.parametrize(
    "loss", ["mse", losses.Huber(), losses.MeanSquaredError, ["mae"]]
)
def test_losses_for_numbers_are_known_in_every_form(loss):
    loss = loss() if isinstance(loss, type) else loss
    assert is_regression_loss(compiled(loss))


def test_a_loss_of_the_users_own_is_none_of_keras():
    assert keras_loss(compiled(over_logits)) is None
    assert keras_loss(compiled(Focal())) is None
    assert compiled_loss(compiled({"out": [over_logits]})) is over_logits


def test_scores_become_shares_and_are_ranked_as_before():
    found = as_predictions(np.array([[-1.0], [0.0], [0.5]]), Task.BINARY, scale=SCORES)
    assert found.tolist() == [0, 0.5, 0.75]


def test_outputs_of_an_unknown_scale_are_taken_only_if_they_are_probabilities():
    shares = np.array([[0.25, 0.75]])
    assert as_predictions(shares, Task.BINARY, scale=UNKNOWN) == pytest.approx([0.75])
    for outputs in (np.array([[1.5]]), np.array([[0.5, 0.9]])):
        with pytest.raises(TrialFailed, match="outputs='logits'"):
            as_predictions(outputs, Task.BINARY, scale=UNKNOWN)
