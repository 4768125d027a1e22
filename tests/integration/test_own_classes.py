"""A model of the user's own classes is loaded by a process that never saw them."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import ktune
from ktune.data.preprocessing import FittedPreprocessing
from ktune.errors import ExperimentError, ModelLost, StoreError
from ktune.experiment.loading import load_experiment
from ktune.listener import Listener
from ktune.models.export.keras_exporter import KerasExporter
from ktune.models.registry import loading_check
from ktune.models.registry.champion import decide_champion
from ktune.models.registry.reference import find_model
from ktune.models.registry.stored_model import open_model
from ktune.protocols import ExportJob
from ktune.tracking.store import open_store

pytestmark = pytest.mark.slow

FILE = """
import os

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import ktune

X, y = load_iris(return_X_y=True)
os.environ["IMPORTS_OF_TEST"] = os.environ.get("IMPORTS_OF_TEST", "") + "x"


class Gate(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.units))

    def call(self, x):
        return ops.sigmoid(ops.matmul(x, self.w))


class Hits(keras.metrics.MeanMetricWrapper):
    def __init__(self, name="hits", **kwargs):
        super().__init__(hits, name=name, **kwargs)


class Stepping(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(x, y, predicted)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, predicted)
        return {metric.name: metric.result() for metric in self.metrics}


class Net(keras.Model):
    def __init__(self, hp):
        super().__init__()
        self.a = keras.layers.Dense(hp.Int("u", 4, 8), "relu")
        self.half = keras.layers.Lambda(lambda x: x / 2)
        self.o = keras.layers.Dense(3, "softmax")

    def call(self, x):
        return self.o(self.half(self.a(x)))


def double(x):
    return x * 2.0


def hits(y, p):
    return keras.metrics.sparse_categorical_accuracy(y, p)


def own_loss(y, p):
    return keras.losses.sparse_categorical_crossentropy(y, p)


def logs(x):
    return np.log1p(np.abs(x))


class Clip(TransformerMixin, BaseEstimator):
    def fit(self, x, y=None):
        self.highest_ = x.max()
        return self

    def transform(self, x):
        return np.minimum(x, self.highest_)


def build(hp):
    inputs = keras.Input((4,))
    x = Gate(hp.Int("u", 4, 8))(inputs)
    x = keras.layers.Lambda(double, output_shape=lambda s: s)(x) if 0 else (
        keras.layers.Lambda(double)(x)
    )
    model = Stepping(inputs, keras.layers.Dense(3, "softmax")(x))
    model.compile("adam", loss=own_loss, metrics=[Hits()])
    return model


def build_net(hp):
    model = Net(hp)
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return model


whole = ktune.Experiment(
    name="whole",
    data=(X, y),
    build=build,
    preprocess=make_pipeline(FunctionTransformer(logs), Clip()),
)
weights = ktune.Experiment(name="weights", data=(X, y), build=build_net)
"""

LOAD = """
import sys
sys.modules["ktune"] = None  # not installed
import mlflow.pyfunc, numpy as np
rows = np.load("rows.npy")
for name in ("whole", "weights"):
    np.save(name + "_out.npy", mlflow.pyfunc.load_model(name).predict(rows))
import os
assert "IMPORTS_OF_TEST" not in os.environ, "the file has run"
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Both experiments, searched; their notes, results and the store."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "file.py").write_text(FILE)
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    notes, results = [], {}

    class Notes(Listener):
        def on_note(self, text):
            notes.append(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("IMPORTS_OF_TEST", raising=False)
        for name in ("whole", "weights"):
            results[name] = ktune.search(
                load_experiment(f"{folder / 'file.py'}:{name}"),
                tracking_uri=uri,
                listener=Notes(),
                trials=1,
                cv=2,
                **{"fit.epochs": 1},
            )
    return folder, open_store(uri), results, notes


def test_both_are_registered_and_the_preflight_says_which_is_weights(searched):
    _, _, results, notes = searched
    assert {result.registration.alias for result in results.values()} == {"champion"}
    told = [note for note in notes if "stored as weights" in note]
    assert len(told) == 1
    assert '`def get_config(self): return {**super().get_config(), "hp"' in told[0]


def test_mlflow_alone_loads_them_where_ktune_is_not_installed(searched):
    folder, store, results, _ = searched
    rows = np.random.default_rng(0).normal(3, 1, (7, 4))
    np.save(folder / "rows.npy", rows)
    for name in results:
        with open_model(store, find_model(store, name)) as model:
            shutil.copytree(model.folder, folder / name)
            served = model.predict(rows)
        np.save(folder / f"{name}_here.npy", served)
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "IMPORTS_OF_TEST"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in results:
        here, there = (np.load(folder / f"{name}_{at}.npy") for at in ("here", "out"))
        np.testing.assert_allclose(there, here, atol=1e-5)


def test_an_earlier_search_gives_the_models_back(searched):
    _, store, results, _ = searched
    for name, result in results.items():
        loaded = ktune.load(name, tracking_uri=store.location.uri).model
        rows = np.ones((2, 4), np.float32)
        np.testing.assert_allclose(
            loaded.predict(rows, verbose=0),
            result.model.predict(rows, verbose=0),
            atol=1e-5,
        )
    assert "file" not in sys.modules


def test_a_keras_export_has_the_code_beside(searched, tmp_path):
    _, _, results, _ = searched
    model = results["whole"].model
    rows = np.ones((2, 4), np.float32)
    job = ExportJob(
        model=model,
        unroll=lambda: model,
        name="m",
        metadata={"class_names": []},
        example={"rows": rows},
    )
    path = KerasExporter().write(job, tmp_path)
    assert [p.name for p in (tmp_path / "m-code").iterdir()] == [
        "ktune_experiment_file.py"
    ]
    found = KerasExporter().replay(path, {"rows": rows})
    np.testing.assert_allclose(found, model.predict(rows, verbose=0), atol=1e-5)


def test_a_champion_that_cannot_be_loaded_does_not_block(searched, monkeypatch):
    _, store, results, _ = searched
    context = _context("whole")
    monkeypatch.setattr(
        "ktune.models.registry.registration.load_pyfunc", _unloadable, raising=True
    )
    decision = decide_champion(store, context, np.zeros(3))
    assert decision.is_promoted
    assert "can no longer be loaded" in decision.reason


def _unloadable(folder, label):
    raise StoreError(f"model {label} cannot be loaded: no class Gate")


def _context(name):
    partition = SimpleNamespace(x_test=None, y_test=None)
    data = SimpleNamespace(task=None)
    experiment = SimpleNamespace(name=name, seed=0)
    return SimpleNamespace(experiment=experiment, partition=partition, data=data)


def test_another_prediction_in_the_fresh_process_is_no_registration(searched):
    fitted = SimpleNamespace(
        model=searched[2]["whole"].model, preprocessing=FittedPreprocessing()
    )
    rows = np.ones((2, 4), np.float32)
    package = SimpleNamespace(fitted=fitted, example=rows)
    loading_check.compare_outputs(fitted.model.predict(rows, verbose=0), package)
    with pytest.raises(ModelLost, match="it predicts something else, by up to"):
        loading_check.compare_outputs(np.zeros((2, 3), np.float32), package)


def test_what_no_process_could_load_is_refused_before_the_search(tmp_path):
    def build(hp):
        layers = [keras.Input((4,)), keras.layers.Lambda(lambda x: x / 2)]
        model = keras.Sequential([*layers, keras.layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    x, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
    experiment = ktune.Experiment(name="lost", data=(x, y), build=build)
    with pytest.raises(ExperimentError, match=r"(?s)lambda.*named function.*build"):
        ktune.search(experiment, tracking_uri=f"sqlite:///{tmp_path}/m.db", trials=1)
    assert not (tmp_path / "m.db").exists()
