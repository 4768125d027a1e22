import shutil
import sqlite3
from contextlib import closing

import pytest

from ktune.errors import StoreError
from ktune.tracking.artifacts import read_file, read_run_file
from ktune.tracking.database import create_database
from ktune.tracking.location import find_store, relocate, sqlite_uri
from ktune.tracking.reader import list_searches
from ktune.tracking.records import RunRecord
from ktune.tracking.store import open_store, quiet_mlflow

SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, artifact_location TEXT);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, artifact_uri TEXT);
CREATE TABLE logged_models (model_id TEXT PRIMARY KEY, artifact_location TEXT);
CREATE TABLE model_versions (name TEXT, source TEXT, storage_location TEXT);
"""


def make_database(folder, *roots):
    """A store whose experiments have the given artifact roots."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(SCHEMA)
        insert = connection.execute
        insert("INSERT INTO experiments VALUES (0, ?)", ("mlflow-artifacts:/0",))
        for number, root in enumerate(roots, start=1):
            insert("INSERT INTO experiments VALUES (?, ?)", (number, root))
            insert("INSERT INTO runs VALUES (?, ?)", (f"r{number}", f"{root}/r/files"))
            insert(
                "INSERT INTO logged_models VALUES (?, ?)", (f"m{number}", f"{root}/m")
            )
            versions = (f"models:/m{number}", f"{root}/m")
            insert("INSERT INTO model_versions VALUES ('x', ?, ?)", versions)
    return database


def paths(database):
    """All paths in the store."""
    columns = {
        "experiments": "artifact_location",
        "runs": "artifact_uri",
        "logged_models": "artifact_location",
        "model_versions": "source, storage_location",
    }
    with closing(sqlite3.connect(database)) as connection:
        return [
            path
            for table, column in columns.items()
            for row in connection.execute(f"SELECT {column} FROM {table}")
            for path in row
        ]


def root_of(folder):
    return (folder / "artifacts").as_uri()


def move(old, new):
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(old, new)
    return new / "mlflow.db"


def test_paths_follow_a_store_that_has_moved(tmp_path):
    old, new = tmp_path / "old", tmp_path / "elsewhere" / "new"
    make_database(old, root_of(old), root_of(old))
    database = move(old, new)
    assert relocate(database)
    root = root_of(new)
    assert paths(database) == [
        "mlflow-artifacts:/0",
        *[root] * 2,
        *[f"{root}/r/files"] * 2,
        *[f"{root}/m"] * 2,
        "models:/m1",
        f"{root}/m",
        "models:/m2",
        f"{root}/m",
    ]


def test_paths_of_a_store_that_has_not_moved_are_kept(tmp_path):
    database = make_database(tmp_path, root_of(tmp_path))
    before = database.read_bytes()
    assert not relocate(database)
    assert database.read_bytes() == before


def test_a_store_is_moved_only_once(tmp_path):
    make_database(tmp_path / "old", root_of(tmp_path / "old"))
    database = move(tmp_path / "old", tmp_path / "new")
    assert relocate(database)
    assert not relocate(database)


def test_folder_names_may_hold_anything(tmp_path):
    old, new = tmp_path / "my_project 100%", tmp_path / "mein Prüfstand 'x'"
    make_database(old, root_of(old))
    database = move(old, new)
    assert relocate(database)
    assert paths(database)[1] == root_of(new)


def test_a_sibling_of_similar_name_is_left_alone(tmp_path):
    """`_` stands for any letter in SQL's LIKE, and case does not count."""
    old, new = tmp_path / "my_project", tmp_path / "new"
    siblings = [
        root_of(tmp_path / name) + "/x" for name in ("my-project", "MY_PROJECT")
    ]
    make_database(old, *siblings, root_of(old))
    database = move(old, new)
    assert relocate(database)
    assert paths(database)[1:4] == [*siblings, root_of(new)]


def test_artifacts_kept_elsewhere_on_purpose_are_left_alone(tmp_path):
    """Another experiment of the same store may have an artifact root of its own."""
    elsewhere = root_of(tmp_path / "shared")
    database = make_database(tmp_path / "here", root_of(tmp_path / "here"), elsewhere)
    before = paths(database)
    assert not relocate(database)
    assert paths(database) == before


def test_a_copy_gets_paths_of_its_own(tmp_path):
    make_database(tmp_path / "one", root_of(tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert relocate(tmp_path / "two" / "mlflow.db")
    assert not relocate(tmp_path / "one" / "mlflow.db")
    assert paths(tmp_path / "one" / "mlflow.db")[1] == root_of(tmp_path / "one")
    assert paths(tmp_path / "two" / "mlflow.db")[1] == root_of(tmp_path / "two")


def test_a_store_without_experiments_of_ktune_is_left_alone(tmp_path):
    database = make_database(tmp_path, "s3://bucket/artifacts")
    assert not relocate(database)
    assert paths(database)[1] == "s3://bucket/artifacts"


def test_a_store_of_an_older_mlflow_lacks_tables(tmp_path):
    database = make_database(tmp_path / "old", root_of(tmp_path / "old"))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TABLE logged_models")
        connection.execute("ALTER TABLE model_versions DROP COLUMN storage_location")
    assert relocate(move(tmp_path / "old", tmp_path / "new"))


def test_another_database_is_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    assert not relocate(tmp_path / "mlflow.db")


def test_a_file_that_is_no_database_is_left_as_it_was(tmp_path):
    database = tmp_path / "mlflow.db"
    database.write_text("This is no database. " * 100)
    with pytest.raises(sqlite3.DatabaseError):
        relocate(database)
    assert database.read_text().startswith("This is no database.")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_the_store_is_below_the_working_folder(here):
    location = find_store()
    assert location.uri == f"sqlite:///{here}/mlruns/mlflow.db"
    assert location.database == here / "mlruns" / "mlflow.db"
    assert location.artifact_root == root_of(here / "mlruns")
    assert not location.exists


def test_the_environment_names_another_store(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here}/other.db")
    assert find_store().database == here / "other.db"
    assert find_store("http://host:5000").uri == "http://host:5000"


def test_an_empty_variable_names_none(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert find_store().database == here / "mlruns" / "mlflow.db"


def test_a_relative_path_starts_at_the_working_folder(here):
    location = find_store("sqlite:///some/mlflow.db")
    assert location.uri == f"sqlite:///{here}/some/mlflow.db"


def test_a_server_decides_about_artifacts_itself(here):
    location = find_store("http://host:5000")
    assert (location.database, location.artifact_root) == (None, None)
    assert location.exists
    assert location.folder == here / "mlruns"


@pytest.mark.parametrize(
    "uri", ["./mlruns", "mlruns/", "/a/b", "file:///a/b", "file:b"]
)
def test_a_folder_is_an_error_with_the_remedy(here, uri):
    with pytest.raises(StoreError, match=r"is a folder.*Use sqlite:///.*/mlflow\.db"):
        find_store(uri)


SEARCH_TAGS = {
    "ktune.kind": "search",
    "ktune.objective": "accuracy",
    "ktune.direction": "max",
}
ODD_NAMES = [
    "what?",
    "100%41",
    "a%3Fb?c=d",
    "C#",
    "a&b;c=d@e:f [x] 'y' \"z\"",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_store_lies_in_its_folder_whatever_its_name(
    name, is_named, tmp_path, monkeypatch
):
    folder = tmp_path / "here" / name
    folder.mkdir(parents=True)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    uri = f"sqlite:///{folder}/mlruns/mlflow.db" if is_named else None
    store = open_store(uri, create=True)
    run_id = store.start_run(
        store.experiment_id("digits"),
        RunRecord("a", "RUNNING", tags=SEARCH_TAGS, files={"x": b"1"}),
    )
    store.update_run(run_id, RunRecord("a", "FINISHED", files={"y": b"2"}))
    (view,) = list_searches(open_store(uri))
    assert read_run_file(store, view, "y") == read_file(store, run_id, "y") == b"2"
    assert read_file(store, run_id, "x") == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert [path.name for path in folder.parent.iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["mlruns"]


def test_a_store_is_created_in_a_folder_with_an_odd_name(tmp_path):
    folder = tmp_path / "here" / "what? 100%41 #1"
    location = find_store(f"sqlite:///{folder}/mlflow.db")
    with quiet_mlflow():
        create_database(location)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (folder / "mlflow.db").stat().st_size > 0


def test_an_encoded_address_names_the_folder_too(tmp_path):
    folder = tmp_path / "a b%41"
    folder.mkdir()
    database = folder / "mlflow.db"
    location = find_store(sqlite_uri(database))
    assert location.database == database
    assert location.shown == f"sqlite:///{database}"
    encoded = f"sqlite:///{tmp_path}/a%20b%2541/mlflow.db"
    assert find_store(encoded).database == database


def test_options_of_an_address_are_not_part_of_the_path(tmp_path):
    location = find_store(f"sqlite:///{tmp_path}/mlflow.db?timeout=30")
    assert location.database == tmp_path / "mlflow.db"
    assert location.uri.endswith("?timeout=30")
