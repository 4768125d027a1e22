"""A search whose models do not all fit into memory."""

import numpy as np
import pytest
from no_training import ScoredModel, ScoredTrainer, without_training

import ktune
from ktune.listener import Listener
from ktune.tuner.final_model import FinalModel


def huge_or_not(hp):
    import keras

    units = hp.Choice("units", [4, 10**12])
    layers = [keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "binary_crossentropy")
    return model


def experiment(build, **fields):
    x = np.random.default_rng(0).normal(size=(60, 3))
    shared = {"cv": 2, "sampler": "grid", "fit": {"epochs": 1, "batch_size": 32}}
    return ktune.Experiment(
        name="cramped", data=(x, np.arange(60) % 2), build=build, **{**shared, **fields}
    )


@pytest.fixture
def uri(tmp_path):
    return f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_a_model_far_too_big_costs_its_trial_only(uri, monkeypatch):
    # A refit has no part in it, and takes longest.
    monkeypatch.setattr(
        "ktune.tuner.driver.make_final_model", lambda *given, **named: FinalModel()
    )
    search = experiment(huge_or_not, trainer="keras_fit")
    result = ktune.search(search, tracking_uri=uri, listener=Listener(), trials=2)
    assert list(result.trials["state"]) == ["complete", "failed"]
    assert result.outcome.failures == {
        "OutOfMemory: training it takes more memory than is free here": 1
    }
    assert result.view.status == "FINISHED"


def test_a_retry_with_half_the_batch_is_recorded_and_reproduced(uri, monkeypatch):
    sizes = []

    class Cramped(ScoredTrainer):
        def start(self, task):
            sizes.append(task.settings.batch_size)
            if len(sizes) == 1:
                raise MemoryError
            return super().start(task)

    search = experiment(
        lambda hp: ScoredModel(0.5 + hp.Float("skill", 0.2, 0.4)),
        sampler="random",
        retry_half_batch=True,
        trials=1,
    )
    quiet = {"tracking_uri": uri, "listener": Listener()}
    with without_training(), monkeypatch.context() as patch:
        patch.setattr("ktune.evaluation.evaluate.choose_trainer", lambda *_: Cramped())
        result = ktune.search(search, **quiet)
        assert result.trial_runs[0].tags["ktune.batch_size"] == "16"
        again = ktune.reproduce("best", experiment=search, **quiet)
    assert again.sameness == "identical"
    assert sizes == [32, 16, 16]
