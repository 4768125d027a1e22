"""One small real search, shared by the tests that look at what it leaves behind."""

from pathlib import Path
from types import SimpleNamespace

import pytest

EXPERIMENT = """
import keras
from keras import layers

import ktune
from helper_of_experiment import UNITS


def build(hp):
    model = keras.Sequential([layers.Input((30,))])
    if hp.Choice("kind", ["wide", "deep"]) == "deep":
        for i in range(hp.Int("layers", 1, 2)):
            model.add(layers.Dense(hp.Int(f"units_{i}", 4, UNITS), activation="relu"))
    else:
        model.add(layers.Dense(hp.Int("width", 8, 64, step=8), activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(
        keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")),
        loss="binary_crossentropy",
    )
    return model


experiment = ktune.Experiment(
    name="small",
    data=ktune.data.breast_cancer(),
    build=build,
    fit=lambda hp: {"batch_size": hp.Choice("batch_size", [32, 64]), "epochs": 3},
    cv=3,
    trials=4,
    sampler="random",
)
"""


SECRET = "pa55word-4711-of-the-store"
"""Stands in environment variables while the search runs."""


@pytest.fixture(scope="session")
def small_search(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A finished search in a folder of its own: ``folder``, ``result``, ``loaded``."""
    from ktune.experiment.loading import load_experiment
    from ktune.listener import Listener
    from ktune.tuner.search import search

    folder = tmp_path_factory.mktemp("project")
    (folder / "small.py").write_text(EXPERIMENT)
    (folder / "helper_of_experiment.py").write_text("UNITS = 16\n")
    loaded = load_experiment(str(folder / "small.py"))
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "MY_TOKEN"):
            environment.setenv(name, SECRET)
        result = search(loaded, tracking_uri=uri, listener=Listener())
    return SimpleNamespace(
        folder=folder, uri=uri, loaded=loaded, result=result, secret=SECRET
    )


@pytest.fixture
def in_folder(small_search: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of the small search."""
    monkeypatch.chdir(small_search.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Path(small_search.folder)
