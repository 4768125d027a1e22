"""Wait while another program holds the lock of a local store's database."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ktune.tracking.location import StoreLocation
from ktune.tracking.store_errors import is_locked, store_error

RETRY_SECONDS = 300.0
"""Seconds of waiting: a backup or a vacuum of a large store takes minutes."""

_PAUSE = 0.2

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class RetryPolicy:
    """Repeats what has failed because the database is locked.

    SQLite rolls back what it refuses, so nothing is done twice.

    Args:
        seconds: How long to try. Once that was in vain, nothing is waited for again:
            who closes the books after a failure should not wait as long once more.
    """

    def __init__(self, seconds: float = RETRY_SECONDS) -> None:
        self._left = seconds

    def call(self, action: Callable[[], _T]) -> _T:
        """Return what an action returns; its last failure if it stays locked."""
        deadline = time.monotonic() + self._left
        is_told = False
        while True:
            try:
                return action()
            except Exception as error:
                if not is_locked(error):
                    raise
                if time.monotonic() >= deadline:
                    self._left = 0.0
                    raise
            if not is_told:
                _log.warning("the store is locked by another program; waiting for it")
                is_told = True
            time.sleep(_PAUSE)


class RetryingClient:
    """MLflow's client: waits for locks, and says in words what is wrong with a store.

    Args:
        client: MLflow's own.
        location: The store it is for, a local one.
        patience: Shared by all calls.
    """

    def __init__(
        self, client: Any, location: StoreLocation, patience: RetryPolicy
    ) -> None:
        self._client = client
        self._location = location
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @functools.wraps(method)
        def call(*words: Any, **named: Any) -> Any:
            try:
                return self._patience.call(lambda: method(*words, **named))
            except Exception as error:
                told = store_error(error, self._location)
                if told is None:
                    raise
                raise told from error

        return call
