"""Artifacts that were edited or cut off are errors with their names."""

import pickle

import pytest
from made_up_searches import add_search, trial_result

from ktune.cli.main import main
from ktune.errors import StoreError
from ktune.tracking import names
from ktune.tracking.artifacts import read_arrays, read_findings, read_json
from ktune.tracking.reader import find_search
from ktune.tracking.records import RunRecord


@pytest.fixture
def search(store):
    """A search of one trial, whose artifacts can be overwritten."""
    logger = add_search(store, trial_result(0.5))
    return find_search(store, logger.run_id)


def overwrite(store, search, name, content):
    store.update_run(search.run_id, RunRecord("", "RUNNING", files={name: content}))


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[3]", b"\xff\xfe"])
def test_a_damaged_record_is_an_error_with_its_name(content, store, search):
    overwrite(store, search, names.SEARCH_FILE, content)
    with pytest.raises(StoreError, match=r"'search.json' of run \w{8} cannot be read"):
        read_json(store, search, names.SEARCH_FILE)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", pickle.dumps([1])])
def test_damaged_arrays_are_an_error_with_their_name(content):
    with pytest.raises(StoreError, match=r"'folds.npz' of run 01234567 cannot be read"):
        read_arrays(content, names.FOLDS_FILE, "0123456789")


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"task": "great"}'])
def test_a_record_without_a_task_is_an_error_of_a_verb(data, store, search, capsys):
    overwrite(store, search, names.SEARCH_FILE, b'{"data": ' + data + b"}")
    words = ["report", search.run_id, "--tracking-uri", store.location.uri]
    assert main(words) == 2
    assert "'search.json' of run" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"{}", b'{"findings": [3]}'])
def test_damaged_findings_are_an_error_with_their_name(content, store, search):
    overwrite(store, search, names.DIAGNOSIS_FILE, content)
    with pytest.raises(StoreError, match="'diagnosis.json' of run"):
        read_findings(store, search)


@pytest.mark.parametrize("name", [names.REFERENCES_FILE, names.SPACE_FILE])
def test_damaged_facts_of_a_report_are_an_error_with_their_name(
    name, store, search, capsys
):
    overwrite(store, search, names.SEARCH_FILE, b'{"data": {"task": "binary"}}')
    overwrite(store, search, name, b"[3]")
    words = ["report", search.run_id, "--tracking-uri", store.location.uri]
    assert main(words) == 2
    assert f"'{name}' of run" in capsys.readouterr().err
