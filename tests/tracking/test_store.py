import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from made_up_searches import add_search, search_start, trial_result

from ktune.errors import StoreError, UnknownReference
from ktune.metrics.objectives import make_objective
from ktune.testing.fakes import failed, make_trial
from ktune.tracking.artifacts import read_file
from ktune.tracking.location import find_store
from ktune.tracking.reader import (
    best_trial,
    find_run,
    find_search,
    list_searches,
    list_trials,
    rank_trials,
    read_trial,
)
from ktune.tracking.records import MetricPoint, RunRecord
from ktune.tracking.search_logger import SearchLogger
from ktune.tracking.store import open_store
from ktune.trial import TrialResult, TrialState


def three_results():
    return trial_result(0.5), trial_result(0.7), trial_result(0.6, TrialState.PRUNED)


def run_of(store, run_id):
    return store.client.get_run(run_id)


def test_a_search_is_a_parent_run_with_its_settings(store):
    logger = add_search(store, trials=7, cv=3)
    run = run_of(store, logger.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "search of birds"
    assert run.data.tags["ktune.kind"] == "search"
    assert run.data.tags["ktune.ended_because"] == "all trials done"
    assert run.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert run.data.params["trials"] == "7"
    assert run.data.params["cv"] == "3"
    assert run.data.params["sampler"] == "tpe"


def test_a_search_logs_its_sources_and_environment(store):
    logger = add_search(store)
    source = read_file(store, logger.run_id, "source/parts/net.py")
    assert source == b"x = 1"
    assert read_file(store, logger.run_id, "git_diff.patch") == b"--- a"
    assert read_file(store, logger.run_id, "requirements.txt") == b"numpy==2.0\n"
    about = json.loads(read_file(store, logger.run_id, "search.json"))
    assert about["command"] == "ktune search birds.py"
    assert about["class_names"] == ["no", "yes"]
    assert read_file(store, logger.run_id, "folds.npz")[:2] == b"PK"


def test_a_search_names_its_data(store):
    logger = add_search(store)
    (used,) = run_of(store, logger.run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("toy", "abc")
    assert json.loads(used.dataset.profile)["n_rows"] == 12


def test_a_trial_is_a_run_below_its_search(store):
    logger = add_search(store, trial_result(0.5))
    run = run_of(store, logger.trial_runs[0])
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == logger.run_id
    assert run.data.tags["ktune.trial"] == "0"
    assert run.data.params == {"units": "8"}
    assert run.data.metrics["val_accuracy"] == pytest.approx(0.55)
    assert run.data.metrics["fold1_val_accuracy"] == pytest.approx(0.6)


def test_curves_have_one_step_per_epoch(store):
    logger = add_search(store, trial_result(0.5))
    run_id = logger.trial_runs[0]
    history = store.client.get_metric_history(run_id, "epoch_val_accuracy")
    assert [(point.step, round(point.value, 2)) for point in history] == [
        (0, 0.15),
        (1, 0.55),
    ]


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (trial_result(0.5, TrialState.PRUNED), "KILLED"),
        (failed("boom"), "FAILED"),
    ],
)
def test_the_state_of_a_trial_is_the_status_of_its_run(store, result, status):
    logger = add_search(store, result)
    assert run_of(store, logger.trial_runs[0]).info.status == status


def test_a_large_run_is_written_in_parts(store):
    experiment_id = store.experiment_id("large")
    record = RunRecord(
        name="large",
        status="FINISHED",
        params={f"p{i}": "1" for i in range(250)},
        metrics=[MetricPoint("curve", float(i), i) for i in range(2500)],
    )
    run_id = store.add_run(experiment_id, "0" * 32, record)
    assert len(run_of(store, run_id).data.params) == 250
    assert len(store.client.get_metric_history(run_id, "curve")) == 2500


def test_a_run_has_the_duration_of_its_trial(store):
    record = RunRecord(name="slow", status="FINISHED", seconds=90.0)
    info = run_of(store, store.add_run(store.experiment_id("x"), "0", record)).info
    assert (info.end_time - info.start_time) / 1000 == pytest.approx(90, abs=5)


def test_the_best_trial_is_noted_on_the_search(store):
    logger = SearchLogger(store, search_start())
    logger.track(make_trial(0), trial_result(0.7), "good", {})
    undefined = MetricPoint("test_roc_auc", float("nan"))
    extra = [MetricPoint("test_accuracy", 0.65), undefined]
    logger.log_best(make_trial(0), trial_result(0.7), extra)
    run = run_of(store, logger.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.metrics["best_val_accuracy"] == pytest.approx(0.75)
    assert run.data.metrics["test_accuracy"] == 0.65
    assert "test_roc_auc" not in run.data.metrics
    assert run.data.tags["ktune.best_run_id"] == logger.trial_runs[0]


def test_a_trial_is_read_back_as_it_was_written(store):
    logger = add_search(store, trial_result(0.5))
    view = find_run(store, logger.trial_runs[0])
    trial, result = read_trial(store, view)
    assert trial == make_trial(0, {"units": 8})
    assert result == trial_result(0.5)


def test_a_view_has_the_fields_of_its_run(store):
    logger = add_search(store, trial_result(0.5))
    view = find_run(store, logger.trial_runs[0])
    assert (view.experiment, view.number, view.state) == ("birds", 0, "complete")
    assert not view.is_search
    assert abs((datetime.now() - view.started).total_seconds()) < 600
    search = find_search(store, logger.run_id)
    assert search.is_search
    assert search.objective == make_objective("accuracy")


@pytest.fixture
def two_searches(store):
    """An older search of birds, and a newer one of fish that minimises."""
    birds = add_search(store, *three_results())
    errors = (trial_result(0.5, metric="rmse"), trial_result(0.2, metric="rmse"))
    fish = add_search(store, *errors, name="fish", objective="rmse")
    return store, birds, fish


def test_searches_are_listed_newest_first(two_searches):
    store, birds, fish = two_searches
    assert [run.run_id for run in list_searches(store)] == [fish.run_id, birds.run_id]
    assert [run.run_id for run in list_searches(store, "birds")] == [birds.run_id]
    assert list_searches(store, "dogs") == []


def test_trials_are_listed_by_number_and_ranked_by_the_objective(two_searches):
    store, birds, fish = two_searches
    for logger, order in ((birds, [1, 0, 2]), (fish, [1, 0])):
        search = find_search(store, logger.run_id)
        trials = list_trials(store, search)
        assert [run.number for run in trials] == list(range(len(order)))
        ranked = rank_trials(trials, search.goal)
        assert [run.number for run in ranked] == order


def test_trials_without_a_score_rank_last(store):
    """Even if all scores are negative, as the error scores of scikit-learn are."""
    metric = "neg_log_loss"
    results = (TrialResult(TrialState.COMPLETE), trial_result(-0.5, metric=metric))
    logger = add_search(store, *results, objective=metric)
    search = find_search(store, logger.run_id)
    ranked = rank_trials(list_trials(store, search), search.goal)
    assert [run.number for run in ranked] == [1, 0]


def test_a_run_is_found_by_every_kind_of_reference(two_searches):
    store, birds, fish = two_searches
    best_of_birds, best_of_fish = birds.trial_runs[1], fish.trial_runs[1]
    for reference, run_id in {
        birds.run_id: birds.run_id,
        birds.run_id[:12]: birds.run_id,
        best_of_birds: best_of_birds,
        "birds": birds.run_id,
        "fish": fish.run_id,
        "best": best_of_fish,
        "birds:best": best_of_birds,
    }.items():
        assert find_run(store, reference).run_id == run_id


def test_a_search_is_also_found_by_its_trials(two_searches):
    store, birds, fish = two_searches
    assert find_search(store).run_id == fish.run_id
    assert find_search(store, birds.trial_runs[0]).run_id == birds.run_id
    assert find_search(store, "birds:best").run_id == birds.run_id


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("bird", "Did you mean 'birds'?"),
        ("fsh:best", "is neither a run id nor one of the experiments"),
        ("f" * 32, "matches no run"),
        ("", r"run id '' matches \d+ runs; add characters"),
        ("'; DROP TABLE runs; --", "is neither a run id"),
    ],
)
def test_an_unknown_reference_is_an_error(two_searches, reference, message):
    store, _, _ = two_searches
    with pytest.raises(UnknownReference, match=message):
        find_run(store, reference)


def test_runs_of_other_programs_are_not_found(store):
    """An experiment may contain runs that ktune has not written."""
    run = store.client.create_run(store.experiment_id("birds"))
    with pytest.raises(UnknownReference, match="matches no run"):
        find_run(store, run.info.run_id)
    with pytest.raises(UnknownReference, match="no search of 'birds' in"):
        find_run(store, "birds")


def test_a_search_without_a_complete_trial_has_no_best(store):
    logger = add_search(store, failed(), trial_result(0.9, TrialState.PRUNED))
    with pytest.raises(UnknownReference, match="has no complete trial"):
        best_trial(store, find_search(store, logger.run_id))


def test_a_missing_file_is_an_error(store):
    logger = add_search(store)
    with pytest.raises(StoreError, match=r"artifact 'none\.txt' of run .* cannot be"):
        read_file(store, logger.run_id, "none.txt")


def test_a_store_that_has_moved_is_still_readable(store, tmp_path):
    logger = add_search(store, trial_result(0.5))
    new = tmp_path / "elsewhere" / "project"
    new.parent.mkdir()
    shutil.move(store.location.folder, new)
    moved = open_store(f"sqlite:///{new}/mlflow.db")
    assert read_trial(moved, find_run(moved, logger.trial_runs[0]))[1].score == 0.55
    again = add_search(moved, trial_result(0.6))
    assert read_file(moved, again.run_id, "git_diff.patch") == b"--- a"


def test_an_experiment_that_was_deleted_is_an_error_with_the_remedy(store):
    experiment_id = store.experiment_id("birds")
    store.client.delete_experiment(experiment_id)
    message = f"was deleted.*mlflow experiments restore -x {experiment_id}"
    with pytest.raises(StoreError, match=message):
        store.experiment_id("birds")


def test_a_search_of_a_deleted_experiment_is_not_found(two_searches):
    store, birds, fish = two_searches
    store.client.delete_experiment(fish.experiment_id)
    assert find_search(store).run_id == birds.run_id
    with pytest.raises(UnknownReference, match="matches no run"):
        find_run(store, fish.run_id)


def test_a_missing_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="no MLflow store at .* yet. Run a search"):
        open_store(f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_a_store_named_once_is_not_the_default_from_then_on(store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    open_store(store.location.uri)
    assert find_store().database == Path.cwd() / "mlruns" / "mlflow.db"


def test_a_file_that_is_no_store_is_an_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("no database " * 100)
    with pytest.raises(StoreError, match="is damaged, or not a database"):
        open_store(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.parametrize("name", ["../../x.txt", "/x/y.txt", "a/../../x.txt"])
def test_an_artifact_stays_in_the_folder_of_its_run(store, name):
    record = RunRecord("x", "FINISHED", files={name: b"hello"})
    with pytest.raises(StoreError, match="would leave its run's folder"):
        store.add_run(store.experiment_id("x"), "0" * 32, record)
