"""Move aliases of a registered model, and remember every move with reason and time.

Each move is a tag of the registered model, ``ktune.move.0001`` and so on, whose value
is JSON; so MLflow's page shows the history of a model, and the previous champion is
known.
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

_LONGEST_REASON = 1000  # tags of registered models hold 5000 characters


@dataclass(frozen=True)
class AliasChange:
    """An alias that was given to a version.

    Attributes:
        alias: "champion" or "challenger".
        version: Which holds it since.
        before: Which held it before; None: none.
        how: By the gate, by force, or back to an earlier one.
        reason: In words.
        at: When, UTC.
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
    """Give an alias to a version and note the move."""
    name = version.name
    move = AliasChange(
        alias=alias,
        version=version.version,
        before=_holder(store, name, alias),
        how=how,
        reason=reason[:_LONGEST_REASON],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    number = len(read_alias_changes(store, name)) + 1
    # The note first: a crash in between leaves a note too many, not a move unexplained.
    key = f"{names.MOVE}.{number:04d}"
    tag_model(store, name, key, json.dumps(asdict(move)))
    give_alias(store, name, alias, version.version)
    if alias == CHAMPION and _holder(store, name, CHALLENGER) == version.version:
        drop_alias(store, name, CHALLENGER)
    told = f"{alias} since {move.at} by {how}: {move.reason}"
    tag_version(store, version, names.GATE, told)
    return move


def read_alias_changes(store: Store, name: str) -> list[AliasChange]:
    """Return the moves of a registered model, oldest first."""
    tags = read_model_tags(store, name)
    keys = sorted(key for key in tags if key.startswith(f"{names.MOVE}."))
    return [AliasChange(**json.loads(tags[key])) for key in keys]


def champions(alias_changes: Sequence[AliasChange]) -> list[int]:
    """Return the versions that a rollback goes through, the present champion last.

    Example:
        >>> def to(version, how="gate"):
        ...     return Move("champion", version, None, how, "", "")
        >>> champions([to(1), to(2), to(4), to(2, "rollback")])
        [1, 2]
    """
    line: list[int] = []
    for move in alias_changes:
        if move.alias != CHAMPION:
            continue
        if move.how == "rollback":
            while line and line[-1] != move.version:
                line.pop()
        elif not line and move.before is not None:
            line.append(move.before)  # made champion before moves were noted
        if not line or line[-1] != move.version:
            line.append(move.version)
    return line


def roll_back(store: Store, name: str) -> AliasChange:
    """Give alias ``champion`` back to the version that held it before.

    Raises:
        UnknownReference: There is no champion, or there was none before it that is
            still there.
    """
    present = find_champion(store, name)
    if present is None:
        raise UnknownReference(f"model {name!r} has no champion to go back from")
    line = champions(read_alias_changes(store, name))
    for number in reversed(line[:-1] if line[-1:] == [present.version] else line):
        earlier = find_version(store, name, number)
        if earlier is not None and number != present.version:
            reason = f"rolled back from version {present.version}"
            return change_alias(store, earlier, CHAMPION, how="rollback", reason=reason)
    raise UnknownReference(
        f"version {present.version} of model {name!r} is the first champion, so there "
        "is none to go back to"
    )


def _holder(store: Store, name: str, alias: str) -> int | None:
    return read_aliases(store, name).get(alias)
