import keras
import pytest

from ktune.data.dataset import DataDescription, Task
from ktune.evaluation.model_builder import ModelBuilder
from ktune.experiment.experiment import Experiment
from ktune.spaces.hyperparameters import default_values

N_CLASSES = {Task.BINARY: 2, Task.MULTICLASS: 3, Task.REGRESSION: 1}
ADDED = {"learning_rate_schedule", "label_smoothing"}


def builder(task=Task.MULTICLASS, **fields):
    def build(hp):
        last = keras.layers.Dense(1 if N_CLASSES[task] < 3 else 3)
        return keras.Sequential([keras.Input((2,)), last])

    n_outputs = N_CLASSES[task]
    data = DataDescription("rows", task, (2,), n_outputs, 30)
    experiment = Experiment(name="x", data=([[0.0]], [0]), build=build, **fields)
    return ModelBuilder(experiment, data)


def smoothing_of(model):
    return getattr(model.loss, "label_smoothing", None)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_classifiers_without_a_loss_learn_smoothed_labels_at_a_falling_rate(task):
    made = builder(task)
    values = default_values(made.declare)
    assert set(values) > ADDED
    assert smoothing_of(made.model(values)) == 0.05
    assert made.settings(values).learning_rate_schedule == "cosine"


def test_a_regression_has_no_labels_to_smooth():
    assert "label_smoothing" not in default_values(builder(Task.REGRESSION).declare)


def test_a_trial_recorded_without_them_is_repeated_without_them():
    made = builder()
    values = default_values(made.declare)
    old = {name: value for name, value in values.items() if name not in ADDED}
    assert made.model(old).loss == "sparse_categorical_crossentropy"
    assert made.settings(old).learning_rate_schedule is None


def test_the_schedule_of_the_user_replaces_the_default():
    own = builder(fit={"learning_rate_schedule": None})
    values = default_values(own.declare)
    assert "learning_rate_schedule" not in values
    assert own.settings(values).learning_rate_schedule is None
    callback = keras.callbacks.ReduceLROnPlateau()
    made = builder(fit=lambda hp: {"callbacks": [callback]})
    values = default_values(made.declare)
    assert made.settings(values).learning_rate_schedule is None
