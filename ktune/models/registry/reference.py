"""Find a model by ``NAME``, ``NAME@ALIAS``, ``NAME/VERSION`` or URI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ktune.errors import StoreError, UnknownReference
from ktune.tracking.model_files import find_logged_model
from ktune.tracking.model_registry import (
    CHAMPION,
    Registration,
    find_aliased,
    find_version,
    model_names,
    read_aliases,
    version_numbers,
    version_uri,
)
from ktune.tracking.store import Store
from ktune.utils.text import did_you_mean, listed

_MODELS = "models:/"


@dataclass(frozen=True)
class FoundModel:
    """A model in MLflow.

    Attributes:
        label: ``NAME/VERSION`` if it is registered, else the user's reference.
        name: Name for exported files.
        uri: URI for MLflow's download.
        tags: Lineage and digests, if known.
    """

    label: str
    name: str
    uri: str
    tags: Mapping[str, str] = field(default_factory=dict)


def find_model(store: Store, reference: str) -> FoundModel:
    """Return the model of a reference.

    Args:
        store: The store to search.
        reference: ``NAME`` (its champion), ``NAME@ALIAS``, ``NAME/VERSION``, any
            MLflow model URI, or the folder of an MLflow model.

    Raises:
        UnknownReference: The model, alias or version does not exist.

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
    try:
        logged = find_logged_model(store, model_id)
    except StoreError as error:
        raise UnknownReference(f"there is no model {reference!r}: {error}") from error
    return FoundModel(reference, str(logged.name), reference, dict(logged.tags))


def _registered(store: Store, reference: str) -> FoundModel:
    name, at, alias = reference.partition("@")
    name, slash, version = name.partition("/")
    _check_name(store, name, reference)
    if slash:
        registration = _version(store, name, version)
    else:
        registration = _aliased(store, name, alias if at else CHAMPION)
    return FoundModel(
        label=f"{name}/{registration.version}",
        name=name,
        uri=version_uri(store, name, registration.version),
        tags=registration.tags,
    )


def _check_name(store: Store, name: str, reference: str) -> None:
    known = model_names(store)
    if name in known:
        return
    known_text = listed(known) if known else "(none yet: run a search first)"
    raise UnknownReference(
        f"{reference!r} names no registered model. Known: {known_text}."
        + did_you_mean(name, known)
    )


def _version(store: Store, name: str, version: str) -> Registration:
    numbers = version_numbers(store, name)
    found = None
    if version in map(str, numbers):
        found = find_version(store, name, int(version))
    if found is None:
        listed = ", ".join(map(str, numbers)) or "none"
        raise UnknownReference(
            f"model {name!r} has no version {version!r}; it has {listed}."
        )
    return found


def _aliased(store: Store, name: str, alias: str) -> Registration:
    found = find_aliased(store, name, alias)
    if found is None:
        aliases = read_aliases(store, name)
        listed = ", ".join(f"{a} (version {v})" for a, v in aliases.items())
        raise UnknownReference(
            f"model {name!r} has no alias {alias!r}; it has {listed or 'none'}. A "
            f"version is named as {name}/1.{did_you_mean(alias, aliases)}"
        )
    return found
