"""Stateful RNNs: batches of exactly the size the model is built for."""

import keras
import numpy as np
import pytest
from keras import layers

from ktune.data.fixed_batch import fixed_batch_size, predict_in_batches
from ktune.errors import ExperimentError
from ktune.evaluation.evaluate import evaluate_trial
from ktune.evaluation.refit import predict, refit
from ktune.experiment.experiment import Experiment
from ktune.models.export.exporting import _write
from ktune.protocols import ExportJob
from ktune.trial import Trial
from ktune.tuner.preflight import preflight

SIZE = 16
RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 6, 2)).astype(np.float32)
Y = (X[:, :, 0].sum(axis=1) > 0).astype(int)


def stateful(hp):
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(SIZE, 6, 2)),
            layers.LSTM(8, stateful=True),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), loss="binary_crossentropy")
    return model


def experiment(**fields):
    fit = {"epochs": 8, "early_stopping": False}
    return Experiment(name="rnn", data=(X, Y), build=stateful, cv=2, fit=fit, **fields)


@pytest.mark.slow
def test_a_stateful_network_is_searched_refitted_and_predicts_any_number_of_rows():
    ready = preflight(experiment(max_latency_ms=1e6))
    trial = Trial(0, ready.defaults, seed=1)
    result = evaluate_trial(ready.context, trial)
    assert result.failure is None, result.failure
    assert result.trainer == "keras_fit"
    assert result.score > 0.6
    fitted = refit(ready.context, trial, epochs=2)
    assert fitted.test["accuracy"].value > 0.4
    outputs = predict(fitted.model, fitted.preprocessing, X[:5])
    again = predict(fitted.model, fitted.preprocessing, X[:20])
    assert outputs.shape == (5, 1)
    np.testing.assert_allclose(outputs, again[:5], rtol=1e-5)


def test_outputs_do_not_depend_on_the_rows_before():
    model = stateful(None)
    assert fixed_batch_size(model) == SIZE
    first = predict_in_batches(model, X[:40], SIZE)
    np.testing.assert_allclose(predict_in_batches(model, X[:40], SIZE), first)
    alone = predict_in_batches(model, X[SIZE : 2 * SIZE], SIZE)
    np.testing.assert_allclose(alone, first[SIZE : 2 * SIZE], rtol=1e-5)


def without_input():
    return keras.Sequential([layers.Flatten(), layers.Dense(1, "sigmoid")])


def test_a_sequential_model_without_input_layer_takes_any_batch_size():
    def build(hp):
        model = without_input()
        model.compile("adam", loss="binary_crossentropy")
        return model

    ready = preflight(Experiment(name="open", data=(X, Y), build=build, cv=2))
    assert ready.context.builder.model(ready.defaults).inputs[0].shape[0] is None
    assert not any("fixed batch" in note for note in ready.notes)


@pytest.mark.parametrize("sizes", [1, 3])
def test_the_rows_a_model_was_first_called_with_are_no_fixed_batch(sizes):
    model = without_input()
    model(X[:sizes])
    assert model.inputs[0].shape[0] == sizes
    assert fixed_batch_size(model) is None


def test_a_layer_that_counts_rows_fixes_the_batch():
    inputs = keras.Input(batch_shape=(4, 6, 2))
    rows = layers.Lambda(lambda x: keras.ops.reshape(x, (4, 12)))(inputs)
    assert fixed_batch_size(keras.Model(inputs, layers.Dense(1)(rows))) == 4


def test_named_inputs_of_any_batch_size_are_not_fixed():
    a, b = (keras.Input(batch_shape=(4, 2), name=name) for name in "ab")
    model = keras.Model({"a": a, "b": b}, layers.Add()([a, b]))
    assert fixed_batch_size(model) is None


def test_the_graph_trainer_says_that_the_batch_size_is_fixed():
    ready = preflight(experiment(trainer="graph"))
    result = evaluate_trial(ready.context, Trial(0, ready.defaults, seed=1))
    assert "fixed batch size of 16" in result.failure.message
    assert result.failure.kind == ExperimentError.__name__


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")
def test_the_served_code_predicts_as_the_search_does():
    from ktune.models.registry.served_model import _predict_in_batches

    model = stateful(None)
    expected = predict_in_batches(model, X[:21], SIZE)
    np.testing.assert_allclose(_predict_in_batches(model, X[:21], SIZE), expected)


@pytest.mark.parametrize("n_rows", [SIZE, 1])
def test_a_model_without_a_fixed_size_takes_what_comes(n_rows):
    model = keras.Sequential([keras.Input((6, 2)), layers.LSTM(2), layers.Dense(1)])
    assert fixed_batch_size(model) is None


def test_an_exported_file_begins_with_fresh_states(tmp_path):
    class Recorder:
        name = "recorder"

        def write(self, job, folder):
            return [np.abs(state).max() for state in job.model.layers[0].states]

    model = stateful(None)
    model.predict_on_batch(X[:SIZE])
    job = ExportJob(model, lambda: model, "rnn", {}, {"rows": X[:SIZE]})
    assert _write(Recorder(), job, tmp_path) == [0, 0]
