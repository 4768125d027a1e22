"""Stores whose runs were edited or left behind, and stores that have grown."""

import logging
from types import SimpleNamespace

import made_up_searches
import pytest

from ktune.cli.main import main
from ktune.errors import StoreError, UnknownReference
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import Objective
from ktune.testing.fakes import complete, make_trial
from ktune.tracking import names
from ktune.tracking.model_files import delete_pending_models
from ktune.tracking.model_registry import model_names, version_numbers
from ktune.tracking.reader import (
    best_trial,
    find_run,
    find_search,
    list_searches,
    list_trials,
    rank_trials,
    read_trial,
    shown_status,
    study_file,
)
from ktune.tracking.records import MetricPoint, RunRecord, trial_record
from ktune.tracking.store import all_pages, quoted
from ktune.utils.file_lock import driving

RECORD = b'{"data": {"task": "binary"}}'
GOAL = Goal((Objective("accuracy", "max"),))
SEARCH_TAGS = {
    names.KIND: names.SEARCH,
    names.EXPERIMENT: "digits",
    names.OBJECTIVE: "accuracy",
    names.DIRECTION: "max",
}


def add_search(store, name="digits", status="FINISHED", tags=SEARCH_TAGS):
    run_id = store.start_run(store.experiment_id(name), RunRecord("s", "RUNNING", tags))
    if status != "RUNNING":
        store.update_run(run_id, RunRecord("s", status))
    return run_id


def add_trial(store, parent, number, score=0.5):
    record = trial_record(make_trial(number, {"units": number}), complete(score))
    metrics = [MetricPoint("val_accuracy", score)]
    record = RunRecord(
        record.name, "FINISHED", record.tags, record.params, metrics, record.files
    )
    experiment_id = store.client.get_run(parent).info.experiment_id
    return store.add_run(experiment_id, parent, record)


@pytest.fixture
def search(store):
    """A search of three trials, the last one the best."""
    run_id = add_search(store)
    trials = [add_trial(store, run_id, number, 0.5 + number / 10) for number in (0, 1)]
    trials.append(add_trial(store, run_id, 2, 0.9))
    return SimpleNamespace(run_id=run_id, trials=trials)


def warned(caplog):
    return [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (names.TRIAL_NUMBER, None),
        (names.TRIAL_NUMBER, "first"),
        (names.TRIAL_NUMBER, "-1"),
        (names.STATE, None),
        (names.STATE, "great"),
        (names.VALUES, "{units: 3}"),
        (names.VALUES, "[3]"),
    ],
)
def test_a_trial_with_a_wrong_tag_is_left_out_and_named_once(
    tag, value, store, search, caplog
):
    if value is None:
        store.client.delete_tag(search.trials[2], tag)
    else:
        store.set_tags(search.trials[2], {tag: value})
    view = find_search(store, search.run_id)
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            trials = list_trials(store, view)
            assert [run.number for run in trials] == [0, 1]
            assert best_trial(store, view).number == 1
    (message,) = warned(caplog)
    assert search.trials[2][:8] in message
    assert tag in message
    with pytest.raises(UnknownReference, match=f"cannot be read: its tag {tag}"):
        find_run(store, search.trials[2])


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (names.OBJECTIVE, None),
        (names.DIRECTION, "up\x1b[2J"),
        (names.OBJECTIVES, "accuracy"),
        (names.OBJECTIVES, "accuracy max, n_parameters less"),
    ],
)
def test_a_search_with_a_wrong_tag_is_left_out(tag, value, store, search, caplog):
    other = add_search(store)
    if value is None:
        store.client.delete_tag(other, tag)
    else:
        store.set_tags(other, {tag: value})
    assert [run.run_id for run in list_searches(store)] == [search.run_id]
    assert find_search(store).run_id == search.run_id
    (message,) = warned(caplog)
    assert other[:8] in message
    assert "\x1b" not in message
    with pytest.raises(UnknownReference, match="cannot be read"):
        find_search(store, other)


def test_verbs_print_the_rest_of_an_edited_store(store, search, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.location.uri)
    store.client.delete_tag(search.trials[0], names.STATE)
    store.client.delete_tag(add_search(store), names.OBJECTIVE)
    assert main(["runs"]) == 0
    assert search.run_id[:8] in capsys.readouterr().out
    assert main(["runs", "digits"]) == 0
    out = capsys.readouterr().out
    assert "0.9000" in out
    assert "0.5000" not in out
    assert main(["show", search.trials[0]]) == 2
    err = capsys.readouterr().err
    assert "its tag ktune.state is missing" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("verb", ["show", "report"])
def test_an_objective_that_no_trial_has_is_an_error(verb, store, capsys):
    logger = made_up_searches.add_search(store, made_up_searches.trial_result(0.5))
    record = RunRecord("", "RUNNING", files={names.SEARCH_FILE: RECORD})
    store.update_run(logger.run_id, record)
    store.set_tags(logger.run_id, {names.OBJECTIVE: "great\x1b[2J"})
    words = [verb, logger.trial_runs[0], "--tracking-uri", store.location.uri]
    assert main(words) == 2
    message = capsys.readouterr().err
    assert "has no score 'great\\x1b[2J'" in message
    assert "tag ktune.objective was edited" in message


def test_of_two_trials_with_one_number_the_first_counts(store, search):
    store.set_tags(search.trials[2], {names.TRIAL_NUMBER: "1"})
    trials = list_trials(store, find_search(store, search.run_id))
    assert [run.run_id for run in trials] == search.trials[:2]
    assert len(rank_trials(trials, GOAL)) == 2


def test_a_damaged_record_of_a_trial_is_an_error_with_its_name(store, search):
    run = find_run(store, search.trials[0])
    store.update_run(run.run_id, RunRecord("", "RUNNING", files={"trial.json": b"{}"}))
    with pytest.raises(StoreError, match=r"'trial.json' of run \w{8} cannot be read"):
        read_trial(store, run)


def test_a_search_left_running_by_a_kill_is_shown_as_interrupted(
    store, capsys, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.location.uri)
    view = find_search(store, add_search(store, status="RUNNING"))
    study = study_file(store, view.run_id)
    study.parent.mkdir(parents=True)
    study.touch()
    with driving(study):
        assert shown_status(store, view) == "RUNNING"
    assert shown_status(store, view) == "INTERRUPTED"
    assert main(["runs"]) == 0
    assert "interrupted" in capsys.readouterr().out
    assert main(["show", view.run_id]) == 0
    assert "(interrupted)" in capsys.readouterr().out


def test_a_search_in_a_database_may_run_elsewhere(store):
    tags = {**SEARCH_TAGS, names.STORAGE: "postgresql://host/name"}
    view = find_search(store, add_search(store, status="RUNNING", tags=tags))
    assert shown_status(store, view) == "RUNNING"


def test_a_renamed_experiment_is_found_by_both_names(store, search):
    view = find_search(store, search.run_id)
    store.client.rename_experiment(view.experiment_id, "numbers 'new'")
    for name in ("digits", "numbers 'new'", search.run_id[:8]):
        assert find_search(store, name).run_id == search.run_id
        assert find_search(store, name).experiment == "digits"
    assert find_run(store, "digits:best").number == 2
    assert find_run(store, "numbers 'new':best").number == 2
    newer = add_search(store)  # in a new MLflow experiment "digits"
    assert [run.run_id for run in list_searches(store, "digits")] == [
        newer,
        search.run_id,
    ]


def test_a_search_of_an_older_version_has_the_name_of_its_mlflow_experiment(store):
    tags = {k: v for k, v in SEARCH_TAGS.items() if k != names.EXPERIMENT}
    run_id = add_search(store, "old", tags=tags)
    assert find_search(store, "old").run_id == run_id
    assert find_search(store, "old").experiment == "old"


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a'b\"c"])
def test_names_with_quotes_are_found(name, store):
    run_id = add_search(store, name, tags={**SEARCH_TAGS, names.EXPERIMENT: name})
    store.client.create_registered_model(name)
    store.client.create_model_version(name, source="file:///nowhere")
    assert find_search(store, name).run_id == run_id
    assert version_numbers(store, name) == [1]


def test_filters_of_mlflow_know_no_escapes():
    assert quoted("a'b") == '"a\'b"'
    assert quoted("a'b\"c") is None


class Page(list):
    token = None


def test_listings_read_all_pages():
    def fetch(token):
        page = Page([token])
        page.token = None if token == 3 else (token or 0) + 1
        return page

    assert list(all_pages(fetch)) == [None, 1, 2, 3]


class SmallPages:
    """MLflow's client, with two entries on a page."""

    def __init__(self, client):
        self._client = client

    def search_registered_models(self, max_results, page_token):
        return self._client.search_registered_models(None, 2, None, page_token)

    def search_model_versions(self, query, max_results, order_by, page_token):
        return self._client.search_model_versions(query, 2, order_by, page_token)

    def search_experiments(self, max_results, page_token):
        return self._client.search_experiments(max_results=2, page_token=page_token)

    def __getattr__(self, name):
        return getattr(self._client, name)


def test_more_models_versions_and_experiments_than_a_page_holds(store, monkeypatch):
    for number in range(3):
        store.client.create_registered_model(f"m{number}")
        store.client.create_model_version("m0", source="file:///nowhere")
        add_search(store, f"e{number}")
    monkeypatch.setattr(store, "client", SmallPages(store.client))
    assert model_names(store) == ["m0", "m1", "m2"]
    assert version_numbers(store, "m0") == [1, 2, 3]
    assert find_search(store, "e0").run_id
    assert len(list_searches(store)) == 3


def test_an_unknown_name_among_many_is_answered_in_a_line(store, monkeypatch):
    monkeypatch.setattr(
        "ktune.tracking.reader._experiments",
        lambda store: {str(i): f"experiment {i}" for i in range(5000)},
    )
    monkeypatch.setattr("ktune.tracking.reader.list_searches", lambda *_: [])
    with pytest.raises(UnknownReference, match="and 4980 more") as caught:
        find_run(store, "nothing")
    assert len(str(caught.value)) < 1000


def test_models_left_pending_by_a_kill_are_deleted(store, search):
    other = add_search(store)
    experiment_id = store.client.get_run(other).info.experiment_id
    made = [
        store.client.create_logged_model(experiment_id, source_run_id=run_id)
        for run_id in (search.run_id, search.run_id, other)
    ]
    store.client.finalize_logged_model(made[1].model_id, "READY")
    assert delete_pending_models(store, search.run_id) == 1
    left = store.client.search_logged_models([experiment_id])
    assert {model.model_id for model in left} == {m.model_id for m in made[1:]}


def test_a_search_that_was_deleted_is_an_error_with_the_command_that_restores_it(
    store, search
):
    store.client.delete_run(search.run_id)
    for reference in ("digits", None):
        with pytest.raises(UnknownReference) as caught:
            find_search(store, reference)
        assert f"restore --run-id {search.run_id}" in str(caught.value)
