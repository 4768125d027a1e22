"""Stores that cannot be used, as tables: how each comes about, and what is said.

Every function takes the folder of a project with a finished search and spoils it.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

DATABASE = Path("mlruns", "mlflow.db")


def _written(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / DATABASE
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _sql(*statements: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return spoil


def _foreign(folder: Path) -> None:
    (folder / DATABASE).unlink()
    _sql("CREATE TABLE birds (name TEXT)", "INSERT INTO birds VALUES ('wren')")(folder)


def _no_file(folder: Path) -> None:
    (folder / DATABASE).unlink()
    (folder / DATABASE).mkdir()


STORES = {
    "an empty file": (_written(lambda content: b""), "is empty: it was truncated"),
    "no database": (_written(lambda content: b"no db " * 999), "is damaged, or no"),
    "half a database": (_written(lambda content: content[:200_000]), "malformed"),
    "a first page": (_written(lambda content: content[:4096]), "malformed"),
    "a hole of zeros": (
        _written(lambda content: content[:4096] + bytes(len(content) - 4096)),
        "malformed",
    ),
    "another's database": (_foreign, "not MLflow's: it holds the tables birds"),
    "a folder": (_no_file, "is a folder"),
    "a newer MLflow's": (
        _sql("UPDATE alembic_version SET version_num = 'ffffffffffff'"),
        "made by a newer MLflow",
    ),
    "a newer one's that lacks a table": (
        _sql(
            "UPDATE alembic_version SET version_num = 'ffffffffffff'",
            "DROP TABLE trace_info",
        ),
        "pip install --upgrade mlflow",
    ),
    "an older MLflow's": (
        _sql(
            "UPDATE alembic_version SET version_num = 'cbc13b556ace'",
            "DROP TABLE trace_info",
        ),
        "mlflow db upgrade sqlite:///",
    ),
    "a half-made one": (_sql("DELETE FROM alembic_version"), "its creation was interr"),
    "one without its versions": (_sql("DROP TABLE alembic_version"), "interrupted"),
}

VERBS_ON_STORES = [
    ["search", "small.py", "-q"],
    ["search", "small.py", "-q", "--resume"],
    ["search", "small.py", "-q", "--warm-start", "small"],
    ["runs"],
    ["runs", "small"],
    ["show"],
    ["report"],
    ["compare", "best", "small"],
    ["ui"],
    ["predict", "small", "small.py"],
    ["doctor"],
]


def _study(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (path,) = folder.glob("mlruns/studies/*.log")
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _gone(folder: Path) -> None:
    (path,) = folder.glob("mlruns/studies/*.log")
    path.unlink()


def _lines(content: bytes, count: int) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:count])


STUDIES = {
    "gone": (_gone, "its study is missing here"),
    "empty": (_study(lambda content: b""), "it is not of this search"),
    "of another kind": (_study(lambda content: b"hello\nworld\n"), "line 1 of 2"),
    "a database": (_study(lambda content: b"SQLite format 3\0" * 9), "line 1 of"),
    "of another search": (
        _study(lambda content: content.replace(b'"small"', b'"large"')),
        "it is not of this search",
    ),
    "spoilt in the middle": (
        _study(lambda content: _lines(content, 4) + b"\0\0\n" + content),
        "line 5 of",
    ),
    "cut off long ago": (
        _study(lambda content: _lines(content, 3)),
        "lacks 4 of the 4",
    ),
}
