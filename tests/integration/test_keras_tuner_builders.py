"""KerasTuner's own example builders, unchanged, in real searches by both engines."""

import os

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers
from keras_tuner.applications import HyperImageAugment, HyperResNet
from no_training import without_refit, without_report

from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.searchers import make_searcher
from ktune.spaces.hyperparameters import default_values
from ktune.tuner.preflight import preflight
from ktune.tuner.search import search

pytestmark = pytest.mark.slow

ENGINES = ("optuna", "kerastuner")
IS_LONG = bool(os.environ.get("KTUNE_LONG_TESTS"))


def images(n, side, channels, n_classes=3):
    generator = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    x = generator.normal(y[:, None, None, None], 0.3, (n, side, side, channels))
    return x.astype(np.float32), y


def build_getting_started(hp):
    """From https://keras.io/keras_tuner/getting_started, its metric left out."""
    model = keras.Sequential()
    model.add(layers.Flatten())
    for i in range(hp.Int("num_layers", 1, 3)):
        model.add(
            layers.Dense(
                units=hp.Int(f"units_{i}", min_value=32, max_value=512, step=32),
                activation=hp.Choice("activation", ["relu", "tanh"]),
            )
        )
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(3, activation="softmax"))
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class ConditionalHyperModel(keras_tuner.HyperModel):
    """From the docstring of `HyperParameters.conditional_scope`."""

    def build(self, hp):
        model = keras.Sequential()
        model.add(layers.Input(shape=(8, 8, 3)))
        model_type = hp.Choice("model_type", ["mlp", "cnn"])
        with hp.conditional_scope("model_type", ["mlp"]):
            if model_type == "mlp":
                model.add(layers.Flatten())
                model.add(layers.Dense(32, activation="relu"))
        with hp.conditional_scope("model_type", ["cnn"]):
            if model_type == "cnn":
                model.add(layers.Conv2D(64, 3, activation="relu"))
                model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dense(3, activation="softmax"))
        return model


class TunesItsFit(keras_tuner.HyperModel):
    """After "Tune model training" of KerasTuner's guide; keeps what it was given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def build(self, hp):
        units = hp.Int("units", 4, 8)
        model = keras.Sequential([layers.Flatten(), layers.Dense(units)])
        model.add(layers.Dense(3, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    def fit(self, hp, model, *args, **kwargs):
        batch_size = hp.Choice("batch_size", [8, 16])
        self.seen.append((model, len(args[0]), batch_size))
        return model.fit(
            *args,
            batch_size=batch_size,
            epochs=hp.Int("epochs", 2, 2),
            shuffle=hp.Boolean("shuffle"),
            **kwargs,
        )


@pytest.fixture
def run(tmp_path, store):
    def run(build, data, **changes):
        given = {"fit": {"epochs": 1}, "cv": 2, "trials": 3, **changes}
        experiment = Experiment(name="x", data=data, build=build, **given)
        uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
        with without_report():
            return search(experiment, tracking_uri=uri, listener=Listener())

    return run


@pytest.mark.parametrize("engine", ENGINES)
def test_the_getting_started_example_searches(run, engine):
    result = run(build_getting_started, images(60, 8, 1), engine=engine)
    frame = result.trials
    assert list(frame["state"]) == ["complete"] * 3
    assert {"num_layers", "units_0", "activation", "dropout", "lr"} <= set(frame)
    assert result.test


@pytest.mark.parametrize("engine", ENGINES)
def test_the_conditional_scope_example_searches(run, engine):
    with without_refit():
        result = run(ConditionalHyperModel(), images(60, 8, 3), engine=engine)
    assert list(result.trials["state"]) == ["complete"] * 3
    assert set(result.trials["model_type"]) <= {"mlp", "cnn"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hypermodel_with_its_own_fit_is_honoured(run, engine):
    hypermodel = TunesItsFit()
    result = run(hypermodel, images(60, 4, 1), engine=engine, fit=None, trials=2)
    frame = result.trials
    assert list(frame["state"]) == ["complete"] * 2
    assert {"units", "batch_size", "shuffle", "epochs"} <= set(result.best.values)
    assert set(frame["epochs"]) == {2}
    trained = {size for _, n, size in hypermodel.seen if n > 1}
    assert trained <= {8, 16}
    assert trained


def test_a_hypermodel_that_never_calls_model_fit_is_refused(run):
    class Loop(TunesItsFit):
        def fit(self, hp, model, *args, **kwargs):
            return 0.5

    from ktune.errors import ExperimentError

    with pytest.raises(ExperimentError, match="called model.fit 0 times"):
        run(Loop(), images(60, 4, 1), fit=None)


@pytest.mark.parametrize("engine", ENGINES if IS_LONG else ["optuna"])
def test_applications_build_and_take_a_batch(engine, tmp_path):
    augment = HyperImageAugment(input_shape=(32, 32, 3))

    class Augmented(keras_tuner.HyperModel):
        def build(self, hp):
            inputs = layers.Input((32, 32, 3))
            resnet = HyperResNet(input_shape=(32, 32, 3), classes=3).build(hp)
            outputs = resnet(augment.build(hp)(inputs))
            model = keras.Model(inputs, outputs)
            model.compile("adam", "categorical_crossentropy")
            return model

    experiment = Experiment(
        name="x", data=images(12, 32, 3), build=Augmented(), cv=2, engine=engine
    )
    ready = preflight(experiment)  # one batch goes through loss and gradients
    assert {"version", "conv3_depth", "augment_layers"} <= set(ready.defaults)
    searcher = make_searcher(
        experiment,
        ready.context.builder.declare,
        goal=ready.context.goal,
        path=tmp_path / "study.log",
        epochs=1,
    )
    trial = searcher.ask()
    assert dict(trial.values) == default_values(ready.context.builder.declare)


@pytest.mark.parametrize("sampler", ["random", "grid", "bayesian", "hyperband"])
def test_each_oracle_searches_from_end_to_end(run, sampler):
    def build(hp):
        model = keras.Sequential([layers.Flatten()])
        model.add(layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
        model.add(layers.Dense(3, activation="softmax"))
        return model

    fit = {"epochs": 3}
    data = images(60, 4, 1)
    with without_refit():
        result = run(build, data, engine="kerastuner", sampler=sampler, fit=fit)
    assert (result.trials["state"] != "failed").all()
    assert len(result.trials) == 3
    if sampler == "hyperband":
        assert min(result.trials["epochs"]) < 3
