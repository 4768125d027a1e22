"""The trials of a search, read from the tables of a SQLite store."""

import sqlite3

import pytest

from ktune.tracking import names, reader
from ktune.tracking.local_runs import read_runs_below
from ktune.tracking.records import MetricPoint, RunRecord
from ktune.tracking.store import StoreLocation

SEARCH = {
    names.KIND: names.SEARCH,
    names.OBJECTIVE: "accuracy",
    names.DIRECTION: "max",
}


def trial(number, **more):
    tags = {
        names.KIND: names.TRIAL,
        names.TRIAL_NUMBER: str(number),
        names.STATE: "complete",
    }
    metrics = (MetricPoint("loss", 3.0, 0), MetricPoint("loss", 0.1, 1))
    return RunRecord(
        f"trial {number}", "FINISHED", tags, {"units": "3"}, metrics, **more
    )


@pytest.fixture
def search(store):
    """A search with two trials, a deleted one, and another search's trial."""
    experiment = store.experiment_id("birds")
    ids = [store.start_run(experiment, RunRecord(n, "RUNNING", SEARCH)) for n in "ab"]
    for number in (0, 1):
        store.add_run(experiment, ids[0], trial(number, seconds=2.0))
    store.add_run(experiment, ids[1], trial(0))
    store.client.delete_run(store.add_run(experiment, ids[0], trial(2)))
    return next(s for s in reader.list_searches(store) if s.run_id == ids[0])


def by_number(runs):
    return sorted(runs, key=lambda run: run.number)


def test_the_tables_and_mlflow_give_the_same_runs(store, search, monkeypatch):
    read = by_number(read_runs_below(store.location.database, search))
    monkeypatch.setattr(store, "location", StoreLocation(store.location.uri, None))
    assert read == by_number(reader.list_trials(store, search))
    assert [run.metrics for run in read] == [{"loss": 0.1}] * 2


def test_other_tables_are_left_to_mlflow(store, search, monkeypatch):
    def fail(database, search):
        raise sqlite3.OperationalError("no such column: is_nan")

    monkeypatch.setattr(reader, "read_runs_below", fail)
    assert [run.number for run in reader.list_trials(store, search)] == [0, 1]
