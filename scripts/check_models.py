"""Check that models of different make come out of the registry again.

Each model is searched, registered, loaded in a fresh process by MLflow, served,
exported to all formats and reproduced; all predictions are compared with those of
`result.model`.

    python scripts/check_models.py              # all models: minutes
    python scripts/check_models.py own stateful
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

FILE = """
import keras
import numpy as np
from keras import ops
from sklearn.datasets import load_iris

import ktune

X, y = load_iris(return_X_y=True)
EXPERIMENTS = {}


class Gate(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.units))

    def call(self, x):
        return ops.sigmoid(ops.matmul(x, self.w))


@keras.saving.register_keras_serializable("check")
class Registered(Gate):
    pass


class Net(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.hidden = keras.layers.Dense(units, "relu")
        self.out = keras.layers.Dense(3, "softmax")

    def call(self, x):
        return self.out(self.hidden(x))


class Stepping(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


class Hits(keras.metrics.MeanMetricWrapper):
    def __init__(self, name="hits", **kwargs):
        super().__init__(
            keras.metrics.sparse_categorical_accuracy, name=name, **kwargs
        )


def own_loss(y, p):
    return keras.losses.sparse_categorical_crossentropy(y, p)


def double(x):
    return 2 * x


def compiled(model, **more):
    model.compile(
        "adam", **{"loss": "sparse_categorical_crossentropy", **more}
    )
    return model


def simple(hp, *layers, kind=keras.Model, batch=None, **more):
    inputs = keras.Input(batch_shape=(batch, 4))
    x = keras.layers.Dense(hp.Int("u", 4, 8))(inputs)
    for layer in layers:
        x = layer(x)
    model = kind(inputs, keras.layers.Dense(3, "softmax", dtype="float32")(x))
    return compiled(model, **more)


def sequential(hp):
    layers = [keras.Input((4,)), keras.layers.Dense(hp.Int("u", 4, 8), "relu")]
    return compiled(keras.Sequential([*layers, keras.layers.Dense(3, "softmax")]))


def functional(hp):
    return simple(hp, keras.layers.ReLU())


def subclassed(hp):
    return compiled(Net(hp.Int("u", 4, 8)))


def own(hp):
    return simple(hp, Gate(5))


def registered(hp):
    return simple(hp, Registered(5))


def loss(hp):
    return simple(hp, loss=own_loss)


def metric(hp):
    return simple(hp, metrics=[Hits()])


def step(hp):
    return simple(hp, kind=Stepping)


def function(hp):
    return simple(hp, keras.layers.Lambda(double))


def attention(hp):
    inputs = keras.Input((4,))
    x = keras.layers.Reshape((4, 1))(inputs)
    x = keras.layers.Dense(hp.Int("u", 4, 8))(x)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return compiled(keras.Model(inputs, keras.layers.Dense(3, "softmax")(x)))


def stateful(hp):
    return simple(
        hp,
        keras.layers.Reshape((1, -1)),
        keras.layers.LSTM(4, stateful=True),
        batch=5,
    )


def inputs(hp):
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    x = keras.layers.Concatenate()([a, b])
    x = keras.layers.Dense(hp.Int("u", 4, 8))(x)
    return compiled(keras.Model([a, b], keras.layers.Dense(3, "softmax")(x)))


def mixed(hp):
    half = keras.layers.Dense(hp.Int("v", 4, 8), "relu", dtype="mixed_float16")
    return simple(hp, half)


several = {"a": X[:, :2], "b": X[:, 2:]}
for build in (
    sequential, functional, subclassed, own, registered, loss, metric, step,
    function, attention, stateful, inputs, mixed,
):
    name = build.__name__
    EXPERIMENTS[name] = globals()["x_" + name] = ktune.Experiment(
        name=name,
        data=(several if name == "inputs" else X, y),
        build=build,
        fit={"batch_size": 5, "epochs": 2},
    )
"""

MODELS = (
    "sequential",
    "functional",
    "subclassed",
    "own",
    "registered",
    "loss",
    "metric",
    "step",
    "function",
    "attention",
    "stateful",
    "inputs",
    "mixed",
)
FORMATS = ("keras", "savedmodel", "tflite", "onnx")

LOAD = """
import sys, mlflow.pyfunc, numpy as np
rows = np.load("rows.npz")["x"]
for name in sys.argv[1:]:
    given = rows if name != "inputs" else {"a": rows[:, :2], "b": rows[:, 2:]}
    try:
        np.save(name + "_out.npy", mlflow.pyfunc.load_model(name).predict(given))
    except Exception as error:
        print(name, str(error).splitlines()[0])
"""


def main() -> None:
    """Print a table: one line a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    chosen = parser.parse_args().models
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path("file.py").write_text(FILE)
        rows = np.random.default_rng(0).normal(3, 1, (10, 4)).astype(np.float32)
        np.savez("rows.npz", x=rows)
        table = {model: search(model, rows) for model in chosen}
        load_elsewhere(table)
        for model, cells in table.items():
            if "error" not in cells:
                cells.update(served=serve(model, rows), **export(model))
                cells.update(reproduced=reproduce(model))
            print(model, " ".join(f"{k}={v}" for k, v in cells.items()), flush=True)


def search(model: str, rows: np.ndarray) -> dict[str, str]:
    """Search a model; keep its folder and predictions for another process."""
    import shutil

    import ktune
    from ktune.data.fixed_batch import fixed_batch_size, predict_in_batches
    from ktune.errors import KtuneError
    from ktune.experiment.loading import load_experiment
    from ktune.models.registry.reference import find_model
    from ktune.models.registry.stored_model import open_model
    from ktune.tracking.store import open_store

    changes = {"trials": 2, "cv": 2, "preprocess": None}
    try:
        result = ktune.search(load_experiment(f"file.py:x_{model}"), **changes)
        given = given_to(model, rows)
        size = fixed_batch_size(result.model) or 32
        expected = predict_in_batches(result.model, given, size)
        np.save(f"{model}_here.npy", expected)
        store = open_store()
        with open_model(store, find_model(store, f"{model}@champion")) as opened:
            shutil.copytree(opened.folder, model)
    except (KtuneError, ValueError) as error:
        return {"error": str(error).splitlines()[0]}
    return {"registered": result.registration.alias}


def given_to(model: str, rows: np.ndarray) -> Any:
    """Return rows as the model takes them."""
    return rows if model != "inputs" else {"a": rows[:, :2], "b": rows[:, 2:]}


def load_elsewhere(table: dict[str, dict[str, str]]) -> None:
    """Load all models by MLflow in one fresh process; compare with the search's."""
    found = [name for name, cells in table.items() if "error" not in cells]
    words = [sys.executable, "-c", LOAD, *found]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    for name in found:
        path = Path(f"{name}_out.npy")
        if not path.exists():
            table[name]["fresh"] = "FAILED"
            continue
        table[name]["fresh"] = difference(name, np.load(path))


def difference(model: str, predictions: np.ndarray) -> str:
    """Return the largest difference from the predictions of `result.model`."""
    return f"{np.abs(predictions - np.load(f'{model}_here.npy')).max():.0e}"


def serve(model: str, rows: np.ndarray) -> str:
    """Ask MLflow's scoring server for predictions; return the largest difference."""
    from ktune.cli.server import LOCALHOST, free_port, scoring_server

    given = given_to(model, rows)
    named = {"": given} if model != "inputs" else given
    inputs = {name: part.tolist() for name, part in named.items()}
    port = free_port(LOCALHOST, 5100)
    log = Path(f"{model}.log")
    with scoring_server(Path(model), host=LOCALHOST, port=port, log=log) as server:
        server.wait_until_ready()
        request = urllib.request.Request(
            f"{server.address}/invocations",
            json.dumps({"inputs": inputs.get("", inputs)}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            return f"({error.read().decode()[:120]})"
    return difference(model, np.asarray(answer["predictions"]))


def export(model: str) -> dict[str, str]:
    """Export to all formats; return format to difference or reason."""
    from ktune.errors import ExportRefused, KtuneError
    from ktune.models.export.exporters import choose_exporters
    from ktune.models.export.exporting import export_model
    from ktune.models.registry.reference import find_model
    from ktune.models.registry.stored_model import open_model
    from ktune.tracking.store import open_store

    store, folder = open_store(), Path(f"exported_{model}")
    try:
        with open_model(store, find_model(store, f"{model}@champion")) as opened:
            done = export_model(store, opened, choose_exporters(FORMATS), folder)
    except (ExportRefused, KtuneError) as error:
        return {"export": str(error).splitlines()[0]}
    return {
        **{file.format: f"{file.difference:.0e}" for file in done.files},
        **{name: f"({reason[:120]})" for name, reason in done.refused.items()},
    }


def reproduce(model: str) -> str:
    """Return whether the best trial comes out the same again."""
    import ktune

    return str(ktune.reproduce(model).sameness)


if __name__ == "__main__":
    main()
