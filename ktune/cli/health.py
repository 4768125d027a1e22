"""Checks of the installation on this machine, each with a remedy."""

import importlib
import importlib.metadata
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ktune.errors import KtuneError
from ktune.models.export.exporters import (
    EXPORTERS,
    make_exporter,
    missing_packages,
    remedy_of,
)
from ktune.tracking.location import find_store
from ktune.utils.runtime import import_keras

_NEEDED = (
    "tensorflow",
    "keras",
    "keras-tuner",
    "mlflow",
    "optuna",
    "scikit-learn",
    "pandas",
)
_OPTIONAL = {
    "ray": ("ray", 'trials on a Ray cluster: pip install "ktune[ray]"'),
    "postgres": (
        "psycopg2-binary",
        'several machines on one search: pip install "ktune[postgres]"',
    ),
    "gp": ("torch", 'sampler gp and the torch backend: pip install "ktune[gp]"'),
}
_LEAST_FREE_BYTES = 1_000_000_000


class CheckState(StrEnum):
    """Outcome of a check."""

    GOOD = "ok"
    WARNING = "warning"
    MISSING = "optional"
    BAD = "broken"


@dataclass(frozen=True)
class Check:
    """Result of a check.

    Attributes:
        subject: The checked part.
        state: Its state.
        detail: Version, path or error.
        remedy: Command or advice; empty if nothing is to be done.
    """

    subject: str
    state: CheckState
    detail: str
    remedy: str = ""


def examine(tracking_uri: str | None = None) -> list[Check]:
    """Run all checks."""
    checks: list[Callable[[], Iterator[Check]]] = [
        _python,
        _packages,
        _backend,
        _extras,
        _formats,
        lambda: _store(tracking_uri),
        lambda: _waiting(tracking_uri),
        _data,
    ]
    return [check for step in checks for check in step()]


def _python() -> Iterator[Check]:
    yield Check("python", CheckState.GOOD, sys.version.split()[0])


def _packages() -> Iterator[Check]:
    for name in _NEEDED:
        version = _version(name)
        if version:
            yield Check(name, CheckState.GOOD, version)
        else:
            yield Check(name, CheckState.BAD, "not installed", f"pip install {name}")


def _backend() -> Iterator[Check]:
    try:
        import_keras()
        import keras
    except Exception as error:
        yield Check(
            "keras backend",
            CheckState.BAD,
            f"{type(error).__name__}: {error}",
            "set KERAS_BACKEND to tensorflow, jax or torch, and install that package",
        )
        return
    yield Check("keras backend", CheckState.GOOD, keras.backend.backend())
    yield from _devices(keras.backend.backend())


def _devices(backend: str) -> Iterator[Check]:
    if backend != "tensorflow":
        return
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    detail = f"{cpus} CPU cores, {len(gpus)} GPUs"
    yield Check("devices", CheckState.GOOD, detail)


def _extras() -> Iterator[Check]:
    for name, (package, remedy) in _OPTIONAL.items():
        version = _version(package)
        if version:
            yield Check(f"extra {name}", CheckState.GOOD, f"{package} {version}")
        else:
            yield Check(f"extra {name}", CheckState.MISSING, "not installed", remedy)


def _formats() -> Iterator[Check]:
    """Check the runtime of each export format by importing it."""
    for name in EXPORTERS:
        exporter = make_exporter(name)
        missing = missing_packages(exporter)
        subject = f"export {name}"
        if missing:
            detail = f"{', '.join(missing)} not installed"
            yield Check(subject, CheckState.MISSING, detail, remedy_of(exporter))
            continue
        try:
            for module in exporter.runtime:
                importlib.import_module(module)
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            yield Check(subject, CheckState.BAD, detail, remedy_of(exporter))
            continue
        versions = (f"{package} {_version(package)}" for package in exporter.packages)
        yield Check(subject, CheckState.GOOD, ", ".join(versions))


def _store(tracking_uri: str | None) -> Iterator[Check]:
    from ktune.tracking.reader import list_searches
    from ktune.tracking.store import open_store, quiet_mlflow, store_errors

    try:
        location = find_store(tracking_uri)
        if not location.exists:
            yield _place_for_store(location.folder)
            return
        store = open_store(tracking_uri)
        with quiet_mlflow(), store_errors(location):
            n_searches = len(list_searches(store))
    except KtuneError as error:
        yield Check("store", CheckState.BAD, str(error))
        return
    yield Check("store", CheckState.GOOD, f"{location.shown}, {n_searches} searches")
    if location.database is not None:
        yield from _safety(location.database)


def _waiting(tracking_uri: str | None) -> Iterator[Check]:
    from ktune.tracking.waiting import list_pending

    try:
        pending = list_pending(find_store(tracking_uri).folder)
    except KtuneError as error:
        yield Check("queued records", CheckState.BAD, str(error))
        return
    for records in pending:
        text = f"{records.n_records} for {records.owner.server}"
        yield Check("queued records", CheckState.WARNING, text, "ktune sync")


def _place_for_store(folder: Path) -> Check:
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    if os.access(parent, os.W_OK):
        return Check(
            "store", CheckState.GOOD, f"none yet; a search creates it in {folder}"
        )
    return Check(
        "store", CheckState.BAD, f"{parent} is read-only", "change to another folder"
    )


def _safety(database: Path) -> Iterator[Check]:
    for path in _open_to_all(database):
        yield Check(
            "store rights",
            CheckState.WARNING,
            f"every user of this machine can change {path} and thus run code under "
            "your account: the store contains models and experiments",
            f"chmod o-w {path}",
        )
    free = shutil.disk_usage(database.parent).free
    if free < _LEAST_FREE_BYTES:
        yield Check(
            "disk",
            CheckState.WARNING,
            f"{free / 1e9:.1f} GB left",
            "free space for models",
        )


def _open_to_all(database: Path) -> Iterator[Path]:
    """Yield the paths of a store that every user can write to or replace."""
    own = database.parent
    for path in (database, own, *sorted(p for p in own.iterdir() if p.is_dir())):
        if path.stat().st_mode & stat.S_IWOTH:
            yield path
    for folder in own.parents:
        mode = folder.stat().st_mode
        # With the sticky bit, as in /tmp, only the owner can move a file.
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield folder


def _data() -> Iterator[Check]:
    folder = os.environ.get("KTUNE_DATA_DIR")
    if not folder:
        yield Check("KTUNE_DATA_DIR", CheckState.MISSING, "not set", _DATA_REMEDY)
    elif not Path(folder).is_dir():
        yield Check(
            "KTUNE_DATA_DIR", CheckState.BAD, f"{folder} is not a folder", _DATA_REMEDY
        )
    else:
        files = sorted(p.name for p in Path(folder).glob("*.npz"))
        yield Check("KTUNE_DATA_DIR", CheckState.GOOD, f"{folder}: {', '.join(files)}")


_DATA_REMEDY = "a folder with mnist.npz and similar files, used before any download"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
