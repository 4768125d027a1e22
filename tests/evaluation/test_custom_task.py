"""A custom task: the model's own loss and metrics score a trial, in both trainers."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.evaluation.evaluate import evaluate_trial
from ktune.evaluation.refit import refit
from ktune.experiment.experiment import Experiment, override
from ktune.trial import Trial
from ktune.tuner.diagnoser import measure_search_references
from ktune.tuner.preflight import preflight

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5)).astype("float32")
KIND, SIZE = (X[:, 0] > 0).astype(int), 3 * X[:, 1] + 2
WEIGHTS = RNG.uniform(0.5, 2.0, len(X))


def two_outputs(hp):
    inputs = keras.Input((5,))
    hidden = layers.Dense(hp.Int("units", 4, 8), "relu")(inputs)
    kind = layers.Dense(1, "sigmoid")(hidden)  # named by Keras: dense_7 …
    size = layers.Dense(1, name="size")(hidden)
    model = keras.Model(inputs, [kind, size])
    model.compile(
        keras.optimizers.Adam(0.02),
        loss=["binary_crossentropy", "mse"],
        loss_weights=[2.0, 0.5],
        metrics=[["accuracy", keras.metrics.AUC()], []],
        weighted_metrics=[[], ["mae"]],
    )
    return model


def prepared(data, build, **fields):
    fields = {"fit": {"epochs": 2}, "cv": 2, **fields}
    return preflight(Experiment(name="custom", data=data, build=build, **fields))


@pytest.fixture(scope="module")
def ready():
    data = (X, [KIND, SIZE], WEIGHTS)
    return prepared(data, two_outputs, objective="size_mae")


@pytest.fixture(scope="module")
def results(ready):
    """The same trial by both trainers."""
    trial = Trial(0, ready.defaults, seed=1)
    return {
        name: evaluate_trial(ready.context.with_changes({"trainer": name}), trial)
        for name in ("graph", "keras_fit")
    }


def test_both_trainers_give_the_scores_of_all_outputs(results):
    graph, keras_fit = results["graph"], results["keras_fit"]
    assert (graph.trainer, keras_fit.trainer) == ("graph", "keras_fit")
    assert set(graph.folds[0].validation) == {
        "loss",
        "output_0_loss",
        "size_loss",
        "output_0_accuracy",
        "output_0_auc",
        "size_mae",
    }
    for one, other in zip(graph.folds, keras_fit.folds, strict=True):
        assert dict(one.validation) == pytest.approx(dict(other.validation), rel=1e-4)
        assert dict(one.train) == pytest.approx(dict(other.train), rel=1e-4)
    assert graph.score == pytest.approx(graph.mean("size_mae"))
    assert graph.curves["val_loss"][0] == pytest.approx(
        keras_fit.curves["val_loss"][0], rel=1e-4
    )


def test_test_scores_are_those_of_evaluate_with_weights(ready):
    fitted = refit(ready.context, Trial(0, ready.defaults, seed=1), epochs=2)
    partition = ready.context.partition
    found = fitted.model.evaluate(
        fitted.preprocessing.transform(partition.x_test),
        partition.y_test.structure,
        sample_weight=partition.weights_test,
        verbose=0,
        return_dict=True,
    )
    assert fitted.test["loss"].value == pytest.approx(found["loss"])
    assert fitted.test["size_mae"].value == pytest.approx(found["size_mae"])
    assert fitted.test["loss"].low < found["loss"] < fitted.test["loss"].high


def test_the_level_without_skill_is_the_loss_of_the_best_constant(ready):
    found = measure_search_references(ready.context, ready.dataset)
    y = ready.context.partition.y.parts["1"]
    expected = 2.0 * np.log(2) + 0.5 * float(np.var(y))
    constant = found.baselines.constant["loss"]
    assert constant == pytest.approx(expected, rel=0.3)
    assert found.baselines.linear == {}


def pinball(y, outputs):
    shares = ops.convert_to_tensor([0.1, 0.5, 0.9], "float32")
    error = ops.reshape(y, (-1, 1)) - outputs
    return ops.mean(ops.maximum(shares * error, (shares - 1) * error), axis=-1)


def dense(width, loss, **options):
    def build(hp):
        model = keras.Sequential([keras.Input((5,)), layers.Dense(width)])
        model.compile("adam", loss=loss, **options)
        return model

    return build


def test_quantiles_of_an_own_loss_make_the_task_custom():
    ready = prepared((X, SIZE), dense(3, pinball))
    assert ready.settled == {"task": "custom"}
    assert "the task is custom" in ready.notes[0]
    result = evaluate_trial(ready.context, Trial(0, ready.defaults, seed=1))
    assert result.trainer == "graph"
    assert result.score == result.mean("loss")


def test_a_loss_of_keras_with_other_outputs_stays_a_mistake():
    with pytest.raises(ExperimentError, match="task='custom'"):
        prepared((X, SIZE), dense(3, "mse"))


MISTAKES = {
    "structure": (
        (X, {"kind": KIND, "size": SIZE}),
        dense(1, "mse"),
        {},
        "differ in form",
    ),
    "objective": (
        (X, SIZE),
        dense(1, "mse", metrics=["mae"]),
        {"task": "custom", "objective": "io_u"},
        "'io_u' is not among the metrics of the model",
    ),
    "metrics": (
        (X, SIZE),
        dense(1, "mse"),
        {"task": "custom", "metrics": ["r2"]},
        "name them in `build`",
    ),
    "classes": (
        (X, SIZE),
        dense(1, "mse"),
        {"task": "custom", "threshold": 0.3},
        "`threshold` is for two classes",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_of_a_custom_task_have_one_message(case):
    data, build, fields, message = MISTAKES[case]
    with pytest.raises(ExperimentError, match="(?s)" + message):
        prepared(data, build, **fields)


def test_an_uncompiled_model_is_refused():
    def build(hp):
        return keras.Sequential([keras.Input((5,)), layers.Dense(1)])

    with pytest.raises(ExperimentError, match="so compile it"):
        prepared((X, SIZE), build, task="custom")


def test_features_as_targets_that_are_preprocessed_are_pointed_out():
    ready = prepared((100 * X, 100 * X), dense(5, "mse"), task="custom")
    assert any("Targets are the features" in note for note in ready.notes)


def two_inputs(hp):
    one, other = keras.Input((5,)), keras.Input((2,), name="extra")
    both = layers.Concatenate()([layers.Dense(4)(one), other])
    model = keras.Model([one, other], layers.Dense(1)(both))
    model.compile("adam", loss="mse")
    return model


def test_inputs_in_a_list_have_the_names_of_the_model():
    ready = prepared(([X, X[:, :2]], SIZE), two_inputs)
    assert list(ready.context.data.input_shape) == ["input_0", "extra"]
    assert ready.context.data.task is Task.REGRESSION
    trial = Trial(0, ready.defaults, seed=1)
    result = evaluate_trial(ready.context, trial)
    assert (result.trainer, result.failure) == ("graph", None)


def test_a_list_of_another_number_of_inputs_is_explained():
    with pytest.raises(ExperimentError, match="the model has 2 inputs"):
        prepared(([X, X, X], SIZE), two_inputs)


def test_a_custom_task_can_be_chosen_by_an_option():
    experiment = Experiment(name="x", data=(X, SIZE), build=dense(1, "mse"))
    ready = preflight(override(experiment, {"task": "custom", "cv": 2}))
    assert ready.context.objective.metric == "loss"
