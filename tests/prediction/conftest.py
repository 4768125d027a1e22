"""Registered models without a search: a store with one of each kind."""

from types import SimpleNamespace

import pytest

from ktune.registry.registration import CHAMPION, register
from ktune.testing.models import TINY_MODELS
from ktune.tracking.records import RunRecord
from ktune.tracking.store import open_store, quiet_mlflow


@pytest.fixture(scope="package")
def tiny_models(tmp_path_factory):
    """``folder``, ``uri`` and the models that stand there as champions."""
    folder = tmp_path_factory.mktemp("models")
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    store = open_store(uri, create=True)
    models, registered = {}, {}
    for name in ("cnn", "categories"):
        models[name] = TINY_MODELS[name]()
        run = store.start_run(store.experiment_id(name), RunRecord(name, "RUNNING"))
        package = models[name].package
        with quiet_mlflow():
            registered[name] = register(
                store, package, name=name, run_id=run, tags={}, alias=CHAMPION
            )
    return SimpleNamespace(
        folder=folder, uri=uri, store=store, models=models, registered=registered
    )


@pytest.fixture
def here(tiny_models, monkeypatch):
    """Work in the folder of the tiny models."""
    monkeypatch.chdir(tiny_models.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tiny_models
