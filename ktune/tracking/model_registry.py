"""Versions of registered models in MLflow: make, find, tag, and give aliases."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ktune.tracking import names
from ktune.tracking.store import Store, all_pages, quoted

CHAMPION = "champion"
CHALLENGER = "challenger"
SINGLE_BEST = "single"
"""Alias of the best trial alone, where the final model of a search is an average."""


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


def register_version(
    store: Store,
    logged: Any,
    *,
    name: str,
    run_id: str,
    tags: Mapping[str, str],
    alias: str | None = None,
) -> Registration:
    """Make a version of a registered model from a logged model.

    Args:
        store: Where to.
        logged: MLflow's logged model.
        name: Of the registered model, made if need be.
        run_id: The run whose page lists the model.
        tags: Of the version.
        alias: Given to it at once; None: none.
    """
    from mlflow.exceptions import MlflowException

    client = store.client
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


def version_of_trial(store: Store, trial_run_id: str) -> Registration | None:
    """Return the newest version refitted from a trial, if any."""
    return _newest(store, f"tags.`{names.TRIAL_RUN}` = '{trial_run_id}'")


def final_version_of(store: Store, search_run_id: str) -> Registration | None:
    """Return the newest version that is the average of a search, if any."""
    of_search = f"tags.`{names.SEARCH_RUN}` = '{search_run_id}'"
    return _newest(store, f"{of_search} and tags.`{names.FINAL}` = 'average'")


def _newest(store: Store, query: str) -> Registration | None:
    found = _versions(store, query)
    if not found:
        return None
    newest = max(found, key=lambda version: int(version.version))
    return find_version(store, newest.name, int(newest.version))


def find_version(store: Store, name: str, number: int) -> Registration | None:
    """Return a version by its number; None: it is not there (any more)."""
    from mlflow.exceptions import MlflowException

    try:
        return _describe(store.client.get_model_version(name, str(number)))
    except MlflowException:
        return None


def find_aliased(store: Store, name: str, alias: str) -> Registration | None:
    """Return the version that holds an alias; None: no such model or alias."""
    from mlflow.exceptions import MlflowException

    try:
        version = store.client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None
    return find_version(store, name, int(version.version))


def find_champion(store: Store, name: str) -> Registration | None:
    """Return the version that holds alias ``champion``, if any."""
    return find_aliased(store, name, CHAMPION)


def _describe(version: Any) -> Registration:
    aliases = list(version.aliases or [])
    alias = CHAMPION if CHAMPION in aliases else (aliases or [None])[0]
    # MLflow 3.17 forgets the `model_id` a version was created with.
    model_id = version.model_id or version.tags.get(names.LOGGED_MODEL, "")
    tags = dict(version.tags)
    return Registration(version.name, int(version.version), alias, model_id, tags)


def model_names(store: Store) -> list[str]:
    """Return the names of all registered models."""
    models = all_pages(
        lambda token: store.client.search_registered_models(
            max_results=1000, page_token=token
        )
    )
    return [str(model.name) for model in models]


def version_numbers(store: Store, name: str) -> list[int]:
    """Return the numbers of the versions of a registered model, in order."""
    text = quoted(name)
    found = _versions(store, "" if text is None else f"name = {text}")
    return sorted(int(version.version) for version in found if version.name == name)


def _versions(store: Store, query: str) -> list[Any]:
    search = store.client.search_model_versions
    return list(all_pages(lambda token: search(query, 1000, None, token)))


def version_uri(store: Store, name: str, number: int) -> str:
    """Return where MLflow downloads a version from."""
    return str(store.client.get_model_version_download_uri(name, str(number)))


def read_aliases(store: Store, name: str) -> dict[str, int]:
    """Return alias to version of a registered model."""
    aliases = store.client.get_registered_model(name).aliases
    return {alias: int(version) for alias, version in dict(aliases).items()}


def give_alias(store: Store, name: str, alias: str, number: int) -> None:
    """Move an alias of a registered model to a version."""
    store.client.set_registered_model_alias(name, alias, str(number))


def drop_alias(store: Store, name: str, alias: str) -> None:
    """Remove an alias of a registered model."""
    store.client.delete_registered_model_alias(name, alias)


def read_model_tags(store: Store, name: str) -> dict[str, str]:
    """Return the tags of a registered model."""
    return dict(store.client.get_registered_model(name).tags)


def tag_model(store: Store, name: str, key: str, value: str) -> None:
    """Set a tag of a registered model."""
    store.client.set_registered_model_tag(name, key, value)


def tag_version(store: Store, version: Registration, key: str, value: str) -> None:
    """Set a tag of a version."""
    store.client.set_model_version_tag(version.name, str(version.version), key, value)


def describe_version(store: Store, version: Registration, text: str) -> None:
    """Set the description that MLflow's page of a version shows."""
    number = str(version.version)
    store.client.update_model_version(version.name, number, description=text)


def lineage(search_run_id: str, trial_run_id: str) -> dict[str, str]:
    """Return the tags that lead from a model back to where it came from."""
    of_trial = {names.TRIAL_RUN: trial_run_id} if trial_run_id else {}
    return {names.SEARCH_RUN: search_run_id, **of_trial}
