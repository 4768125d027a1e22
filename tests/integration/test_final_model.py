"""A search whose final model is an average, with everything that uses it after."""

import json
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_iris

import ktune
from ktune.cli.main import main
from ktune.experiment.loading import load_experiment
from ktune.listener import Listener
from ktune.tracking.artifacts import read_file

pytestmark = pytest.mark.slow

EXPERIMENT = """
import keras
from keras import layers
import ktune
from sklearn.datasets import load_iris

def build(hp):
    model = keras.Sequential([layers.Input((4,))])
    model.add(layers.Dense(hp.Int("units", 8, 32), activation="relu"))
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    return model

experiment = ktune.Experiment(
    name="flowers", data=load_iris(return_X_y=True), build=build, cv=3, trials=3,
    sampler="random", pruner="none", fit={"epochs": 5}, final="average",
)
"""


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """The finished search: ``result``, ``uri``, ``folder``."""
    folder = tmp_path_factory.mktemp("flowers")
    (folder / "flowers.py").write_text(EXPERIMENT)
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    loaded = load_experiment(str(folder / "flowers.py"))
    result = ktune.search(loaded, tracking_uri=uri, listener=Listener())
    return SimpleNamespace(result=result, uri=uri, folder=folder)


@pytest.fixture(autouse=True)
def in_folder(flowers, monkeypatch):
    monkeypatch.chdir(flowers.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", flowers.uri)


def test_the_average_becomes_the_version_and_the_best_trial_gets_an_alias(flowers):
    result, client = flowers.result, mlflow.MlflowClient()
    assert result.final.is_average
    assert len(result.final.parts) >= 2
    aliases = client.get_registered_model("flowers").aliases
    assert {name: int(version) for name, version in aliases.items()} == {
        "champion": result.registration.version,
        "single": result.final.single_version,
    }
    rows = load_iris().data
    for alias in aliases:
        served = mlflow.pyfunc.load_model(f"models:/flowers@{alias}")
        assert served.predict(rows).shape == (150, 3)


def test_a_loaded_search_has_the_average_as_its_model(flowers):
    loaded = ktune.load("flowers")
    assert loaded.registration.version == flowers.result.registration.version
    assert loaded.final == flowers.result.final
    assert loaded.test == flowers.result.test
    assert loaded.test != loaded.refit.trial_test
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(
        loaded.model.predict(rows, verbose=0),
        flowers.result.model.predict(rows, verbose=0),
        atol=1e-6,
    )


def test_the_end_table_shows_both_models(capsys):
    assert main(["show", "flowers"]) == 0
    shown = capsys.readouterr().out
    assert "Final model: an average; " in shown
    for word in ("average", "alone", "parameters", "latency", "flowers@single"):
        assert word in shown
    assert main(["show", "flowers", "--json"]) == 0
    final = json.loads(capsys.readouterr().out)["final"]
    assert final["kind"] == "average"
    assert final["costs"]["n_parameters"] > final["single_costs"]["n_parameters"]
    assert set(final["single_test"]) >= {"accuracy", "log_loss"}


def test_report_and_card_describe_the_average(flowers):
    result = flowers.result
    page = read_file(result.store, result.run_id, "report.html").decode()
    assert "The final model is an average (" in page
    version = mlflow.MlflowClient().get_model_version(
        "flowers", str(result.registration.version)
    )
    assert "a mean of models (" in version.description


def test_the_average_is_reproduced_bit_for_bit(flowers):
    found = ktune.reproduce("flowers")
    assert found.sameness == "identical", found.comparisons
    compared = {comparison.name for comparison in found.comparisons}
    assert {"average, test_accuracy", "test_accuracy"} <= compared
    version = flowers.result.registration.version
    assert f"outputs of flowers/{version}" in compared


def test_a_search_is_promoted_by_its_average(flowers):
    found = ktune.promote("flowers")
    assert (found.version, found.is_move) == (
        flowers.result.registration.version,
        False,
    )


def test_a_resumed_search_without_better_trials_registers_no_second_version(flowers):
    loaded = load_experiment(str(flowers.folder / "flowers.py"))
    again = ktune.search(loaded, resume=True, listener=Listener())
    assert again.registration.version == flowers.result.registration.version
    versions = mlflow.MlflowClient().search_model_versions("name = 'flowers'")
    assert len(versions) == 2
