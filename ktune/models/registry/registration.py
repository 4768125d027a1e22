"""Register refitted models in MLflow, and find and load them again."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.errors import StoreError
from ktune.tracking import names
from ktune.tracking.store import Store, quiet_mlflow

if TYPE_CHECKING:  # looking up a version must not wait for Keras
    from ktune.models.registry.packaging import PackagedModel

_CODE_LOADER = "mlflow.pyfunc.loaders.code_model"

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class Registration:
    """A version of a registered model.

    Attributes:
        name: Of the registered model, the experiment's name.
        version: 1, 2, 3, …
        alias: The alias it holds, None for none.
        model_id: Of MLflow's logged model.
        tags: Lineage, digests and the gate's reason.
    """

    name: str
    version: int
    alias: str | None
    model_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


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
    from mlflow.exceptions import MlflowException

    client = store.client
    logged = _log_model(store, package, name=name, run_id=run_id, tags=tags)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        source=logged.artifact_location,
        run_id=run_id,
        model_id=logged.model_id,
        tags={**tags, names.LOGGED_MODEL: logged.model_id},
        await_creation_for=0,
    )
    made = Registration(name, int(version.version), alias, logged.model_id, tags)
    link_logged_model(store, made)
    if alias is not None:
        client.set_registered_model_alias(name, alias, str(made.version))
    return made


def link_logged_model(store: Store, version: Registration) -> None:
    """Have MLflow's page of a logged model lead to the version made of it."""
    link = json.dumps([{"name": version.name, "version": version.version}])
    store.client.set_logged_model_tags(version.model_id, {"mlflow.modelVersions": link})


def registration_of(
    store: Store, search_run_id: str, best_run_id: str | None = None
) -> Registration | None:
    """Return the model version a search has registered of its best trial, if any.

    Args:
        store: Where to look.
        search_run_id: The search.
        best_run_id: Its best trial; None: the newest version of the search.
    """
    if best_run_id is not None:
        version = version_of_trial(store, best_run_id)
        if version is not None:
            return version
    return _newest(store, f"run_id = '{search_run_id}'")


def version_of_trial(store: Store, trial_run_id: str) -> Registration | None:
    """Return the newest version refitted from a trial, if any."""
    return _newest(store, f"tags.`{names.TRIAL_RUN}` = '{trial_run_id}'")


def find_version(store: Store, name: str, number: int) -> Registration | None:
    """Return a version by its number; None: it is not there (any more)."""
    from mlflow.exceptions import MlflowException

    try:
        return _describe(store, name, number)
    except MlflowException:
        return None


def _newest(store: Store, query: str) -> Registration | None:
    found = store.client.search_model_versions(query)
    if not found:
        return None
    newest = max(found, key=lambda version: int(version.version))
    return _describe(store, newest.name, int(newest.version))


def find_champion(store: Store, name: str) -> Registration | None:
    """Return the version that holds alias ``champion``, if any."""
    from mlflow.exceptions import MlflowException

    try:
        version = store.client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None  # no such model, or no such alias yet
    return _describe(store, name, int(version.version))


def load_keras_model(store: Store, registration: Registration) -> Any:
    """Return the Keras model of a registered version, without its preprocessing.

    Raises:
        StoreError: Its files cannot be read.
    """
    import keras

    with _files_of(store, registration) as folder:
        return keras.saving.load_model(folder / "artifacts" / "model.keras")


def load_served_model(store: Store, registration: Registration) -> Any:
    """Return MLflow's pyfunc of a registered version: raw rows in."""
    import mlflow.pyfunc

    with _files_of(store, registration) as folder:
        refuse_pickles(folder, registration.name)
        return mlflow.pyfunc.load_model(str(folder))


def refuse_pickles(folder: Path, label: str) -> None:
    """Refuse a model that would be unpickled, which can run any code.

    Raises:
        StoreError: It is not made of ktune's code, a Keras file and plain values.
    """
    from mlflow.models import Model

    flavor = Model.load(str(folder)).flavors.get("python_function", {})
    if flavor.get("loader_module") != _CODE_LOADER:
        raise StoreError(
            f"model {label} is not loaded from code and plain values as ktune's are, "
            f"but by {flavor.get('loader_module')}, which may unpickle it and run "
            "anything. If you trust it, load it by mlflow.pyfunc.load_model."
        )


@contextlib.contextmanager
def downloaded(store: Store, uri: str, label: str) -> Iterator[Path]:
    """A copy of a model's folder; MLflow may write into the folder it loads from.

    Args:
        store: Where the model stands.
        uri: Where MLflow downloads it from.
        label: What to call it in messages.

    Raises:
        StoreError: The files cannot be read.
    """
    import mlflow.artifacts

    with tempfile.TemporaryDirectory() as folder:
        try:
            with quiet_mlflow():
                path = mlflow.artifacts.download_artifacts(
                    uri, dst_path=folder, tracking_uri=store.location.uri
                )
        except Exception as error:
            raise _unreadable(label, error) from error
        yield Path(path)


@contextlib.contextmanager
def _files_of(store: Store, registration: Registration) -> Iterator[Path]:
    """A copy of a version's folder, to load from.

    Raises:
        StoreError: It cannot be read or loaded.
    """
    name, version = registration.name, str(registration.version)
    label = f"{name!r} version {version}"
    uri = store.client.get_model_version_download_uri(name, version)
    with downloaded(store, uri, label) as folder:
        try:
            with quiet_mlflow():
                yield folder
        except Exception as error:
            raise _unreadable(label, error) from error


def _unreadable(label: str, error: Exception) -> StoreError:
    return StoreError(f"model {label} cannot be loaded: {error}")


def _log_model(
    store: Store,
    package: "PackagedModel",
    *,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
) -> Any:
    """Log through the client alone: MLflow's fluent calls keep global state."""
    import keras
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    from ktune.models.registry.packaging import save_package

    client = store.client
    run = client.get_run(run_id)
    logged = client.create_logged_model(
        experiment_id=run.info.experiment_id,
        name=_logged_model_name(name),
        source_run_id=run_id,
        tags=dict(tags),
        model_type="keras",
    )
    identity = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=run_id,
        model_id=logged.model_id,
    )
    identity.add_flavor(
        "keras",
        data="artifacts",
        keras_version=keras.__version__,
        keras_backend=keras.backend.backend(),
        save_exported_model=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        save_package(package, path, identity=identity)
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def _logged_model_name(name: str) -> str:
    # MLflow forbids / : . % " ' in the names of logged models.
    return "".join("_" if letter in "/:.%\"'" else letter for letter in name)


def _describe(store: Store, name: str, number: int) -> Registration:
    version = store.client.get_model_version(name, str(number))
    aliases = list(version.aliases or [])
    alias = CHAMPION if CHAMPION in aliases else (aliases or [None])[0]
    # MLflow 3.17 forgets the `model_id` a version was created with.
    model_id = version.model_id or version.tags.get(names.LOGGED_MODEL, "")
    return Registration(name, number, alias, model_id, dict(version.tags))


def lineage(search_run_id: str, trial_run_id: str) -> dict[str, str]:
    """Return the tags that lead from a model back to where it came from."""
    of_trial = {names.TRIAL_RUN: trial_run_id} if trial_run_id else {}
    return {names.SEARCH_RUN: search_run_id, **of_trial}
