"""Register refitted models in MLflow, and load registered versions."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.errors import ModelLost
from ktune.tracking.model_files import downloaded, load_pyfunc, log_model, unreadable
from ktune.tracking.model_registry import Registration, register_version, version_uri
from ktune.tracking.store import Store

if TYPE_CHECKING:  # looking up a version must not wait for Keras
    from ktune.models.registry.packaged_model import PackagedModel
    from ktune.models.registry.storage import Storage


def register(
    store: Store,
    package: "PackagedModel",
    *,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
    alias: str | None = None,
) -> Registration:
    """Log a model to a run and register it.

    Args:
        store: The store to write to.
        package: Model, preprocessing, example.
        name: Name of the registered model.
        run_id: The run whose page lists the model.
        tags: Lineage and scores, on logged model and version alike.
        alias: Given to it at once; None: see `ktune.models.registry.alias_changes`.

    Raises:
        ModelLost: No process but this one could load it, so it is not registered.
    """
    from ktune.models.registry.storage import ways_to_store

    reasons = []
    for way in ways_to_store(package):
        try:
            logged = _log(store, package, way(), name=name, run_id=run_id, tags=tags)
        except ModelLost as error:
            reasons.append(str(error))
            continue
        return register_version(
            store, logged, name=name, run_id=run_id, tags=tags, alias=alias
        )
    raise ModelLost(
        f"no version of model {name!r} is registered, because no other process could "
        f"load it. Stored whole: {reasons[0]}. As weights: {reasons[1]}."
    )


def _log(
    store: Store,
    package: "PackagedModel",
    storage: "Storage",
    *,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
) -> Any:
    from ktune.models.registry.loading_check import check_in_fresh_process
    from ktune.models.registry.packaging import write_parts

    return log_model(
        store,
        lambda folder: write_parts(package, folder, storage),
        name=name,
        run_id=run_id,
        tags=tags,
        check=lambda folder: check_in_fresh_process(folder, package),
    )


def load_keras_model(store: Store, registration: Registration) -> Any:
    """Return the Keras model of a registered version, without its preprocessing.

    Raises:
        StoreError: Its files are not readable.
    """
    from ktune.models.registry import served_model

    with _files_of(store, registration) as folder, _imports_restored(folder):
        parts = folder / "artifacts"
        try:
            spec = json.loads((parts / "spec.json").read_text("utf-8"))
            with contextlib.suppress(TypeError, ValueError):
                return served_model.load_keras_model(parts, spec, is_compiled=True)
            # Its loss or metrics cannot be made again; predictions do not need them.
            return served_model.load_keras_model(parts, spec)
        except Exception as error:
            raise unreadable(_label(registration), error) from error


def load_served_model(store: Store, registration: Registration) -> Any:
    """Return MLflow's pyfunc of a registered version, which takes raw rows.

    Raises:
        StoreError: Its files are not readable.
    """
    with _files_of(store, registration) as folder, _imports_restored(folder):
        return load_pyfunc(folder, _label(registration))


@contextlib.contextmanager
def _imports_restored(folder: Path) -> Iterator[None]:
    """Keep code of a version from being imported by code of this process."""
    path, code = list(sys.path), str(folder / "code")
    try:
        yield
    finally:
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(code):
                del sys.modules[name]


def _files_of(
    store: Store, registration: Registration
) -> contextlib.AbstractContextManager[Path]:
    """Return a temporary copy of a version's folder."""
    uri = version_uri(store, registration.name, registration.version)
    return downloaded(store, uri, _label(registration))


def _label(registration: Registration) -> str:
    return f"{registration.name!r} version {registration.version}"
