"""Targets of a regression: scaled for training, reported in their original unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import ktune
from ktune.data import load_data
from ktune.data.folds import split
from ktune.data.targets import fit_target_scaling
from ktune.evaluation.context import make_context
from ktune.evaluation.evaluate import evaluate_trial
from ktune.listener import Listener
from ktune.models.registry.registration import load_served_model
from ktune.trial import Trial, TrialState
from ktune.tuner.search import search

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3)).astype(np.float32)
Y = 1000 + 50 * X @ [1.0, -2.0, 0.5]


@given(
    y=arrays_of.arrays(
        np.float32,
        st.tuples(st.integers(2, 20), st.integers(1, 3)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)
def test_scaling_is_undone_to_the_same_numbers_and_sees_training_rows_only(y):
    rows = np.arange(0, len(y), 2)
    scaling = fit_target_scaling(y, rows)
    np.testing.assert_allclose(scaling.undo(scaling.apply(y)), y, rtol=1e-4, atol=0.1)
    other = y.copy()
    other[1::2] += 1.0
    assert np.array_equal(fit_target_scaling(other, rows).mean, scaling.mean)


def test_class_numbers_are_not_scaled():
    assert fit_target_scaling(np.array([0, 1, 2]), np.arange(3)) is None


def linear(hp, compiled):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    if compiled:
        model.compile(keras.optimizers.Adam(0.02), "mean_squared_error")
    return model


def evaluate(compiled=False, **fields):
    experiment = ktune.Experiment(
        name="x",
        data=(X, Y),
        build=lambda hp: linear(hp, compiled),
        fit={"epochs": 12, "batch_size": 8},
        cv=2,
        **fields,
    )
    data = load_data((X, Y))
    context = make_context(experiment, data, split(data, cv=2, test_size=0.0, seed=0))
    return evaluate_trial(context, Trial(0, {}, seed=1))


@pytest.mark.parametrize("trainer", ["graph", "keras_fit"])
def test_scores_are_in_units_and_the_target_is_found_at_once(trainer):
    values = {"optimizer": "adam", "learning_rate": 0.05}
    experiment = ktune.Experiment(
        name="x",
        data=(X, Y),
        build=lambda hp: linear(hp, compiled=False),
        fit={"epochs": 12, "batch_size": 8, "early_stopping": False},
        trainer=trainer,
        cv=2,
    )
    data = load_data((X, Y))
    context = make_context(experiment, data, split(data, cv=2, test_size=0.0, seed=0))
    result = evaluate_trial(context, Trial(0, values, seed=1))
    assert result.state is TrialState.COMPLETE, result.failure
    assert result.trainer == trainer
    assert result.mean("rmse") < 25  # of 115, and of a mean of 1000
    assert result.mean("loss") < 0.1  # of targets of deviation 1


def test_a_model_compiled_by_its_builder_learns_the_units_unless_asked():
    assert evaluate(compiled=True).mean("rmse") > 800
    assert evaluate(compiled=True, scale_target=True).mean("rmse") < 120
    with pytest.raises(ktune.errors.ExperimentError, match="scale_target"):
        evaluate(scale_target="yes")


@pytest.mark.slow
def test_the_refitted_and_the_registered_model_speak_in_units(store):
    experiment = ktune.Experiment(
        name="diabetes",
        data=ktune.data.diabetes(),
        build=ktune.spaces.mlp(layers=1, units=32, batch_norm=False, dropout=0.0),
        fit={"epochs": 15},
        cv=2,
        trials=1,
    )
    uri = store.location.uri
    result = search(experiment, tracking_uri=uri, listener=Listener())
    assert result.test["rmse"].value < 90
    raw = ktune.data.diabetes().load()
    served = load_served_model(store, result.registration).predict(raw.x)
    assert served.shape == (442, 1)
    error = np.sqrt(np.mean((served[:, 0] - raw.y) ** 2))
    assert error < 75  # the target is 152 ± 77
    again = ktune.load("diabetes", tracking_uri=uri).model
    assert again.layers[-1].name == "target_units"
