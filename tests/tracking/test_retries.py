"""Calls to a store that another program locks are retried."""

import errno
import os
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from ktune.errors import StoreError
from ktune.tracking.location import find_store
from ktune.tracking.retries import RetryingClient, RetryPolicy
from ktune.tracking.store import open_store, store_errors

LOCKED = MlflowException(
    "(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO runs]",
    TEMPORARILY_UNAVAILABLE,
)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("ktune.tracking.retries._PAUSE", 0.0)


class Client:
    """Raises the given errors, then returns."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def get_run(self, run_id):
        if self.errors:
            raise self.errors.pop(0)
        return f"run {run_id}"


def retrying_client(tmp_path, *errors, seconds=60.0):
    location = find_store(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    return RetryingClient(Client(*errors), location, RetryPolicy(seconds))


def test_a_call_is_repeated_until_the_lock_is_gone(tmp_path, caplog):
    client = retrying_client(tmp_path, LOCKED, LOCKED, LOCKED)
    assert client.get_run("abc") == "run abc"
    assert [record.message for record in caplog.records] == [
        "the store is locked by another program; waiting for it"
    ]


def test_a_permanent_lock_is_an_error_with_a_remedy(tmp_path):
    client = retrying_client(tmp_path, *[LOCKED] * 10, seconds=0.0)
    with pytest.raises(StoreError, match=r"locked by another .*`lsof .*--resume"):
        client.get_run("abc")


def test_calls_are_not_retried_after_a_timeout():
    policy = RetryPolicy(0.05)
    calls = []

    def locked():
        calls.append(1)
        raise LOCKED

    for _ in range(2):
        with pytest.raises(MlflowException):
            policy.call(locked)
    first = len(calls) - 1
    assert first > 1
    assert len(calls) == first + 1


def test_other_errors_of_mlflow_are_not_repeated(tmp_path):
    client = retrying_client(tmp_path, MlflowException("no such run"))
    with pytest.raises(MlflowException, match="no such run"):
        client.get_run("abc")
    assert client.get_run("abc") == "run abc"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            MlflowException("(sqlite3.OperationalError) database or disk is full"),
            "Free space",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left.*--resume"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Free space"),
        (OSError(errno.EROFS, "Read-only file system"), "is read-only"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cp -r"),
        (sqlite3.OperationalError("unable to open database file"), "not exist"),
        (OSError(errno.EACCES, "Permission denied"), "cannot be opened"),
        (MlflowException("database disk image is malformed"), "Restore it"),
        (OSError(errno.EIO, "Input/output error"), "is damaged"),
    ],
)
def test_the_message_of_a_store_error_names_its_cause(tmp_path, error, message):
    with pytest.raises(StoreError, match=message) as caught:
        retrying_client(tmp_path, error).get_run("abc")
    assert str(tmp_path / "mlruns") in str(caught.value)
    location = find_store(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    with pytest.raises(StoreError, match=message), store_errors(location):
        raise error


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (os.R_OK, "mlflow.db cannot be opened .*: you may not read it"),
        (os.W_OK, "is read-only .*Make the folder and its files writable"),
        (0, "cannot be opened .*ulimit -n"),
    ],
)
def test_a_store_that_cannot_be_opened_is_not_called_read_only(
    refused, message, tmp_path, monkeypatch
):
    location = find_store(f"sqlite:///{tmp_path}/mlflow.db")
    location.database.touch()

    def access(path, mode):
        return mode & ~os.X_OK != refused or path == location.folder

    monkeypatch.setattr("ktune.tracking.store_errors.os.access", access)
    error = sqlite3.OperationalError("unable to open database file")
    with pytest.raises(StoreError, match=message), store_errors(location):
        raise error


def test_a_locked_store_is_opened_and_written_once_it_is_free(store):
    """MLflow gives up after 20 seconds; the long variant waits for more than that."""
    seconds = 65.0 if os.environ.get("KTUNE_LONG_TESTS") else 0.7
    database = store.location.database
    with closing(sqlite3.connect(database, check_same_thread=False)) as other:
        for action in (
            lambda: open_store(store.location.uri, create=True),
            lambda: store.experiment_id("birds"),
        ):
            other.execute("BEGIN IMMEDIATE")
            free = threading.Timer(seconds, other.rollback)
            free.start()
            assert action()
            assert not free.is_alive()
            free.join()


def test_time_passes_while_waiting(monkeypatch):
    monkeypatch.setattr("ktune.tracking.retries._PAUSE", 0.01)
    until = time.monotonic() + 0.05
    seen = []

    def action():
        seen.append(1)
        if time.monotonic() < until:
            raise LOCKED
        return "done"

    assert RetryPolicy().call(action) == "done"
    assert 1 < len(seen) <= 7
