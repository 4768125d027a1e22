"""A tuned decision threshold: stated, stored with the model, and no business of it."""

import json

import mlflow.artifacts
import numpy as np
import pytest

import ktune
from ktune.listener import Listener
from ktune.models.registry.registration import load_served_model
from ktune.tuner.search import search

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2))
Y = (X[:, 0] + X[:, 1] + RNG.normal(size=300) > 2).astype(int)


@pytest.fixture(scope="module")
def notes():
    return []


def test_the_threshold_is_tuned_used_and_stored(store, notes):
    class NoteListener(Listener):
        def on_note(self, text):
            notes.append(text)

    experiment = ktune.Experiment(
        name="rare",
        data=(X, Y),
        build=ktune.spaces.mlp(layers=1, units=16, batch_norm=False, dropout=0.0),
        fit={"epochs": 3, "resample": "none"},
        objective="log_loss",
        threshold="tune",
        cv=2,
        trials=1,
    )
    result = search(
        experiment, tracking_uri=store.location.uri, listener=NoteListener()
    )
    run = store.client.get_run(result.run_id)
    threshold = run.data.metrics["threshold"]
    assert 0 < threshold < 1
    assert threshold != 0.5
    told = next(note for note in notes if note.startswith("Decision threshold"))
    assert f"{threshold:.3f}, tuned on out-of-fold predictions: f1" in told

    assert {"f1", "f1_at_0.5", "accuracy", "accuracy_at_0.5"} <= set(result.test)
    assert "roc_auc_at_0.5" not in result.test
    assert ktune.load("rare", tracking_uri=store.location.uri).test == result.test

    registration = result.registration
    assert float(registration.tags["ktune.threshold"]) == pytest.approx(threshold)
    source = store.client.get_model_version_download_uri("rare", "1")
    folder = mlflow.artifacts.download_artifacts(
        source, tracking_uri=store.location.uri
    )
    with open(f"{folder}/artifacts/spec.json") as file:
        assert json.load(file)["threshold"] == pytest.approx(threshold)

    raw = load_served_model(store, registration).predict(X)
    assert ((raw >= 0) & (raw <= 1)).all()
    assert len(np.unique(raw)) > 100  # probabilities, not decisions


def test_three_classes_have_no_threshold(tmp_path):
    experiment = ktune.Experiment(
        name="x", data=(X, np.arange(300) % 3), build=ktune.spaces.mlp(), threshold=0.3
    )
    with pytest.raises(ktune.errors.ExperimentError, match="for two classes"):
        search(experiment, tracking_uri=f"sqlite:///{tmp_path}/a.db")
    assert list(tmp_path.iterdir()) == []
