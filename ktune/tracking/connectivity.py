"""Check that the server of a store answers, and describe why it does not."""

import os
import re
from collections.abc import Iterator

from ktune.errors import ServerUnavailable
from ktune.tracking.location import StoreLocation

_PROBE_SECONDS = 5
_REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}


def log_in(location: StoreLocation) -> None:
    """Set the login of an address in the environment, where MLflow reads it.

    The address itself holds no login, because MLflow repeats it in its messages.
    """
    if location.login is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = location.login.user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = location.login.password


def require_answer(location: StoreLocation) -> None:
    """Check once that the server answers, no matter with which status.

    Raises:
        ServerUnavailable: The server does not answer.
    """
    error = _ask(location)
    if error is not None:
        raise ServerUnavailable(
            f"the MLflow server {location.shown} does not answer: {reason(error)}. "
            "Start it, or name another store with --tracking-uri or MLFLOW_TRACKING_URI"
        ) from error


def answers(location: StoreLocation) -> bool:
    """Whether the server answers, checked once without retries."""
    return _ask(location) is None


def unavailable_error(
    location: StoreLocation, error: BaseException
) -> ServerUnavailable:
    """Return the error for a server that stopped answering, with its reason."""
    return ServerUnavailable(
        f"the MLflow server {location.shown} is unavailable: {reason(error)}"
    )


def is_unavailable(error: BaseException) -> bool:
    """Whether an error means that a server is unreachable or overloaded.

    A request that the server understood and refused does not count.
    """
    return isinstance(error, ServerUnavailable) or _network_error(error) is not None


def hint(error: BaseException) -> str:
    """Return advice on a refused request, or "" if there is none."""
    if getattr(error, "error_code", "") not in _REFUSED:
        return ""
    return (
        ". The server requires a login: set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD"
    )


def _ask(location: StoreLocation) -> BaseException | None:
    """Return the network error of a health check, or None if the server answers."""
    # MLflow's own requests honour proxies, certificates and logins.
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        http_request(
            get_default_host_creds(location.uri),
            "/health",
            "GET",
            max_retries=0,
            timeout=_PROBE_SECONDS,
        )
    except Exception as error:
        if is_unavailable(error):
            return error
        raise
    return None


def _network_error(error: BaseException) -> BaseException | None:
    from requests import exceptions

    kinds = (
        exceptions.ConnectionError,
        exceptions.Timeout,
        exceptions.ChunkedEncodingError,
        exceptions.RetryError,  # status 429, 500, 502, 503 or 504
    )
    return next((e for e in _chain(error) if isinstance(e, kinds)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes.

    The context counts as a cause, because MLflow does not always raise "from".
    """
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def reason(error: BaseException) -> str:
    """Return a short reason why a server is unavailable."""
    from requests import exceptions

    found = _network_error(error)
    if isinstance(found, exceptions.Timeout) or "timed out" in str(found):
        return "no answer in time"
    if refusal := re.search(r"too many (\d+) error responses", str(found)):
        return f"it answers with {refusal[1]}"
    # requests and urllib3 wrap the error of the system up to five times.
    inner = list(_chain(found or error))[-1]
    return getattr(inner, "strerror", None) or str(inner)
