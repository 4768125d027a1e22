"""Keras's other backends: chosen before Keras is there, and a search runs on them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ktune.cli.exit_codes import DONE
from ktune.errors import ExperimentError
from ktune.utils.runtime import choose_backend, import_keras

EXPERIMENT = """
import keras
import ktune
from keras import layers


def build(hp):
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(hp.Int("units", 4, 8), activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    return model


experiment = ktune.Experiment(
    name="backend", data=ktune.data.breast_cancer(), build=build
)
"""


@pytest.fixture(params=["jax", "torch"])
def installed(request):
    """The name of a backend that is installed here."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def run_module(*words, timeout, cwd=None, **environment):
    """Run a module of Python's with the packages of this process."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.slow
@pytest.mark.timeout(450)
def test_a_search_runs_on_the_backend(tmp_path, installed):
    (tmp_path / "experiment.py").write_text(EXPERIMENT)
    words = ["search", "experiment.py", "--backend", installed, "--smoke", "--register"]
    done = run_module("ktune", *words, timeout=400, cwd=tmp_path)
    assert done.returncode == DONE, done.stderr
    assert "Registered: model 'backend' version 1" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_keras_fit_keeps_its_contract_on_the_backend(installed):
    contract = str(Path(__file__).with_name("test_keras_fit.py"))
    words = ["pytest", "-q", "-p", "no:cacheprovider", contract]
    done = run_module(*words, timeout=840, KERAS_BACKEND=installed)
    assert done.returncode == DONE, done.stdout


def test_an_unknown_backend_is_named():
    with pytest.raises(ExperimentError, match="Did you mean 'tensorflow'"):
        choose_backend("tensorfow")


def test_a_missing_backend_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match=r'pip install "ktune\[jax\]"'):
        choose_backend("jax")


def test_a_backend_after_keras_comes_too_late(monkeypatch):
    import_keras()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "found")
    choose_backend("tensorflow")
    with pytest.raises(ExperimentError, match="KERAS_BACKEND=torch"):
        choose_backend("torch")
