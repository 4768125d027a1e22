"""Reports and comparisons read from a real MLflow store."""

import pytest
from views import search_report

from ktune.diagnosis import Baselines, DataFacts, Verdict
from ktune.diagnosis.references import References, references_as_dict
from ktune.report import read_report, write_report
from ktune.report.comparison import read_comparison
from ktune.tracking import names
from ktune.tracking.reader import find_search
from ktune.tracking.records import MetricPoint, RunRecord, as_json_bytes, trial_record
from ktune.tracking.store import open_store

N_TRIALS = 200


def search_record(report):
    references = References(
        Baselines(linear={"accuracy": 0.7}), DataFacts(duplicates_in_folds=0.0)
    )
    data = {"name": "made up", "digest": "d", "task": "binary", "n_rows": 500}
    return RunRecord(
        name="search",
        status="RUNNING",
        tags={
            names.KIND: names.SEARCH,
            names.OBJECTIVE: "accuracy",
            names.DIRECTION: "max",
            names.DATA_DIGEST: "d",
            names.REASON: "all trials done",
        },
        params={"cv": "5"},
        metrics=[
            MetricPoint("test_accuracy", 0.9),
            MetricPoint("test_accuracy_low", 0.85),
            MetricPoint("test_accuracy_high", 0.94),
        ],
        files={
            names.SEARCH_FILE: as_json_bytes(
                {"data": data, "class_names": ["no", "yes"], "command": "ktune search"}
            ),
            names.REFERENCES_FILE: as_json_bytes(references_as_dict(references)),
        },
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store with a search of 200 trials, and its run id."""
    store = open_store(
        f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db", create=True
    )
    report = search_report(N_TRIALS)
    experiment_id = store.experiment_id("made up")
    run_id = store.start_run(experiment_id, search_record(report))
    for view in report.search.trials:
        record = trial_record(view.trial, view.result)
        trial_run = store.add_run(experiment_id, run_id, record)
        if view.number == report.diagnosis.best:
            refitted = {names.BEST_RUN: trial_run, names.BEST_TRIAL: str(view.number)}
            store.set_tags(run_id, refitted)
    store.client.set_terminated(run_id)
    return store, run_id


@pytest.mark.slow
def test_a_search_of_two_hundred_trials_is_reported_in_six_megabytes(stored, tmp_path):
    store, run_id = stored
    report = read_report(store, find_search(store, run_id))
    path = write_report(report, tmp_path / "report.html")
    assert path.stat().st_size < 6_000_000
    assert len(report.search.trials) == N_TRIALS
    assert report.diagnosis.trials[N_TRIALS - 1].verdict is Verdict.FAILED
    assert report.search.test["accuracy"].low == 0.85
    assert report.context.baselines.linear == {"accuracy": 0.7}
    assert report.importances


@pytest.mark.slow
def test_a_search_reads_back_as_it_was_judged_when_it_ran(stored):
    store, run_id = stored
    before = search_report(N_TRIALS)
    after = read_report(store, find_search(store, run_id))
    assert after.diagnosis.best == before.diagnosis.best
    numbers = range(0, N_TRIALS, 20)
    assert [after.diagnosis.trials[n].verdict for n in numbers] == [
        before.diagnosis.trials[n].verdict for n in numbers
    ]


@pytest.mark.slow
def test_eight_trials_are_compared_pairwise(stored):
    store, run_id = stored
    report = read_report(store, find_search(store, run_id))
    comparison = read_comparison(store, [report.run_ids[n] for n in range(8)])
    assert len(comparison.duels) == 7
    assert all(duel.difference.is_paired for duel in comparison.duels)


@pytest.mark.slow
def test_a_search_stands_for_its_best_trial_in_a_comparison(stored):
    store, run_id = stored
    report = read_report(store, find_search(store, run_id))
    comparison = read_comparison(store, [run_id[:10], report.run_ids[0]])
    assert comparison.contenders[0].view.number == report.diagnosis.best
