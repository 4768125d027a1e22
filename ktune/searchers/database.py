"""A database of studies, for several drivers of one search.

Its address is a SQLAlchemy URL. The password in it is neither printed nor recorded,
not even within the message of another library.
"""

import contextlib
import importlib.util
import time
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from ktune.errors import ExperimentError, StoreError
from ktune.searchers.study import quiet

HEARTBEAT_INTERVAL = 30
"""Seconds between two heartbeats of a driver."""

GRACE_PERIOD = 120
"""Seconds without a heartbeat after which a driver counts as dead."""

_DRIVERS: Mapping[str, tuple[str, str]] = {
    "postgresql": ("psycopg2", 'pip install "ktune[postgres]"'),
    "mysql": ("pymysql", "pip install pymysql"),
}
"""Driver package of each kind of database, and the command that installs it."""

_SERVER = {
    "connect_args": {"connect_timeout": 10},
    # Firewalls may close connections that are idle during a trial.
    "pool_pre_ping": True,
}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "postgresql": _SERVER,
    "mysql": _SERVER,
    # One connection at a time writes; the others wait for it.
    "sqlite": {"connect_args": {"timeout": 60}},
}
"""Engine arguments of SQLAlchemy."""

_ATTEMPTS = 3


class Database:
    """An open database of studies.

    Args:
        url: Its address, as `check_url` returns it.

    Raises:
        StoreError: It is unreachable, or cannot hold studies.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        with database_errors(url):
            self.storage = _open(url)
            self.engine: sqlalchemy.Engine = self.storage.engine
            if url.get_backend_name() == "sqlite":
                # WAL: readers do not block the writer.
                with self.engine.connect() as link:
                    link.exec_driver_sql("PRAGMA journal_mode=WAL")

    def __str__(self) -> str:
        return shown(self.url)


def check_url(text: str) -> URL:
    """Return the address of a database with its driver package.

    Raises:
        ExperimentError: It is not the URL of a database, or the driver package is not
            installed.

    Example:
        >>> check_url("http://host/db")
        Traceback (most recent call last):
            ...
        ktune.errors.ExperimentError: --storage must be the URL of a database: ...
    """
    try:
        url = make_url(text)
    except SQLAlchemyError:
        url = make_url("unknown://")
    kind = url.get_backend_name()
    if kind not in _OPTIONS or not url.database:
        raise ExperimentError(
            "--storage must be the URL of a database: postgresql://user@host/name, "
            "mysql://user@host/name or, on one machine, sqlite:///file.db; got "
            f"{_without_password(text)!r}"
        )
    if kind == "sqlite":
        return url
    package, remedy = _DRIVERS[kind]
    if url.drivername == kind:  # SQLAlchemy may default to another package
        url = url.set(drivername=f"{kind}+{package}")
    package = url.get_driver_name()
    if importlib.util.find_spec(package) is None:
        raise ExperimentError(
            f"--storage {shown(url)} needs the package {package}, which is not "
            f"installed. Install it with: {remedy}"
        )
    return url


def shown(url: URL) -> str:
    """Return an address without its password, for messages and records."""
    kind = url.get_backend_name()
    is_usual = kind in _DRIVERS and url.get_driver_name() == _DRIVERS[kind][0]
    name = kind if is_usual else url.drivername
    plain = url.set(drivername=name, query={})  # the query may contain a password
    return plain.render_as_string(hide_password=True)


@contextlib.contextmanager
def database_errors(url: URL) -> Iterator[None]:
    """Convert errors of a database into one clear message.

    Raises:
        StoreError: The database raised an error.
    """
    try:
        yield
    except UpdateFinishedTrialError as error:
        raise StoreError(presumed_dead_message()) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StoreError(
            f"the database {shown(url)} cannot be used: {_reason(error, url)}. Check "
            "that it runs, that it is reachable from here, and that the user may "
            "create and write tables; then continue with --resume"
        ) from None  # the cause may contain the password


def presumed_dead_message() -> str:
    """Return the message of a driver that the others presume dead."""
    return (
        f"this driver sent no heartbeat for {GRACE_PERIOD} seconds, so other drivers "
        "may have taken over its trials. Join them again with --resume"
    )


def _open(url: URL) -> RDBStorage:
    """Open the storage; create its tables if they do not exist.

    The retries cover several processes that create the tables at the same time: only
    one of them succeeds.
    """
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(SQLAlchemyError):
            return _storage(url)
        time.sleep(1)
    return _storage(url)


def _storage(url: URL) -> RDBStorage:
    try:
        with quiet():
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs=dict(_OPTIONS[url.get_backend_name()]),
                heartbeat_interval=HEARTBEAT_INTERVAL,
                grace_period=GRACE_PERIOD,
            )
    except RuntimeError as error:
        # Tables of another version of Optuna; its message has the remedy.
        raise StoreError(f"the studies in {shown(url)}: {error}") from None


def _reason(error: BaseException, url: URL) -> str:
    """Return the first line of the database's own message."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else None
    lines = str(getattr(cause or error, "orig", None) or cause or error).split("\n")
    message = lines[0].strip()
    return message.replace(url.password, "***") if url.password else message


def _without_password(text: str) -> str:
    """Return a text that is no URL without a possible password."""
    start, at, rest = text.rpartition("@")
    return f"…@{rest}" if at and start else text
