"""Losses, metrics and fits as users write them: pre-flight and one trial of each."""

import functools

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers, losses, ops
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.evaluation.evaluate import evaluate_trial
from ktune.evaluation.refit import refit
from ktune.experiment.experiment import Experiment
from ktune.trial import Trial
from ktune.tuner.preflight import preflight

TRAINERS = ["graph", "keras_fit"]
CANCER = load_breast_cancer(return_X_y=True)
IRIS = load_iris(return_X_y=True)


def run(data, build, **fields):
    """Return the pre-flight, the trial of the defaults, and what to refit it by."""
    fields = {"fit": {"epochs": 4}, "cv": 2, **fields}
    ready = preflight(Experiment(name="form", data=data, build=build, **fields))
    trial = Trial(0, ready.defaults, seed=1)
    result = evaluate_trial(ready.context, trial)
    assert result.failure is None, result.failure
    return ready, result, functools.partial(refit, ready.context, trial, epochs=4)


def net(width, activation, loss, n_features=30, **more):
    def build(hp):
        model = keras.Sequential(
            [
                keras.Input((n_features,)),
                layers.Dense(8, "relu"),
                layers.Dense(width, activation, name="out"),
            ]
        )
        model.compile(keras.optimizers.Adam(0.02), loss=loss, **more)
        return model

    return build


def over_logits(y, outputs):
    return losses.binary_crossentropy(y, outputs, from_logits=True)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", TRAINERS)
def test_own_loss_over_logits_scores_as_the_loss_of_keras(trainer):
    known = losses.BinaryCrossentropy(from_logits=True)
    scores = []
    for loss in (over_logits, [known], {"out": known}):
        build = net(1, "linear", loss)
        ready, result, again = run(CANCER, build, objective="log_loss", trainer=trainer)
        assert result.score == pytest.approx(result.mean("loss"), rel=1e-3)
        scores.append(result.score)
        if loss is over_logits:
            assert "read as logits" in ready.notes[0]
            assert again().test["log_loss"].value < 0.3
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-3)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_scores_of_hinge_and_tanh_are_read_from_minus_one_to_one(trainer):
    ready, result, _ = run(CANCER, net(1, "tanh", "hinge"), trainer=trainer)
    assert result.score > 0.9
    assert "signed scores" in ready.notes[0]


def sparse_by_another_name(y, outputs):
    return losses.sparse_categorical_crossentropy(y, outputs, from_logits=True)


def test_a_loss_gets_class_numbers_whatever_its_name():
    _, result, _ = run(
        IRIS, net(3, None, sparse_by_another_name, 4), fit={"epochs": 15}
    )
    assert result.mean("log_loss") == pytest.approx(result.mean("loss"), rel=1e-3)


def test_outputs_that_are_no_probabilities_are_pointed_out():
    ready, _, _ = run(IRIS, net(3, None, "categorical_crossentropy", 4))
    assert "are no probabilities" in ready.notes[0]
    assert "from_logits=True" in ready.notes[0]


class Unreadable(keras.Model):
    """Computes its own loss, so that its outputs may be anything."""

    def __init__(self):
        super().__init__()
        self.last = layers.Dense(1)

    def call(self, x):
        return self.last(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **more):
        return ops.mean(losses.binary_crossentropy(y, y_pred, from_logits=True))


def unreadable(hp):
    model = Unreadable()
    model.compile("sgd", loss=None)
    return model


@pytest.mark.slow
def test_outputs_of_an_unknown_scale_are_refused_until_it_is_stated():
    with pytest.raises(ExperimentError, match="outputs='logits'"):
        run(CANCER, unreadable)
    _, result, _ = run(CANCER, unreadable, outputs="logits", objective="log_loss")
    assert result.score == pytest.approx(result.mean("loss"), rel=1e-3)


def half_right(y, outputs):
    return ops.mean(ops.cast(ops.equal(y, ops.round(outputs)), "float32")) / 2


@pytest.mark.slow
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_compiled_metric_is_an_objective_of_either_trainer(trainer):
    build = net(1, "sigmoid", "binary_crossentropy", metrics=[half_right])
    objective = keras_tuner.Objective("val_half_right", "max")
    _, result, again = run(CANCER, build, objective=objective, trainer=trainer)
    assert result.score == pytest.approx(result.mean("accuracy") / 2, rel=1e-4)
    assert result.mean("half_right", "train") > 0.4
    assert len(result.curves["val_half_right"]) == 2
    assert "half_right" not in again().test


def test_metrics_that_keras_counts_keep_their_name_from_model_to_model():
    def build(hp):
        metrics = [keras.metrics.TopKCategoricalAccuracy(2), keras.metrics.MeanIoU(3)]
        return net(3, "softmax", "categorical_crossentropy", 4, metrics=metrics[:1])(hp)

    for _ in range(2):
        _, result, _ = run(IRIS, build, objective="val_top_k_categorical_accuracy")
        assert result.score > 0.5


def test_a_metric_the_model_has_not_is_named_before_the_search():
    build = net(1, "sigmoid", "binary_crossentropy", metrics=["accuracy"])
    with pytest.raises(ExperimentError, match=r"'dice' is not among.*accuracy, loss"):
        run(CANCER, build, objective=("val_dice", "max"))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_metric_with_a_value_for_each_class_does_not_stop_training(trainer):
    reduce_rate = keras.callbacks.ReduceLROnPlateau(monitor="val_f1_score", mode="max")
    build = net(
        3,
        "softmax",
        "categorical_crossentropy",
        4,
        metrics=["accuracy", keras.metrics.F1Score()],
    )
    fit = {"epochs": 4, "callbacks": [reduce_rate]}
    _, result, _ = run(IRIS, build, trainer=trainer, fit=fit)
    assert result.score > 0.3


class ReturnsNumber(keras_tuner.HyperModel):
    """As KerasTuner's own guide has it."""

    def build(self, hp):
        build = net(3, "softmax", "sparse_categorical_crossentropy", 4)
        return build(hp)

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        history = model.fit(x, y, validation_data=validation_data, **kwargs)
        return min(history.history["val_loss"])


@pytest.mark.slow
def test_the_number_of_a_hypermodels_fit_is_the_objective_and_minimised():
    ready, result, again = run(IRIS, ReturnsNumber())
    assert ready.context.objective.direction == "min"
    assert ready.settled == {"objective": ("fit_value", "min")}
    assert result.score == pytest.approx(result.mean("loss"), rel=1e-3)
    assert "smaller is better" in ready.notes[0]
    assert again().test["accuracy"].value > 0.3


class ReturnsDict(ReturnsNumber):
    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, validation_data=validation_data, **kwargs)
        shares = model.predict(validation_data[0], verbose=0)
        return {"sureness": float(np.mean(shares.max(axis=1)))}


@pytest.mark.slow
def test_a_dict_of_a_hypermodels_fit_has_the_objective_under_its_name():
    objective = keras_tuner.Objective("sureness", "max")
    _, result, _ = run(IRIS, ReturnsDict(), objective=objective)
    assert 1 / 3 < result.score < 1
    with pytest.raises(AssertionError, match="not among the metrics"):
        run(IRIS, ReturnsDict(), objective=("other", "max"))


def test_whole_numbers_under_a_regression_loss_are_a_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = np.clip(np.round(5 + 2 * x[:, 0]), 0, 10).astype(int)
    ready, result, _ = run((x, y), net(1, None, "mse", 4), fit={"epochs": 10})
    assert ready.context.data.task is Task.REGRESSION
    assert ready.settled == {"task": "regression"}
    assert "mean_squared_error" in ready.notes[0]
    assert result.mean("rmse") < 6


def test_whole_numbers_without_a_regression_loss_are_told_how_to_be_numbers():
    diabetes = load_diabetes(return_X_y=True)
    y = (diabetes[1] // 50).astype(int)
    with pytest.raises(ExperimentError, match="task='regression'"):
        run((diabetes[0], y), net(1, None, "binary_crossentropy", 10))


class Subclassed(keras.Model):
    def __init__(self, width):
        super().__init__()
        self.hidden, self.out = layers.Dense(8, "relu"), layers.Dense(width, "softmax")

    def call(self, x):
        return self.out(self.hidden(x))


def subclassed(hp):
    return Subclassed(2)


def subclassed_and_compiled(hp):
    model = Subclassed(2)
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("build", [subclassed, subclassed_and_compiled])
def test_a_subclassed_model_is_trained_by_either_trainer(trainer, build):
    _, result, _ = run(CANCER, build, trainer=trainer)
    assert 0.3 < result.mean("accuracy") <= 1
