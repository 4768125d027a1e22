"""Change aliases of a registered model, and record every change with reason and time.

Each alias change is a tag of the registered model, ``ktune.move.0001`` and so on, whose
value is JSON. MLflow's page thus shows the history of a model, and a rollback finds the
previous champion.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from ktune.errors import UnknownReference
from ktune.tracking import names
from ktune.tracking.model_registry import (
    CHALLENGER,
    CHAMPION,
    Registration,
    drop_alias,
    find_champion,
    find_version,
    give_alias,
    read_aliases,
    read_model_tags,
    tag_model,
    tag_version,
)
from ktune.tracking.store import Store

How = Literal["gate", "force", "rollback"]

_MAX_REASON_LENGTH = 1000  # tags of registered models have at most 5000 characters


@dataclass(frozen=True)
class AliasChange:
    """The change of an alias.

    Attributes:
        alias: "champion" or "challenger".
        version: Version with the alias after the change.
        before: Version with the alias before; None if there was none.
        how: "gate", "force" or "rollback".
        reason: The reason as text.
        at: Time of the change, UTC.
    """

    alias: str
    version: int
    before: int | None
    how: How
    reason: str
    at: str


def change_alias(
    store: Store, version: Registration, alias: str, *, how: How, reason: str
) -> AliasChange:
    """Set an alias to a version, and record the change."""
    name = version.name
    change = AliasChange(
        alias=alias,
        version=version.version,
        before=_holder(store, name, alias),
        how=how,
        reason=reason[:_MAX_REASON_LENGTH],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    number = len(read_alias_changes(store, name)) + 1
    # Record first: a crash in between leaves an extra record rather than a change
    # without one.
    key = f"{names.MOVE}.{number:04d}"
    tag_model(store, name, key, json.dumps(asdict(change)))
    give_alias(store, name, alias, version.version)
    if alias == CHAMPION and _holder(store, name, CHALLENGER) == version.version:
        drop_alias(store, name, CHALLENGER)
    status = f"{alias} since {change.at} by {how}: {change.reason}"
    tag_version(store, version, names.GATE, status)
    return change


def read_alias_changes(store: Store, name: str) -> list[AliasChange]:
    """Return the alias changes of a registered model, oldest first."""
    tags = read_model_tags(store, name)
    keys = sorted(key for key in tags if key.startswith(f"{names.MOVE}."))
    return [AliasChange(**json.loads(tags[key])) for key in keys]


def champions(alias_changes: Sequence[AliasChange]) -> list[int]:
    """Return the champions that a rollback can return to, the present one last.

    Example:
        >>> def to(version, how="gate"):
        ...     return AliasChange("champion", version, None, how, "", "")
        >>> champions([to(1), to(2), to(4), to(2, "rollback")])
        [1, 2]
    """
    versions: list[int] = []
    for change in alias_changes:
        if change.alias != CHAMPION:
            continue
        if change.how == "rollback":
            while versions and versions[-1] != change.version:
                versions.pop()
        elif not versions and change.before is not None:
            versions.append(change.before)  # champion before changes were recorded
        if not versions or versions[-1] != change.version:
            versions.append(change.version)
    return versions


def roll_back(store: Store, name: str) -> AliasChange:
    """Return alias ``champion`` to the previous champion.

    Raises:
        UnknownReference: There is no champion, or no previous one that still exists.
    """
    present = find_champion(store, name)
    if present is None:
        raise UnknownReference(f"model {name!r} has no champion to roll back from")
    versions = champions(read_alias_changes(store, name))
    if versions[-1:] == [present.version]:
        versions = versions[:-1]
    for number in reversed(versions):
        earlier = find_version(store, name, number)
        if earlier is not None and number != present.version:
            reason = f"rolled back from version {present.version}"
            return change_alias(store, earlier, CHAMPION, how="rollback", reason=reason)
    raise UnknownReference(
        f"version {present.version} of model {name!r} is the first champion, so there "
        "is no previous one"
    )


def _holder(store: Store, name: str, alias: str) -> int | None:
    return read_aliases(store, name).get(alias)
