"""What all tests share."""

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from ktune.models.registry import loading_check
from ktune.tracking.database import create_database
from ktune.tracking.location import StoreLocation, find_store
from ktune.tracking.records import RunRecord
from ktune.tracking.store import Store, open_store, quiet_mlflow

# The machine decides how long an example takes, not the code: no deadline. The same
# examples every time, so that a change is all that can turn a test red.
settings.register_profile("ktune", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("ktune")

_CHECK = loading_check.check_in_fresh_process


@pytest.fixture(autouse=True, scope="session")
def _interrupts_arrive() -> Iterator[None]:
    """Restore Ctrl-C where a shell has started the suite in the background.

    Such a shell ignores the signal, and every program that a test starts inherits it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="module")
def _forgotten_programs() -> Iterator[None]:
    """Free what a module's tests have compiled; the next one's models are others."""
    yield
    if cache := sys.modules.get("ktune.trainers.graph.program_cache"):
        cache.forget_programs()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a new MLflow store; making its tables takes seconds."""
    database = tmp_path_factory.mktemp("template") / "mlflow.db"
    open_store(f"sqlite:///{database}", create=True)
    return database


@pytest.fixture(autouse=True, scope="session")
def _tables_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have new stores of this process copied from the first one."""
    template = tmp_path_factory.mktemp("tables") / "mlflow.db"

    def copy_database(location: StoreLocation) -> None:
        if not template.exists():
            create_database(find_store(f"sqlite:///{template}"))
        location.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(template, location.database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ktune.tracking.store.create_database", copy_database)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_fresh_process() -> Iterator[None]:
    """Register models without loading them in a fresh process first; it takes 10 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading_check, "check_in_fresh_process", lambda *_: None)
        yield


@pytest.fixture
def with_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load models in a fresh process before they are registered, as users do."""
    monkeypatch.setattr(loading_check, "check_in_fresh_process", _CHECK)


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Store:
    """An MLflow store of the test's own, without anything in it."""
    folder = tmp_path / "mlruns"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    return open_store(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="session")
def tiny_models(
    empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Models registered without a search: ``folder``, ``store``, ``models`` by name."""
    from ktune.models.registry.registration import register
    from ktune.testing.models import TINY_MODELS
    from ktune.tracking.model_registry import CHAMPION

    folder = tmp_path_factory.mktemp("models")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_store, folder / "mlruns" / "mlflow.db")
    store = open_store(f"sqlite:///{folder}/mlruns/mlflow.db")
    found = SimpleNamespace(folder=folder, store=store, models={}, registered={})
    for name in ("cnn", "categories"):
        found.models[name] = TINY_MODELS[name]()
        run = store.start_run(store.experiment_id(name), RunRecord(name, "RUNNING"))
        package = found.models[name].package
        with quiet_mlflow():
            found.registered[name] = register(
                store, package, name=name, run_id=run, tags={}, alias=CHAMPION
            )
    return found


@pytest.fixture
def here(
    tiny_models: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    """Work in the folder of the tiny models."""
    monkeypatch.chdir(tiny_models.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tiny_models
