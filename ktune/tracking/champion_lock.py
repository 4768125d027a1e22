"""The lock under which a model is compared with the champion and made champion."""

import contextlib
import hashlib
from collections.abc import Iterator

from ktune.tracking.store import Store
from ktune.utils.file_lock import locked

_SECONDS = 900.0
"""Time for which a process waits: others load the champion and predict with it."""


@contextlib.contextmanager
def champion_lock(store: Store, name: str) -> Iterator[None]:
    """Lock the champion of a registered model in a local store.

    A server is used by other machines, so no file locks it: there,
    `ktune.models.registry.alias_changes.change_alias` finds out whether the champion
    has changed since the comparison.
    """
    if store.location.database is None:
        yield
        return
    # A name may contain any character, and be longer than a file name.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    path = store.location.folder / "locks" / f"champion-{digest}"
    with locked(path, seconds=_SECONDS):
        yield
