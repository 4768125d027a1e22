"""What all tests share."""

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from ktune.tracking.store import Store, open_store

# The machine decides how long an example takes, not the code: no deadline. The same
# examples every time, so that a change is all that can turn a test red.
settings.register_profile("ktune", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("ktune")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a new MLflow store; making its tables takes seconds."""
    database = tmp_path_factory.mktemp("template") / "mlflow.db"
    open_store(f"sqlite:///{database}", create=True)
    return database


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Store:
    """An MLflow store of the test's own, without anything in it."""
    folder = tmp_path / "mlruns"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    return open_store(f"sqlite:///{folder}/mlflow.db")
