"""Whatever is wrong with what a user gives: one message, exit code 2, nothing left."""

import os
import sqlite3
from contextlib import closing

import pytest
from bad_inputs import DATA, EXPERIMENTS, FILE, HEAD, OPTIONS, VERBS
from bad_stores import DATABASE, STORES, STUDIES, VERBS_ON_STORES
from projects import copy_project

from ktune.cli.main import main


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def short(words):
    return str(words)[:60]


def answer(words, capsys):
    """Run a command; return its exit code and its one message."""
    try:
        code = main(words)
    except SystemExit as end:  # of the parser of options
        code = end.code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    return code, printed.out + printed.err


def content(folder):
    """Every file below a folder that a command could have left or changed."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.name.endswith(("-wal", "-shm"))  # SQLite's, empty
    }


@pytest.mark.parametrize(
    ("text", "told"), [*EXPERIMENTS.values(), *DATA.values()], ids=[*EXPERIMENTS, *DATA]
)
def test_a_mistake_is_explained_and_leaves_nothing(
    text, told, tmp_path, monkeypatch, capsys
):
    (tmp_path / FILE).write_text(f"{HEAD}{text}\n")
    monkeypatch.chdir(tmp_path)
    code, message = answer(["search", FILE, "-q", "--trials", "1"], capsys)
    assert (code, told in message) == (2, True), message
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(("options", "told"), OPTIONS, ids=short)
def test_a_wrong_option_is_explained_and_leaves_nothing(
    options, told, tmp_path, monkeypatch, capsys
):
    (tmp_path / FILE).write_text(f"{HEAD}experiment = make()\n")
    monkeypatch.chdir(tmp_path)
    before = content(tmp_path)
    code, message = answer(["search", *options, "-q"], capsys)
    assert (code, told in message) == (2, True), message
    assert content(tmp_path) == before


@pytest.mark.parametrize(("words", "told"), VERBS, ids=short)
def test_a_wrong_reference_is_explained(words, told, in_folder, capsys):
    before = sorted(content(in_folder))
    code, message = answer(words, capsys)
    assert (code, told in message) == (2, True), message
    assert sorted(content(in_folder)) == before


@pytest.fixture(scope="module")
def project(small_search, tmp_path_factory):
    """A copy of the small search's project, and what is in it."""
    folder = copy_project(small_search, tmp_path_factory.mktemp("bad") / "project")
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        # All of it into the one file that is spoilt.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder, content(folder)


@pytest.fixture
def spoilt(project, monkeypatch):
    """Spoils the project, which is mended afterwards; returns its new content."""
    folder, whole = project
    monkeypatch.chdir(folder)

    def spoil(change):
        change(folder)
        return content(folder)

    yield spoil
    if (folder / DATABASE).is_dir():
        (folder / DATABASE).rmdir()
    for name, text in whole.items():
        (folder / name).write_bytes(text)


@pytest.mark.parametrize(("spoil", "told"), STORES.values(), ids=STORES)
def test_a_store_that_cannot_be_used_is_explained_by_every_verb_and_left_as_it_is(
    spoil, told, spoilt, project, capsys
):
    before = spoilt(spoil)
    for words in VERBS_ON_STORES:
        code, message = answer(words, capsys)
        # A table is folded to the width of the terminal.
        message = " ".join(message.split())
        assert (words, code, told in message) == (words, 2, True), message
    assert content(project[0]) == before


@pytest.mark.parametrize(("spoil", "told"), STUDIES.values(), ids=STUDIES)
def test_a_study_that_cannot_be_used_is_explained_and_left_as_it_is(
    spoil, told, spoilt, project, capsys
):
    before = spoilt(spoil)
    code, message = answer(["search", "small.py", "-q", "--resume"], capsys)
    assert (code, told in message) == (2, True), message
    assert content(project[0]) == before
    # What has been found stands in MLflow, and can be read without it.
    for words in (["runs"], ["show"], ["report", "-o", os.devnull]):
        assert answer(words, capsys)[0] == 0
