"""Addresses of databases: what is refused, and that passwords stay secret."""

import importlib.util
import sqlite3
from contextlib import closing

import pytest

from ktune.errors import ExperimentError, StoreError
from ktune.searchers.database import Database, check_url, shown
from ktune.searchers.drivers import Drivers

SECRET = "pa55word-4711"


@pytest.mark.parametrize(
    "text",
    [
        "mlruns/study.log",
        f"http://me:{SECRET}@host/studies",
        f"postgres://me:{SECRET}@host/studies",
        f"postgresql//me:{SECRET}@host",
        f"postgresql://me:{SECRET}@host",
        f"mssql+pyodbc://me:{SECRET}@host/studies",
        "sqlite://",
        "",
    ],
)
def test_a_text_that_is_no_url_of_a_database_is_refused(text):
    with pytest.raises(ExperimentError, match=r"postgresql://user@host/name") as caught:
        check_url(text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("postgresql", r"ktune\[postgres\]"), ("mysql", "pip install pymysql")],
)
def test_a_missing_package_is_named_with_what_installs_it(kind, remedy, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match=remedy) as caught:
        check_url(f"{kind}://me:{SECRET}@host/studies")
    assert SECRET not in str(caught.value)


def test_a_package_that_is_named_is_kept():
    url = check_url("postgresql+psycopg2://me@host/studies?sslmode=require")
    assert url.drivername == "postgresql+psycopg2"
    assert url.query == {"sslmode": "require"}


def test_an_address_is_shown_without_its_password():
    url = check_url(f"postgresql://me:{SECRET}@host:5433/studies?password={SECRET}")
    assert shown(url) == "postgresql://me:***@host:5433/studies"


def test_a_database_that_is_not_there_is_one_clear_message(tmp_path, monkeypatch):
    monkeypatch.setattr("ktune.searchers.database.time.sleep", lambda seconds: None)
    url = check_url(f"sqlite:///{tmp_path}/missing/studies.db")
    with pytest.raises(StoreError, match=r"missing/studies\.db cannot be used: unable"):
        Database(url)


def test_a_server_that_does_not_answer_is_one_clear_message(monkeypatch):
    monkeypatch.setattr("ktune.searchers.database.time.sleep", lambda seconds: None)
    url = check_url(f"postgresql://me:{SECRET}@127.0.0.1:1/studies")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/studies cannot") as caught:
        Database(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_no_database_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ktune.searchers.database.time.sleep", lambda seconds: None)
    (tmp_path / "notes.txt").write_text("buy milk and bread " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt cannot be used: file is not"):
        Database(check_url(f"sqlite:///{tmp_path}/notes.txt"))


def test_tables_of_something_else_are_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE studies (name TEXT)")
    base = Database(check_url(f"sqlite:///{tmp_path}/other.db"))
    with pytest.raises(
        StoreError, match=r"other\.db cannot be used: table studies has"
    ):
        Drivers(base, "x/1")
