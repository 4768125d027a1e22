"""Delivery of records to a server with an unreliable connection."""

import shutil
from types import SimpleNamespace

import pytest
import requests

from ktune.errors import ServerUnavailable, StoreError
from ktune.tracking import delivery
from ktune.tracking.delivery import Delivery, write_pending
from ktune.tracking.records import MetricPoint, RunRecord
from ktune.tracking.store import Store, open_store
from ktune.tracking.waiting import Owner, list_pending


class Killed(BaseException):
    """The process is killed here."""


class FlakyClient:
    """MLflow's client behind a connection that can fail before or after a request.

    Attributes:
        is_up: Whether requests arrive.
        requests_left: Requests before the process is killed; None for no kill.
        loses_responses: Whether requests arrive, but their responses are lost.
    """

    def __init__(self, client):
        self._client = client
        self.is_up = True
        self.requests_left = None
        self.loses_responses = False

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def request(*arguments, **options):
            if not self.is_up:
                raise requests.ConnectionError("refused")
            if self.requests_left is not None:
                self.requests_left -= 1
                if self.requests_left < 0:
                    raise Killed
            answer = method(*arguments, **options)
            if self.loses_responses:
                raise requests.ConnectionError("reset")
            return answer

        return request


@pytest.fixture
def setup(store, monkeypatch):
    """A search with an unreliable connection to its server."""
    connection = FlakyClient(store.client)
    monkeypatch.setattr(delivery, "answers", lambda _: connection.is_up)
    monkeypatch.setattr(delivery, "_BACKOFF_FACTOR", 0)
    behind = Store(store.location, connection)
    experiment = store.experiment_id("birds")
    search = store.start_run(experiment, RunRecord("search", "RUNNING"))
    messages = []
    owner = Owner(search, "birds", store.location.shown)
    return SimpleNamespace(
        connection=connection,
        store=behind,
        reliable_store=store,
        experiment=experiment,
        search=search,
        messages=messages,
        delivery=Delivery(behind, owner, messages.append),
    )


def trial_record(number):
    return RunRecord(
        name=f"trial {number}",
        status="FINISHED",
        tags={"ktune.kind": "trial", "ktune.trial": str(number)},
        params={"rate": str(number)},
        metrics=[MetricPoint("curve", 0.5, step) for step in range(3)],
        files={"trial.json": b"%d" % number},
        seconds=30.0,
    )


def track(setup, *numbers):
    for number in numbers:
        setup.delivery.add_run(setup.experiment, setup.search, trial_record(number))


def end(setup):
    record = RunRecord("", "KILLED", tags={"why": "on purpose"})
    setup.delivery.update_run(setup.search, record)


def trials_of(client, experiment, search):
    query = f"tags.`mlflow.parentRunId` = '{search}'"
    runs = client.search_runs([experiment], query)
    kept = [run for run in runs if run.data.tags.get("ktune.state") != "interrupted"]
    return sorted(kept, key=start_order)


def start_order(run):
    """Return a sort key that also orders runs of the same millisecond."""
    return run.info.start_time, int(run.data.tags["ktune.trial"])


def assert_complete(store, experiment, search, numbers):
    """Check that the store holds every trial once, completely."""
    runs = trials_of(store.client, experiment, search)
    assert [int(run.data.tags["ktune.trial"]) for run in runs] == list(numbers)
    for run in runs:
        history = store.client.get_metric_history(run.info.run_id, "curve")
        assert run.info.status == "FINISHED"
        assert run.data.params == {"rate": run.data.tags["ktune.trial"]}
        assert sorted(point.step for point in history) == [0, 1, 2]
        assert [f.path for f in store.client.list_artifacts(run.info.run_id)] == [
            "trial.json"
        ]


def pending_in(setup):
    return list_pending(setup.reliable_store.location.folder)


def test_no_record_is_queued_while_the_server_is_available(setup):
    track(setup, 0, 1)
    assert_complete(setup.reliable_store, setup.experiment, setup.search, [0, 1])
    assert (setup.messages, pending_in(setup)) == ([], [])


def test_records_are_queued_while_it_is_unavailable_and_written_in_order(setup):
    track(setup, 0)
    setup.connection.is_up = False
    track(setup, 1, 2)
    assert setup.delivery.n_pending == pending_in(setup)[0].n_records == 2
    setup.connection.is_up = True
    track(setup, 3)
    assert_complete(setup.reliable_store, setup.experiment, setup.search, range(4))
    assert (setup.delivery.n_pending, pending_in(setup)) == (0, [])


def test_each_change_of_availability_is_reported_once(setup):
    for is_up in (False, False, True, True, False):
        setup.connection.is_up = is_up
        track(setup, len(setup.messages))
    server = f"The MLflow server {setup.reliable_store.location.shown}"
    assert [text.split("(")[0] for text in setup.messages] == [
        f"{server} is unavailable ",
        f"{server} is back; 2 queued records written.",
        f"{server} is unavailable ",
    ]


def test_a_record_whose_response_was_lost_is_not_duplicated(setup):
    setup.connection.loses_responses = True
    track(setup, 0)
    setup.connection.loses_responses = False
    track(setup, 1)
    assert_complete(setup.reliable_store, setup.experiment, setup.search, [0, 1])


def test_a_record_has_the_time_of_its_creation_not_of_its_writing(setup, monkeypatch):
    setup.connection.is_up = False
    monkeypatch.setattr(delivery.time, "time", lambda: 4_000_000_000.0)
    track(setup, 0)
    monkeypatch.undo()
    monkeypatch.setattr(delivery, "answers", lambda _: True)
    setup.connection.is_up = True
    setup.delivery.flush()
    (run,) = trials_of(setup.reliable_store.client, setup.experiment, setup.search)
    assert run.info.end_time == 4_000_000_000_000
    assert run.info.start_time == 4_000_000_000_000 - 30_000


def test_a_record_the_server_refuses_is_an_error_and_not_queued(setup):
    with pytest.raises(Exception, match="No Experiment with id"):
        setup.delivery.add_run("4711", setup.search, trial_record(0))
    assert pending_in(setup) == []


def test_flush_reports_that_the_server_is_still_unavailable(setup):
    setup.delivery.flush()  # the queue is empty
    setup.connection.is_up = False
    track(setup, 0)
    with pytest.raises(ServerUnavailable, match="still unavailable"):
        setup.delivery.flush()
    setup.connection.is_up = True
    setup.delivery.flush()
    assert_complete(setup.reliable_store, setup.experiment, setup.search, [0])


def test_records_of_a_running_search_are_left_to_it(setup):
    setup.connection.is_up = False
    track(setup, 0)
    (waiting,) = pending_in(setup)
    with pytest.raises(StoreError, match="still running"):
        write_pending(setup.reliable_store, waiting)


def test_records_are_not_written_to_a_store_without_their_search(
    setup, empty_store, tmp_path
):
    setup.connection.is_up = False
    track(setup, 0)
    setup.delivery.close()
    (waiting,) = pending_in(setup)
    shutil.copy(empty_store, tmp_path / "other.db")
    with pytest.raises(StoreError, match=r"is not in .*other\.db; its records belong"):
        write_pending(open_store(f"sqlite:///{tmp_path}/other.db"), waiting)
    assert waiting.path.exists()


def test_a_search_that_was_finished_elsewhere_stays_finished(setup):
    setup.connection.is_up = False
    track(setup, 0)
    end(setup)
    setup.delivery.close()
    setup.reliable_store.update_run(setup.search, RunRecord("", "FINISHED"))
    setup.connection.is_up = True
    write_pending(setup.reliable_store, *pending_in(setup))
    assert_complete(setup.reliable_store, setup.experiment, setup.search, [0])
    assert setup.reliable_store.client.get_run(setup.search).info.status == "FINISHED"


def test_writing_can_be_killed_at_any_request_without_duplicates(setup):
    setup.connection.is_up = False
    track(setup, 0, 1)
    end(setup)
    setup.delivery.close()
    (waiting,) = pending_in(setup)
    setup.connection.is_up = True
    kills = 0
    while waiting.path.exists():
        assert kills < 60
        setup.connection.requests_left = kills  # one request further each time
        try:
            write_pending(setup.store, waiting)
        except Killed:
            kills += 1
    assert kills > 6
    assert_complete(setup.reliable_store, setup.experiment, setup.search, [0, 1])
    run = setup.reliable_store.client.get_run(setup.search)
    assert (run.info.status, run.data.tags["why"]) == ("KILLED", "on purpose")
