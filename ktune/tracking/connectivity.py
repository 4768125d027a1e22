"""Whether the server of a store answers, and what to say when it does not."""

import os
import re
from collections.abc import Iterator

from ktune.errors import ServerUnavailable
from ktune.tracking.location import StoreLocation

_PROBE_SECONDS = 5
_REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}


def log_in(location: StoreLocation) -> None:
    """Hand the login of an address to MLflow, which reads it from the environment.

    It does not stay in the address, for MLflow repeats addresses in its messages.
    """
    if location.login is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = location.login.user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = location.login.password


def require_answer(location: StoreLocation) -> None:
    """Ask whether anybody is there, without patience; any answer will do.

    Raises:
        ServerAway: Nobody is.
    """
    error = _ask(location)
    if error is not None:
        raise ServerUnavailable(
            f"the MLflow server {location.shown} does not answer: {reason(error)}. "
            "Start it, or name another store with --tracking-uri or MLFLOW_TRACKING_URI"
        ) from error


def answers(location: StoreLocation) -> bool:
    """Whether anybody is there; asked without patience."""
    return _ask(location) is None


def away(location: StoreLocation, error: BaseException) -> ServerUnavailable:
    """Return the error that says the server of a store went away, and why."""
    return ServerUnavailable(
        f"the MLflow server {location.shown} is away: {reason(error)}"
    )


def is_unavailable(error: BaseException) -> bool:
    """Whether this means that a server cannot be reached, or cannot work now.

    A request that the server understood and refused does not.
    """
    return isinstance(error, ServerUnavailable) or _network_error(error) is not None


def hint(error: BaseException) -> str:
    """Return what helps against a refusal; "" where we do not know."""
    if getattr(error, "error_code", "") not in _REFUSED:
        return ""
    return (
        ". It wants a login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    )


def _ask(location: StoreLocation) -> BaseException | None:
    """Return why nobody answers; None: somebody does."""
    # MLflow's own requests know about proxies, certificates and logins.
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
        exceptions.RetryError,  # it answers with 429, 500, 502, 503 or 504
    )
    return next((e for e in _chain(error) if isinstance(e, kinds)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it; MLflow does not always say "from"."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def reason(error: BaseException) -> str:
    """Return in few words why a server cannot be reached."""
    from requests import exceptions

    found = _network_error(error)
    if isinstance(found, exceptions.Timeout) or "timed out" in str(found):
        return "no answer in time"
    if refusal := re.search(r"too many (\d+) error responses", str(found)):
        return f"it answers with {refusal[1]}"
    # requests and urllib3 wrap what the system has said up to five times.
    inner = list(_chain(found or error))[-1]
    return getattr(inner, "strerror", None) or str(inner)
