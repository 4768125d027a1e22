"""A clock that is set back does not show in records."""

import time

import pytest

from ktune.tracking.records import MetricPoint, RunRecord
from ktune.tracking.run_view import duration
from ktune.utils.clock import Clock

HOUR = 3600


@pytest.fixture
def set_back(monkeypatch):
    """Sets the clock of the system back by an hour."""
    system = time.time
    return lambda: monkeypatch.setattr(time, "time", lambda: system() - HOUR)


def test_a_clock_that_is_set_back_goes_on_from_the_latest_time(set_back, monkeypatch):
    clock = Clock()
    before = clock.now()
    set_back()
    later = time.monotonic() + 5
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert before + 4 < clock.now() < before + 6


def test_a_clock_that_is_set_forward_is_followed(monkeypatch):
    clock = Clock()
    later = time.time() + HOUR
    monkeypatch.setattr(time, "time", lambda: later)
    assert clock.now() == later


def test_a_search_during_which_the_clock_is_set_back_ends_after_its_start(
    store, set_back
):
    run_id = store.start_run(store.experiment_id("a"), RunRecord("search", "RUNNING"))
    store.update_run(run_id, scored(0.5, "RUNNING"))
    set_back()
    store.update_run(run_id, scored(0.9, "FINISHED"))
    run = store.client.get_run(run_id)
    assert run.info.end_time >= run.info.start_time
    assert run.data.metrics == {"score": 0.9}


def test_a_search_started_after_the_clock_was_set_back_is_the_newest(store, set_back):
    experiment_id = store.experiment_id("a")
    store.start_run(experiment_id, RunRecord("first", "RUNNING"))
    set_back()
    store.clock = Clock()  # that of another process
    store.start_run(experiment_id, RunRecord("second", "RUNNING"))
    newest, _ = store.client.search_runs([experiment_id], order_by=["start_time DESC"])
    assert newest.info.run_name == "second"


def scored(score, status):
    return RunRecord("search", status, metrics=[MetricPoint("score", score)])


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [(1000, 3000, 2.0), (3000, 1000, None), (1000, None, None)],
)
def test_a_run_that_seems_to_end_before_its_start_has_no_duration(start, end, seconds):
    assert duration(start, end) == seconds
