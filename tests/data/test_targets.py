from types import SimpleNamespace

import numpy as np
import pytest

from ktune.data.dataset import Task
from ktune.data.output_scale import OutputScale, output_scale, scale_of_spec
from ktune.data.targets import as_predictions, encode_targets
from ktune.errors import TrialFailed

CLASSES = np.array([2, 0, 1])


def compiled(loss, width=None):
    """A stand-in for a compiled model; without width, like a subclassed one."""
    known = {} if width is None else {"output_shape": (None, width)}
    return SimpleNamespace(loss=loss, **known)


def loss_object(name, **more):
    return SimpleNamespace(name=name, **more)


def sparse_categorical_crossentropy(y, outputs):
    """Stands for a loss given as a function."""


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        loss_object("sparse_categorical_crossentropy"),
        sparse_categorical_crossentropy,
    ],
)
def test_a_sparse_loss_takes_class_numbers(loss):
    found = encode_targets(CLASSES, compiled(loss, 3), Task.MULTICLASS, 3)
    assert found.dtype == np.int32
    assert found.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", loss_object("categorical_focal_crossentropy")]
)
def test_a_categorical_loss_takes_one_hot_rows(loss):
    found = encode_targets(CLASSES, compiled(loss, 3), Task.MULTICLASS, 3)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("model", [compiled("hinge", 1), compiled("hinge")])
def test_two_classes_and_one_output_take_a_column(model):
    found = encode_targets(np.array([0, 1]), model, Task.BINARY, 2)
    assert found.dtype == np.float32
    assert found.tolist() == [[0], [1]]


@pytest.mark.parametrize("width", [2, None])
def test_two_classes_and_two_outputs_take_one_hot_rows(width):
    model = compiled("categorical_crossentropy", width)
    found = encode_targets(np.array([0, 1]), model, Task.BINARY, 2)
    assert found.tolist() == [[1, 0], [0, 1]]


def test_two_classes_and_a_sparse_loss_take_class_numbers():
    model = compiled("sparse_categorical_crossentropy", 2)
    assert encode_targets(np.array([0, 1]), model, Task.BINARY, 2).tolist() == [0, 1]


def test_labels_and_numbers_become_columns_of_float32():
    labels = encode_targets(np.eye(3, dtype=int), None, Task.MULTILABEL, 3)
    assert (labels.dtype, labels.shape) == (np.float32, (3, 3))
    numbers = encode_targets(np.array([1.5, 2.5]), None, Task.REGRESSION, 1)
    assert (numbers.dtype, numbers.tolist()) == (np.float32, [[1.5], [2.5]])


def test_one_probability_of_two_classes_is_a_flat_array():
    outputs = np.array([[0.25], [0.75]])
    found = as_predictions(outputs, Task.BINARY, scale=OutputScale.PROBABILITIES)
    assert (found.dtype, found.tolist()) == (np.float32, [0.25, 0.75])


def test_of_two_outputs_that_of_the_second_class_counts():
    outputs = np.array([[0.75, 0.25], [2.0, 6.0]])
    found = as_predictions(outputs, Task.BINARY, scale=OutputScale.PROBABILITIES)
    assert found.tolist() == [0.25, 0.75]


def test_a_logit_becomes_a_probability():
    outputs = np.log([[1 / 3], [1.0], [3.0]])
    found = as_predictions(outputs, Task.BINARY, scale=OutputScale.LOGITS)
    assert found == pytest.approx([0.25, 0.5, 0.75])


def test_two_logits_become_the_probability_of_the_second_class():
    outputs = np.log([[3.0, 1.0], [1.0, 3.0]])
    found = as_predictions(outputs, Task.BINARY, scale=OutputScale.LOGITS)
    assert found == pytest.approx([0.25, 0.75])


def test_logits_of_classes_become_probabilities_that_sum_to_one():
    outputs = np.log([[1.0, 2.0, 5.0]])
    found = as_predictions(outputs, Task.MULTICLASS, scale=OutputScale.LOGITS)
    assert found[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_logits_of_labels_are_independent():
    outputs = np.log([[1.0, 3.0]])
    found = as_predictions(outputs, Task.MULTILABEL, scale=OutputScale.LOGITS)
    assert found[0] == pytest.approx([0.5, 0.75])


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.MULTILABEL])
def test_enormous_logits_are_certain_and_finite(task):
    width = 1 if task is Task.BINARY else 2
    outputs = np.array([[1e30, -1e30][:width]])
    found = as_predictions(outputs, task, scale=OutputScale.LOGITS)
    assert found.ravel().tolist() == pytest.approx([1, 0][:width])


def test_a_linear_output_is_cut_to_a_probability():
    found = as_predictions(
        np.array([[-0.5], [1.5]]), Task.BINARY, scale=OutputScale.PROBABILITIES
    )
    assert found.tolist() == [0, 1]


def test_rows_without_any_probability_are_spread_evenly():
    found = as_predictions(
        np.zeros((1, 4)), Task.MULTICLASS, scale=OutputScale.PROBABILITIES
    )
    assert found[0] == pytest.approx([0.25] * 4)


def test_predicted_numbers_have_the_shape_of_their_targets():
    one, two = np.ones((3, 1)), np.ones((3, 2))
    assert as_predictions(
        one, Task.REGRESSION, scale=OutputScale.PROBABILITIES
    ).shape == (3,)
    assert as_predictions(
        two, Task.REGRESSION, scale=OutputScale.PROBABILITIES
    ).shape == (3, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("task", list(Task))
def test_outputs_that_are_not_finite_fail_the_trial(bad, task):
    with pytest.raises(TrialFailed, match="not finite"):
        as_predictions(np.array([[0.5, bad]]), task, scale=OutputScale.PROBABILITIES)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"returns_logits": True}, OutputScale.LOGITS),
        ({"returns_logits": False}, OutputScale.PROBABILITIES),
        ({"returns_logits": False, "output_scale": "scores"}, OutputScale.SCORES),
    ],
)
def test_registered_models_of_every_version_tell_their_scale(spec, expected):
    assert scale_of_spec(spec) is expected


def test_an_object_with_from_logits_tells_that_outputs_are_logits():
    model = compiled(loss_object("x", from_logits=True), 1)
    assert output_scale(model, Task.BINARY, 2) is OutputScale.LOGITS
