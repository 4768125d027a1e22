"""Records on their way to a server that comes and goes."""

import shutil
from types import SimpleNamespace

import pytest
import requests

from ktune.errors import ServerUnavailable, StoreError
from ktune.tracking import delivery
from ktune.tracking.delivery import Delivery, write_waiting
from ktune.tracking.records import MetricPoint, RunRecord
from ktune.tracking.store import Store, open_store
from ktune.tracking.waiting import Owner, list_waiting


class Killed(BaseException):
    """The process is killed here."""


class Line:
    """MLflow's client behind a line that can break, before or behind any request.

    Attributes:
        is_up: Whether requests get through.
        requests_left: After so many more the process is killed; None: never.
        loses_answers: Requests get through, their answers do not.
    """

    def __init__(self, client):
        self._client = client
        self.is_up = True
        self.requests_left = None
        self.loses_answers = False

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
            if self.loses_answers:
                raise requests.ConnectionError("reset")
            return answer

        return request


@pytest.fixture
def books(store, monkeypatch):
    """A search behind a line: ``store``, ``line``, ``delivery``, ``told`` …"""
    line = Line(store.client)
    monkeypatch.setattr(delivery, "answers", lambda _: line.is_up)
    monkeypatch.setattr(delivery, "_BACKOFF_FACTOR", 0)
    behind = Store(store.location, line)
    experiment = store.experiment_id("birds")
    search = store.start_run(experiment, RunRecord("search", "RUNNING"))
    told = []
    owner = Owner(search, "birds", store.location.shown)
    return SimpleNamespace(
        line=line,
        store=behind,
        plain=store,
        experiment=experiment,
        search=search,
        told=told,
        delivery=Delivery(behind, owner, told.append),
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


def track(books, *numbers):
    for number in numbers:
        books.delivery.add_run(books.experiment, books.search, trial_record(number))


def end(books):
    record = RunRecord("", "KILLED", tags={"why": "on purpose"})
    books.delivery.update_run(books.search, record)


def trials_of(client, experiment, search):
    query = f"tags.`mlflow.parentRunId` = '{search}'"
    runs = client.search_runs([experiment], query)
    kept = [run for run in runs if run.data.tags.get("ktune.state") != "interrupted"]
    return sorted(kept, key=begun)


def begun(run):
    """Return what orders runs, also those of one millisecond."""
    return run.info.start_time, int(run.data.tags["ktune.trial"])


def assert_complete(store, experiment, search, numbers):
    """Check that every trial stands there once, whole."""
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


def waiting_in(books):
    return list_waiting(books.plain.location.folder)


def test_nothing_waits_while_the_server_is_there(books):
    track(books, 0, 1)
    assert_complete(books.plain, books.experiment, books.search, [0, 1])
    assert (books.told, waiting_in(books)) == ([], [])


def test_records_wait_while_it_is_away_and_are_written_in_order(books):
    track(books, 0)
    books.line.is_up = False
    track(books, 1, 2)
    assert books.delivery.n_waiting == waiting_in(books)[0].n_records == 2
    books.line.is_up = True
    track(books, 3)
    assert_complete(books.plain, books.experiment, books.search, range(4))
    assert (books.delivery.n_waiting, waiting_in(books)) == (0, [])


def test_it_is_said_once_when_the_server_goes_and_once_when_it_is_back(books):
    for is_up in (False, False, True, True, False):
        books.line.is_up = is_up
        track(books, len(books.told))
    assert [text.split("(")[0] for text in books.told] == [
        f"The MLflow server {books.plain.location.shown} is away ",
        f"The MLflow server {books.plain.location.shown} is back; what waited ",
        f"The MLflow server {books.plain.location.shown} is away ",
    ]


def test_a_record_whose_answer_was_lost_is_not_doubled(books):
    books.line.loses_answers = True
    track(books, 0)
    books.line.loses_answers = False
    track(books, 1)
    assert_complete(books.plain, books.experiment, books.search, [0, 1])


def test_a_record_says_when_it_was_made_not_when_it_was_written(books, monkeypatch):
    books.line.is_up = False
    monkeypatch.setattr(delivery.time, "time", lambda: 1_700_000_000.0)
    track(books, 0)
    monkeypatch.undo()
    monkeypatch.setattr(delivery, "answers", lambda _: True)
    books.line.is_up = True
    books.delivery.flush()
    (run,) = trials_of(books.plain.client, books.experiment, books.search)
    assert run.info.end_time == 1_700_000_000_000
    assert run.info.start_time == 1_700_000_000_000 - 30_000


def test_what_the_server_refuses_is_an_error_and_does_not_wait(books):
    with pytest.raises(Exception, match="No Experiment with id"):
        books.delivery.add_run("4711", books.search, trial_record(0))
    assert waiting_in(books) == []


def test_catching_up_says_that_the_server_is_still_away(books):
    books.delivery.flush()  # nothing waits
    books.line.is_up = False
    track(books, 0)
    with pytest.raises(ServerUnavailable, match="still away"):
        books.delivery.flush()
    books.line.is_up = True
    books.delivery.flush()
    assert_complete(books.plain, books.experiment, books.search, [0])


def test_a_running_search_keeps_its_records_to_itself(books):
    books.line.is_up = False
    track(books, 0)
    (waiting,) = waiting_in(books)
    with pytest.raises(StoreError, match="still running"):
        write_waiting(books.plain, waiting)


def test_records_go_to_no_store_without_their_search(books, empty_store, tmp_path):
    books.line.is_up = False
    track(books, 0)
    books.delivery.close()
    (waiting,) = waiting_in(books)
    shutil.copy(empty_store, tmp_path / "other.db")
    with pytest.raises(StoreError, match=r"is not in .*other\.db; its records wait"):
        write_waiting(open_store(f"sqlite:///{tmp_path}/other.db"), waiting)
    assert waiting.path.exists()


def test_a_search_that_was_finished_elsewhere_stays_finished(books):
    books.line.is_up = False
    track(books, 0)
    end(books)
    books.delivery.close()
    books.plain.update_run(books.search, RunRecord("", "FINISHED"))
    books.line.is_up = True
    write_waiting(books.plain, *waiting_in(books))
    assert_complete(books.plain, books.experiment, books.search, [0])
    assert books.plain.client.get_run(books.search).info.status == "FINISHED"


def test_writing_can_be_killed_at_any_request_and_doubles_nothing(books):
    books.line.is_up = False
    track(books, 0, 1)
    end(books)
    books.delivery.close()
    (waiting,) = waiting_in(books)
    books.line.is_up = True
    kills = 0
    while waiting.path.exists():
        assert kills < 60
        books.line.requests_left = kills  # one request further each time
        try:
            write_waiting(books.store, waiting)
        except Killed:
            kills += 1
    assert kills > 6
    assert_complete(books.plain, books.experiment, books.search, [0, 1])
    run = books.plain.client.get_run(books.search)
    assert (run.info.status, run.data.tags["why"]) == ("KILLED", "on purpose")
