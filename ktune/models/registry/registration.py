"""Register refitted models in MLflow, and load registered versions."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.tracking.model_files import downloaded, load_pyfunc, log_model, unreadable
from ktune.tracking.model_registry import Registration, register_version, version_uri
from ktune.tracking.store import Store

if TYPE_CHECKING:  # looking up a version must not wait for Keras
    from ktune.models.registry.packaging import PackagedModel


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
        store: Where to.
        package: Model, preprocessing, example.
        name: Of the registered model.
        run_id: The run whose page lists the model.
        tags: Lineage and scores, on logged model and version alike.
        alias: Given to it at once; None: see `ktune.models.registry.alias_changes`.
    """
    from ktune.models.registry.packaging import write_parts

    logged = log_model(
        store,
        lambda folder: write_parts(package, folder),
        name=name,
        run_id=run_id,
        tags=tags,
    )
    return register_version(
        store, logged, name=name, run_id=run_id, tags=tags, alias=alias
    )


def load_keras_model(store: Store, registration: Registration) -> Any:
    """Return the Keras model of a registered version, without its preprocessing.

    Raises:
        StoreError: Its files cannot be read.
    """
    import keras

    with _files_of(store, registration) as folder:
        try:
            return keras.saving.load_model(folder / "artifacts" / "model.keras")
        except Exception as error:
            raise unreadable(_label(registration), error) from error


def load_served_model(store: Store, registration: Registration) -> Any:
    """Return MLflow's pyfunc of a registered version: raw rows in.

    Raises:
        StoreError: Its files cannot be read.
    """
    with _files_of(store, registration) as folder:
        return load_pyfunc(folder, _label(registration))


def _files_of(
    store: Store, registration: Registration
) -> contextlib.AbstractContextManager[Path]:
    """A copy of a version's folder, to load from."""
    uri = version_uri(store, registration.name, registration.version)
    return downloaded(store, uri, _label(registration))


def _label(registration: Registration) -> str:
    return f"{registration.name!r} version {registration.version}"
