"""Create and check the SQLite file of a local store before MLflow opens it.

MLflow creates its tables in any SQLite file, and starts to migrate a file of another
version even if tables are missing. Therefore a file that is not a complete store of
the installed MLflow is refused first, and left unchanged.
"""

import contextlib
import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ktune.errors import StoreError
from ktune.tracking.location import BUSY_SECONDS, StoreLocation, sqlite_uri

MIN_FREE_BYTES = 5_000_000
"""Free space on the device below which a search does not start."""

_MLFLOW_TABLES = {"experiments", "runs", "tags", "params", "metrics"}


def check_database(database: Path) -> None:
    """Check that a file is a complete store of the installed MLflow.

    Raises:
        StoreError: It is not; the message says why and what to do. The file is left
            unchanged.
        sqlite3.Error: It is damaged, locked or not readable.
    """
    if not database.is_file():
        raise StoreError(f"{database} is a folder; the store must be a file in one.")
    if database.stat().st_size == 0:
        raise StoreError(
            f"{database} is empty: it was truncated, or its creation was interrupted. "
            "Restore it from a copy, or remove it to start anew."
        )
    with _connection(database) as connection:
        tables = _tables(connection)
        if not tables >= _MLFLOW_TABLES:
            raise StoreError(
                f"{database} is a SQLite database, but not MLflow's: it holds "
                f"{_list_text(tables)}. Nothing was changed in it. Name another file: "
                f"--tracking-uri sqlite:///{database.with_name('other.db')}"
            )
        _check_version(database, _version(connection, tables))


def create_database(location: StoreLocation) -> None:
    """Create a new store atomically, even if the process is killed.

    Two processes may create it at the same time; the second keeps the file of the
    first.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database = location.database
    assert database is not None
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".new-") as folder:
        new = Path(folder, database.name)
        store = SqlAlchemyStore(sqlite_uri(new), location.artifact_root)
        store.engine.dispose()
        _put_in_place(new, database)


def prepare_for_writing(database: Path) -> None:
    """Switch a database to WAL, and check that it is intact and writable.

    Raises:
        StoreError: The device has almost no free space.
        sqlite3.Error: It is damaged, locked or not writable.
    """
    free = shutil.disk_usage(database.parent).free
    if free < MIN_FREE_BYTES:
        raise StoreError(
            f"only {free / 1e6:.1f} MB are free for the store in {database.parent}. "
            "Free some space first: the search was not started."
        )
    with _connection(database) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {found}")
        # WAL: readers do not block the writer. The mode persists in the file.
        connection.execute("PRAGMA journal_mode = WAL")
        # A write lock fails on a read-only file here instead of at the first run.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _put_in_place(new: Path, database: Path) -> None:
    """Move a file to its name unless another process has created it already."""
    try:
        os.link(new, database)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        os.replace(new, database)


@contextlib.contextmanager
def _connection(database: Path) -> Iterator[sqlite3.Connection]:
    """Open an existing database; mode "rw" keeps SQLite from creating one."""
    address = f"{database.as_uri()}?mode=rw"
    connection = sqlite3.connect(
        address, uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    with closing(connection):
        yield connection


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {str(row[0]) for row in rows}


def _version(connection: sqlite3.Connection, tables: set[str]) -> str | None:
    if "alembic_version" not in tables:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _check_version(database: Path, version: str | None) -> None:
    """Check the version of the tables against MLflow's migrations."""
    import mlflow

    scripts = _migrations()
    if version == scripts.get_current_head():
        return
    if version is None:
        message = (
            "has tables of MLflow, but not their version: its creation was "
            "interrupted. Restore it from a copy, or move it away to start anew."
        )
    elif version in {script.revision for script in scripts.walk_revisions()}:
        message = (
            f"was made by an older MLflow (its tables have version {version}). Keep "
            "a copy, because the upgrade cannot be undone, then upgrade it:\n"
            f"  mlflow db upgrade {shlex.quote(sqlite_uri(database))}"
        )
    else:
        message = (
            f"was made by a newer MLflow (version {version} of its tables is unknown "
            f"to MLflow {mlflow.__version__}). Update MLflow: "
            "pip install --upgrade mlflow"
        )
    raise StoreError(f"{database} {message}")


def _migrations() -> Any:
    """Return MLflow's migration scripts, as alembic reads them."""
    import mlflow.store
    from alembic.script import ScriptDirectory

    (folder,) = mlflow.store.__path__
    return ScriptDirectory(os.path.join(folder, "db_migrations"))


def _list_text(tables: set[str], at_most: int = 5) -> str:
    if not tables:
        return "no tables"
    shown = ", ".join(sorted(tables)[:at_most])
    return f"the tables {shown}{', …' if len(tables) > at_most else ''}"
