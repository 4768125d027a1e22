"""The file of a local store: created atomically, and in WAL mode."""

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from made_up_searches import add_search, trial_result
from sqlalchemy import text

from ktune.errors import StoreError
from ktune.tracking import database as databases
from ktune.tracking.database import create_database, prepare_for_writing
from ktune.tracking.location import BUSY_SECONDS, find_store
from ktune.tracking.reader import find_search, list_trials
from ktune.tracking.store import open_store, quiet_mlflow


@pytest.fixture
def database(empty_store, tmp_path):
    """A new store in SQLite's default mode."""
    path = Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


def journal_mode(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


def test_a_search_switches_the_file_to_write_ahead_logging(database):
    open_store(f"sqlite:///{database}")
    assert journal_mode(database) == "delete"  # who only reads changes nothing
    open_store(f"sqlite:///{database}", create=True)
    assert journal_mode(database) == "wal"


def test_readers_do_not_wait_for_the_writer(database):
    store = open_store(f"sqlite:///{database}", create=True)
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [e.name for e in store.client.search_experiments()] == ["Default"]


def test_a_search_writes_while_a_page_is_open(database):
    """`ktune ui` reads all the time, and a page may take long to be sent."""
    store = open_store(f"sqlite:///{database}", create=True)
    page = open_store(f"sqlite:///{database}")
    n_reads, is_over = 0, threading.Event()

    def browse():
        nonlocal n_reads
        while not is_over.is_set():
            ids = [e.experiment_id for e in page.client.search_experiments()]
            page.client.search_runs(ids)
            n_reads += 1

    with ThreadPoolExecutor(1) as pool, closing(sqlite3.connect(database)) as slow:
        slow.execute("BEGIN")
        slow.execute("SELECT * FROM runs").fetchall()
        browsing = pool.submit(browse)
        try:
            logger = add_search(store, *[trial_result(0.5)] * 3)
        finally:
            is_over.set()
        browsing.result()
    assert n_reads > 1
    assert len(logger.trial_runs) == 3
    assert len(list_trials(page, find_search(page, logger.run_id))) == 3


def test_mlflow_waits_for_a_lock_on_every_connection(database):
    """`ktune.tracking.retries` relies on it."""
    with quiet_mlflow():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    store = SqlAlchemyStore(f"sqlite:///{database}", "artifacts")
    with store.ManagedSessionMaker() as session:
        milliseconds = session.execute(text("PRAGMA busy_timeout")).scalar()
    assert milliseconds == 1000 * BUSY_SECONDS


def test_a_new_store_is_created_atomically(tmp_path, monkeypatch):
    def killed(new, database):
        raise KeyboardInterrupt

    monkeypatch.setattr(databases, "_put_in_place", killed)
    location = find_store(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    with quiet_mlflow(), pytest.raises(KeyboardInterrupt):
        create_database(location)
    assert not location.exists
    assert list(location.folder.iterdir()) == []


def test_a_store_created_meanwhile_by_another_process_is_kept(tmp_path):
    new, database = tmp_path / "new.db", tmp_path / "mlflow.db"
    new.write_text("mine")
    database.write_text("theirs")
    databases._put_in_place(new, database)
    assert database.read_text() == "theirs"
    databases._put_in_place(new, tmp_path / "other.db")
    assert (tmp_path / "other.db").read_text() == "mine"


def test_a_full_device_is_an_error_before_the_search_starts(database, monkeypatch):
    full = shutil.disk_usage("/")._replace(free=1_200_000)
    monkeypatch.setattr("ktune.tracking.database.shutil.disk_usage", lambda path: full)
    with pytest.raises(StoreError, match=r"only 1\.2 MB are free .* was not started"):
        prepare_for_writing(database)


def test_damage_inside_is_found_before_a_search_writes(database):
    content = bytearray(database.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    content[-20 * page :] = b"\x5a" * (20 * page)
    database.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged.*left unchanged"):
        open_store(f"sqlite:///{database}", create=True)
    assert database.read_bytes() == content
