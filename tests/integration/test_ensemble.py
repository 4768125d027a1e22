"""Ensembles of the small search, in a copy of its project."""

import json

import mlflow
import numpy as np
import pytest
from projects import copy_project
from sklearn.datasets import load_breast_cancer

import ktune
from ktune.cli.main import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(small_search, tmp_path_factory):
    return copy_project(small_search, tmp_path_factory.mktemp("ensembles") / "project")


@pytest.fixture(autouse=True)
def in_project(project, monkeypatch):
    monkeypatch.chdir(project)
    uri = f"sqlite:///{project}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.mark.parametrize("method", ["greedy", "stacking", "bagging"])
def test_an_ensemble_is_one_registered_keras_model(method, capsys):
    assert main(["ensemble", "small", "--method", method, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["alias"] in ("challenger", "champion")
    assert (made["estimate"] is None) == (method == "bagging")
    if method != "bagging":
        assert len(made["estimate"]["scores"]) == 3
    assert "114 test rows" in made["versus_single"]
    low, high = made["test"]["accuracy"]["low"], made["test"]["accuracy"]["high"]
    assert low <= made["test"]["accuracy"]["value"] <= high

    rows = load_breast_cancer().data
    model = mlflow.pyfunc.load_model(f"models:/small/{made['version']}")
    outputs = model.predict(rows)
    assert outputs.shape == (569, 1)
    hits = (outputs[:, 0] > 0.5) == load_breast_cancer().target
    assert np.mean(hits) > 0.8

    version = mlflow.MlflowClient().get_model_version("small", str(made["version"]))
    assert f"an ensemble by {method}, one Keras model" in version.description
    assert main(["show", "small"]) == 0
    assert f"Ensemble ({method})" in capsys.readouterr().out


def test_the_best_single_model_of_a_search_stays_its_model():
    result = ktune.load("small")
    assert result.registration.version == 1


def test_an_unknown_method_is_answered_with_the_nearest(capsys):
    assert main(["ensemble", "small", "--method", "stakcing"]) == 2
    assert "Did you mean 'stacking'?" in capsys.readouterr().err
