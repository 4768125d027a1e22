"""The SQLite file of a local store: made whole, and looked at before MLflow opens it.

MLflow puts its tables into any SQLite file it is given, and begins to migrate one of
another version where tables are missing. So what is not a whole store of the MLflow
installed here is refused first, unchanged.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ktune.errors import StoreError
from ktune.tracking.location import BUSY_SECONDS, StoreLocation

LEAST_FREE_BYTES = 5_000_000
"""With less room on the device a search does not begin: it could not end."""

_OF_MLFLOW = {"experiments", "runs", "tags", "params", "metrics"}


def check_database(database: Path) -> None:
    """Check that a file is a whole store of the MLflow installed here.

    Raises:
        StoreError: It is not, with what it is and what to do. It is left as it was.
        sqlite3.Error: It is damaged, locked or cannot be read.
    """
    if not database.is_file():
        raise StoreError(f"{database} is a folder; the store must be a file in one.")
    if database.stat().st_size == 0:
        raise StoreError(
            f"{database} is empty: it was cut off, or never finished. Restore it from "
            "a copy, or remove it to start anew."
        )
    with _connected(database) as connection:
        tables = _tables(connection)
        if not tables >= _OF_MLFLOW:
            raise StoreError(
                f"{database} is a SQLite database, but not MLflow's: it holds "
                f"{_listed(tables)}. Nothing was changed in it. Name another file: "
                f"--tracking-uri sqlite:///{database.with_name('other.db')}"
            )
        _check_version(database, _version(connection, tables))


def make_database(location: StoreLocation) -> None:
    """Make a new store: all of it or nothing, also if the process is killed.

    Two processes may do so at once; one of them finds what the other has made.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database = location.database
    assert database is not None
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".new-") as folder:
        new = Path(folder, database.name)
        store = SqlAlchemyStore(f"sqlite:///{new}", location.artifact_root)
        store.engine.dispose()
        _put_in_place(new, database)


def prepare_for_writing(database: Path) -> None:
    """Let readers and the one writer not wait for each other; refuse what is damaged.

    Raises:
        StoreError: There is hardly room on the device.
        sqlite3.Error: It is damaged, locked or cannot be written.
    """
    free = shutil.disk_usage(database.parent).free
    if free < LEAST_FREE_BYTES:
        raise StoreError(
            f"there are only {free / 1e6:.1f} MB left for the store in "
            f"{database.parent}. Make room first: nothing was begun."
        )
    with _connected(database) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {found}")
        connection.execute("PRAGMA journal_mode = WAL")  # stays on in the file
        # Without this a read-only file would only be found out at the first run.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _put_in_place(new: Path, database: Path) -> None:
    """Give a file its name, but never over what another process has made."""
    try:
        os.link(new, database)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        os.replace(new, database)


@contextlib.contextmanager
def _connected(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that is there; SQLite makes none."""
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
    """Check the version of the tables against MLflow's list of them."""
    import mlflow

    scripts = _migrations()
    if version == scripts.get_current_head():
        return
    if version is None:
        told = (
            "has tables of MLflow, but not their version: its making was interrupted. "
            "Restore it from a copy, or move it away to start anew."
        )
    elif version in {script.revision for script in scripts.walk_revisions()}:
        told = (
            f"was made by an older MLflow (its tables are of version {version}). Keep "
            "a copy, for there is no way back, then bring it up to date:\n"
            f"  mlflow db upgrade sqlite:///{database}"
        )
    else:
        told = (
            f"was made by a newer MLflow (version {version} of its tables is unknown "
            f"to MLflow {mlflow.__version__}). Update it: pip install --upgrade mlflow"
        )
    raise StoreError(f"{database} {told}")


def _migrations() -> Any:
    """MLflow's list of the versions its tables have had, as alembic reads it."""
    import mlflow.store
    from alembic.script import ScriptDirectory

    (folder,) = mlflow.store.__path__
    return ScriptDirectory(os.path.join(folder, "db_migrations"))


def _listed(tables: set[str], at_most: int = 5) -> str:
    if not tables:
        return "no tables"
    shown = ", ".join(sorted(tables)[:at_most])
    return f"the tables {shown}{', …' if len(tables) > at_most else ''}"
