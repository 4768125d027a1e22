"""An MLflow experiment that was renamed: its searches keep their recorded name."""

from types import SimpleNamespace

import pytest

from ktune.errors import UnknownReference
from ktune.tracking import names
from ktune.tracking.reader import find_search, study_file
from ktune.tracking.records import RunRecord
from ktune.tracking.search_logger import SearchLogger
from ktune.tuner import resume
from ktune.tuner.resume import find_past
from ktune.tuner.search import load

TAGS = {
    names.KIND: names.SEARCH,
    names.EXPERIMENT: "digits",
    names.OBJECTIVE: "accuracy",
    names.DIRECTION: "max",
}


@pytest.fixture
def search(store, monkeypatch):
    """An interrupted search whose MLflow experiment was renamed to "numbers"."""
    monkeypatch.setattr(resume, "_check_study", lambda *_: None)
    experiment_id = store.experiment_id("digits")
    files = {names.SEARCH_FILE: b'{"changes": {"trials": 3}}'}
    record = RunRecord("search of digits", "RUNNING", TAGS, files=files)
    run_id = store.start_run(experiment_id, record)
    store.update_run(run_id, RunRecord("", "KILLED"))
    study = study_file(store, run_id)
    study.parent.mkdir(parents=True)
    study.touch()
    store.client.rename_experiment(experiment_id, "numbers")
    return find_search(store, run_id)


@pytest.mark.parametrize("reference", [True, "digits", "numbers"])
def test_its_search_is_resumed(store, search, reference):
    past = find_past(store, "digits", reference)
    assert past.search.run_id == search.run_id
    assert past.options == {"trials": 3}


def test_an_experiment_of_the_new_name_does_not_resume_it(store, search):
    with pytest.raises(UnknownReference, match="is not of 'numbers'"):
        find_past(store, "numbers", True)


def test_further_trials_stand_beside_the_earlier_ones(store, search):
    start = SimpleNamespace(
        experiment=SimpleNamespace(name="digits"),
        goal=SimpleNamespace(tie_breaker="log_loss"),
        class_names=(),
        sources={},
        storage="",
    )
    logger = SearchLogger(store, start, search)
    logger.close()
    assert logger.experiment_id == search.experiment_id
    assert store.client.get_experiment_by_name("digits") is None


def test_it_is_loaded_by_both_names(store, search):
    for name in ("digits", "numbers"):
        result = load(name, tracking_uri=store.location.uri)
        assert (result.name, result.run_id) == ("digits", search.run_id)
