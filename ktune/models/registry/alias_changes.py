"""Change aliases of a registered model, and record every change with reason and time.

Each alias change is a tag of the registered model, ``ktune.move.0001`` and so on, whose
value is JSON. MLflow's page thus shows the history of a model, and a rollback finds the
previous champion.
"""

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from ktune.errors import KtuneError, UnknownReference
from ktune.tracking import names
from ktune.tracking.champion_lock import champion_lock
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

_ATTEMPTS = 10
_CLAIM_SECONDS = 1.0
"""Time after which a server has answered a request of another process."""

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


class ChampionChanged(KtuneError):
    """Another process has changed the champion since it was compared with."""


@dataclass(frozen=True)
class Expected:
    """The champion that a change relies on.

    Attributes:
        champion: Its version; None: there is no champion.
    """

    champion: int | None


def change_alias(
    store: Store,
    version: Registration,
    alias: str,
    *,
    how: How,
    reason: str,
    expected: Expected | None = None,
) -> AliasChange:
    """Set an alias to a version, and record the change.

    Call it with `ktune.tracking.champion_lock.champion_lock` held. On a server, whose
    other users hold no lock of this machine, the record is a claim: it is read again
    before the alias is set.

    Raises:
        ChampionChanged: The champion is not the expected one.
    """
    name = version.name
    for _ in range(_ATTEMPTS):
        _await_alias(store, name)
        aliases = read_aliases(store, name)
        if expected is not None and aliases.get(CHAMPION) != expected.champion:
            raise ChampionChanged(f"model {name!r} has another champion by now")
        change = AliasChange(
            alias=alias,
            version=version.version,
            before=aliases.get(alias),
            how=how,
            reason=reason[:_MAX_REASON_LENGTH],
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        # Record first: a crash in between leaves an extra record rather than a change
        # without one.
        if _record(store, name, change):
            break
    else:
        raise ChampionChanged(
            f"model {name!r} is changed by other processes all the time"
        )
    give_alias(store, name, alias, version.version)
    if alias == CHAMPION and aliases.get(CHALLENGER) == version.version:
        drop_alias(store, name, CHALLENGER)
    status = f"{alias} since {change.at} by {how}: {change.reason}"
    tag_version(store, version, names.GATE, status)
    return change


def _record(store: Store, name: str, change: AliasChange) -> bool:
    """Record a change under the next number; return whether the number is ours."""
    tags = read_model_tags(store, name)
    number = 1 + max(_changes_by_number(tags), default=0)
    key, text = f"{names.MOVE}.{number:04d}", json.dumps(asdict(change))
    tag_model(store, name, key, text)
    if store.location.database is not None:
        return True  # under the lock
    # A process that found the same number free has written by now.
    time.sleep(_CLAIM_SECONDS)
    return read_model_tags(store, name).get(key) == text


def _await_alias(store: Store, name: str) -> None:
    """Wait for the alias of the last change, if that was recorded just now."""
    if store.location.database is not None:
        return
    for _ in range(_ATTEMPTS):
        changes = read_alias_changes(store, name)
        if not changes or not _is_recent(changes[-1]):
            return
        if read_aliases(store, name).get(changes[-1].alias) == changes[-1].version:
            return
        time.sleep(_CLAIM_SECONDS)


def _is_recent(change: AliasChange) -> bool:
    age = datetime.now(UTC) - datetime.fromisoformat(change.at)
    return abs(age.total_seconds()) < _ATTEMPTS * _CLAIM_SECONDS


def read_alias_changes(store: Store, name: str) -> list[AliasChange]:
    """Return the alias changes of a registered model, oldest first."""
    changes = _changes_by_number(read_model_tags(store, name))
    return [changes[number] for number in sorted(changes)]


def _changes_by_number(tags: Mapping[str, str]) -> dict[int, AliasChange]:
    """Return the changes in tags, without those that cannot be read."""
    changes = {}
    for key, text in tags.items():
        number = key.removeprefix(f"{names.MOVE}.")
        if number != key and number.isdecimal():
            with contextlib.suppress(ValueError, TypeError):
                change = AliasChange(**json.loads(text))
                datetime.fromisoformat(change.at or "1970-01-01T00:00:00+00:00")
                changes[int(number)] = change
    return changes


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
    with champion_lock(store, name):
        return _roll_back(store, name)


def _roll_back(store: Store, name: str) -> AliasChange:
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
            return change_alias(
                store,
                earlier,
                CHAMPION,
                how="rollback",
                reason=reason,
                expected=Expected(present.version),
            )
    raise UnknownReference(
        f"version {present.version} of model {name!r} is the first champion, so there "
        "is no previous one"
    )
