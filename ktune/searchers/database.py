"""A database that holds studies, for several drivers on one search.

What it is called is a URL as SQLAlchemy takes it. A password in it stays here: it is
neither printed nor recorded, not even as part of somebody else's message.
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

HEARTBEAT = 30
"""So many seconds pass between two signs of life of a driver."""

GRACE = 120
"""After so many seconds without one it is taken for dead."""

_DRIVERS: Mapping[str, tuple[str, str]] = {
    "postgresql": ("psycopg2", 'pip install "ktune[postgres]"'),
    "mysql": ("pymysql", "pip install pymysql"),
}
"""Kind of database to the package that speaks with it, and how to get that."""

_SERVER = {
    "connect_args": {"connect_timeout": 10},
    # A trial takes longer than many a firewall keeps an idle connection.
    "pool_pre_ping": True,
}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "postgresql": _SERVER,
    "mysql": _SERVER,
    # One connection at a time writes; the others wait for it.
    "sqlite": {"connect_args": {"timeout": 60}},
}
"""How SQLAlchemy connects."""

_ATTEMPTS = 3


class Database:
    """An open database of studies.

    Args:
        url: Its address, as `check_url` returns it.

    Raises:
        StoreError: It cannot be reached, or is not fit for studies.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        with database_errors(url):
            self.storage = _open(url)
            self.engine: sqlalchemy.Engine = self.storage.engine
            if url.get_backend_name() == "sqlite":
                # Who reads, as drivers do that wait, no longer holds up who writes.
                with self.engine.connect() as link:
                    link.exec_driver_sql("PRAGMA journal_mode=WAL")

    def __str__(self) -> str:
        return shown(self.url)


def check_url(text: str) -> URL:
    """Return the address of a database, with the package that speaks with it.

    Raises:
        ExperimentError: It is not one, or that package is not installed.

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
    if url.drivername == kind:  # SQLAlchemy's own choice may be another package
        url = url.set(drivername=f"{kind}+{package}")
    package = url.get_driver_name()
    if importlib.util.find_spec(package) is None:
        raise ExperimentError(
            f"--storage {shown(url)} needs the package {package}, which is not "
            f"installed. Install it with: {remedy}"
        )
    return url


def shown(url: URL) -> str:
    """Return an address without its password, as people and records may see it."""
    kind = url.get_backend_name()
    is_usual = kind in _DRIVERS and url.get_driver_name() == _DRIVERS[kind][0]
    name = kind if is_usual else url.drivername
    plain = url.set(drivername=name, query={})  # a password may stand there, too
    return plain.render_as_string(hide_password=True)


@contextlib.contextmanager
def database_errors(url: URL) -> Iterator[None]:
    """Turn what is raised about a database into one clear message.

    Raises:
        StoreError: Something was.
    """
    try:
        yield
    except UpdateFinishedTrialError as error:
        raise StoreError(lost()) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StoreError(
            f"the database {shown(url)} cannot be used: {_reason(error, url)}. Check "
            "that it runs, that it can be reached from here, and that the user may "
            "create and write tables; then go on with --resume"
        ) from None  # the cause may name the password


def lost() -> str:
    """Return what a driver says that finds itself taken for dead."""
    return (
        f"this driver gave no sign of life for {GRACE} seconds, so others may have "
        "taken its trials over. Join them again with --resume"
    )


def _open(url: URL) -> RDBStorage:
    """Open the storage, its tables made if need be.

    Of several that make them at the same moment only one can.
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
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
            )
    except RuntimeError as error:
        # Tables of another version of Optuna; it says what to do.
        raise StoreError(f"the studies in {shown(url)}: {error}") from None


def _reason(error: BaseException, url: URL) -> str:
    """Return the first line of what the database itself has said."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else None
    lines = str(getattr(cause or error, "orig", None) or cause or error).split("\n")
    said = lines[0].strip()
    return said.replace(url.password, "***") if url.password else said


def _without_password(text: str) -> str:
    """Return a text that is no URL, without what may be a password in it."""
    start, at, rest = text.rpartition("@")
    return f"…@{rest}" if at and start else text
