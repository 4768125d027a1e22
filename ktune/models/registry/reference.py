"""Find the model a user means: ``NAME``, ``NAME@ALIAS``, ``NAME/VERSION`` or a URI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktune.errors import UnknownReference
from ktune.models.registry.registration import CHAMPION
from ktune.tracking.store import Store
from ktune.utils.text import did_you_mean

_MODELS = "models:/"


@dataclass(frozen=True)
class FoundModel:
    """A model that stands in MLflow.

    Attributes:
        label: As ``NAME/VERSION`` where it is registered, else as the user said it.
        name: Name to give to files made of it.
        uri: Where MLflow downloads it from.
        tags: Lineage and digests, where known.
    """

    label: str
    name: str
    uri: str
    tags: Mapping[str, str] = field(default_factory=dict)


def find_model(store: Store, reference: str) -> FoundModel:
    """Return the model meant by a reference.

    Args:
        store: Where to look.
        reference: ``NAME`` (its champion), ``NAME@ALIAS``, ``NAME/VERSION``, any
            MLflow model URI, or a folder that holds an MLflow model.

    Raises:
        UnknownReference: There is no such model, alias or version.

    Example:
        ``find_model(store, "mnist@challenger").label`` may be ``"mnist/3"``.
    """
    rest = reference.removeprefix(_MODELS)
    if rest != reference and rest.startswith("m-") and "/" not in rest:
        return _logged_model(store, reference, rest)
    if rest == reference and ":/" in reference:
        return FoundModel(reference, "model", reference)
    if rest == reference and Path(reference, "MLmodel").is_file():
        folder = Path(reference).resolve()
        return FoundModel(reference, folder.name, str(folder))
    return _registered(store, rest)


def _logged_model(store: Store, reference: str, model_id: str) -> FoundModel:
    from mlflow.exceptions import MlflowException

    try:
        logged = store.client.get_logged_model(model_id)
    except MlflowException as error:
        raise UnknownReference(f"there is no model {reference!r}: {error}") from error
    return FoundModel(reference, str(logged.name), reference, dict(logged.tags))


def _registered(store: Store, reference: str) -> FoundModel:
    name, at, alias = reference.partition("@")
    name, slash, version = name.partition("/")
    _check_name(store, name, reference)
    if slash:
        found = _version(store, name, version)
    else:
        found = _aliased(store, name, alias if at else CHAMPION)
    number = str(found.version)
    return FoundModel(
        label=f"{name}/{number}",
        name=name,
        uri=store.client.get_model_version_download_uri(name, number),
        tags=dict(found.tags),
    )


def _check_name(store: Store, name: str, reference: str) -> None:
    known = [str(model.name) for model in store.client.search_registered_models()]
    if name in known:
        return
    listed = ", ".join(repr(n) for n in known) or "(none yet: run a search first)"
    raise UnknownReference(
        f"{reference!r} names no registered model. Known: {listed}."
        + did_you_mean(name, known)
    )


def _version(store: Store, name: str, version: str) -> Any:
    versions = store.client.search_model_versions(f"name = '{name}'")
    for found in versions:
        if str(found.version) == version:
            return found
    listed = ", ".join(sorted((str(v.version) for v in versions), key=int))
    raise UnknownReference(
        f"model {name!r} has no version {version!r}; it has {listed or 'none'}."
    )


def _aliased(store: Store, name: str, alias: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        aliases = dict(store.client.get_registered_model(name).aliases)
        listed = ", ".join(f"{a} (version {v})" for a, v in aliases.items())
        raise UnknownReference(
            f"model {name!r} has no alias {alias!r}; it has {listed or 'none'}. A "
            f"version is named as {name}/1.{did_you_mean(alias, aliases)}"
        ) from error
