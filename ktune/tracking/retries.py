"""Retry calls while another program locks the database of a local store."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ktune.tracking.location import StoreLocation
from ktune.tracking.store_errors import is_locked, store_error

RETRY_SECONDS = 300.0
"""Lock timeout: a backup or a vacuum of a large store takes minutes."""

_PAUSE = 0.2

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class RetryPolicy:
    """Repeats a call that fails because the database is locked.

    SQLite rolls back a refused transaction, so nothing is written twice.

    Args:
        seconds: Lock timeout. Once a call has timed out, later calls are not retried,
            so that the end of a failed search is not delayed by a second timeout.
    """

    def __init__(self, seconds: float = RETRY_SECONDS) -> None:
        self._timeout = seconds

    def call(self, action: Callable[[], _T]) -> _T:
        """Return the result of an action, or raise its last error after the timeout."""
        deadline = time.monotonic() + self._timeout
        is_logged = False
        while True:
            try:
                return action()
            except Exception as error:
                if not is_locked(error):
                    raise
                if time.monotonic() >= deadline:
                    self._timeout = 0.0
                    raise
            if not is_logged:
                _log.warning("the store is locked by another program; waiting for it")
                is_logged = True
            time.sleep(_PAUSE)


class RetryingClient:
    """Wrapper of MLflow's client that retries on locks and raises store errors.

    Args:
        client: MLflow's client.
        location: The local store of the client.
        policy: Shared by all calls.
    """

    def __init__(
        self, client: Any, location: StoreLocation, policy: RetryPolicy
    ) -> None:
        self._client = client
        self._location = location
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._policy.call(lambda: method(*args, **kwargs))
            except Exception as error:
                described = store_error(error, self._location)
                if described is None:
                    raise
                raise described from error

        return call
