"""Several drivers on one search: a real database, a real server, and a real death."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from types import SimpleNamespace

import mlflow
import optuna
import pytest
from mlflow_server import ServerHouse, TrackingServer
from postgres import PASSWORD, running_postgres
from tiny_experiment import FILE

from ktune.cli.main import main
from ktune.report.reading import read_search_view
from ktune.searchers import database
from ktune.tracking.store import open_store, quiet_mlflow
from ktune.tuner.search import load

pytestmark = pytest.mark.slow

GRACE = 4
DRIVER = f"""
import sys, time
from ktune.cli.main import main
from ktune.executors.serial import SerialExecutor
from ktune.searchers import database

database.HEARTBEAT_INTERVAL, database.GRACE_PERIOD = 1, {GRACE}
wait = SerialExecutor.wait

def wait_longer(self, report):
    time.sleep(2)
    return wait(self, report)

SerialExecutor.wait = wait_longer
sys.exit(main(sys.argv[1:]))
"""
TRIALS = 5


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="module")
def project(tmp_path_factory, empty_store):
    """A folder with an experiment, and drivers that notice deaths soon.

    They record in MLflow on a server, as drivers on several hosts do.
    """
    folder = tmp_path_factory.mktemp("several")
    shutil.copy(empty_store, folder / "server.db")
    (folder / "tiny.py").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch, ServerHouse() as house:
        server = TrackingServer(house, folder, f"sqlite:///{folder}/server.db")
        server.start()
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        patch.setattr(database, "HEARTBEAT_INTERVAL", 1)
        patch.setattr(database, "GRACE_PERIOD", GRACE)
        yield folder


def records():
    """Return MLflow's own client, and every run of the experiment."""
    with quiet_mlflow():
        client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
        experiment = client.get_experiment_by_name("tiny")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return client, list(runs)


def trials_of(url, run_id):
    """Return what Optuna itself knows; nothing while the search is only begun."""
    try:
        study = optuna.load_study(study_name=f"tiny/{run_id}", storage=url)
    except KeyError:
        return []
    return study.get_trials(deepcopy=False)


def running(url, run_id, driver):
    """Return the numbers of the trials a driver is at."""
    return [
        trial.user_attrs["ktune.number"]
        for trial in trials_of(url, run_id)
        if trial.state.name == "RUNNING"
        and trial.user_attrs.get("ktune.driver") == driver
        and "ktune.number" in trial.user_attrs
    ]


def wait_for(condition, process):
    while not (found := condition()):
        assert process.poll() is None, "the first driver ended too soon"
        time.sleep(0.1)
    return found


def started_search():
    _, runs = records()
    return runs[0].info.run_id if runs else None


def test_what_several_drivers_cannot_share_is_refused_before_anything_is_written(
    project, capsys
):
    words = ["search", "tiny.py", "-q", "--storage"]
    assert main([*words, "sqlite:///s.db", "--engine", "kerastuner"]) == 2
    assert "oracle exists in the memory of one driver" in capsys.readouterr().err
    assert main([*words, f"mssql://me:{PASSWORD}@host/db"]) == 2
    refused = capsys.readouterr().err
    assert "postgresql://user@host/name" in refused
    assert PASSWORD not in refused
    assert {path.name for path in project.iterdir()} <= {"tiny.py", "server.db"}
    assert records()[1] == []


@pytest.fixture(scope="module")
def searched(project, postgres):
    """A search begun by a driver that another one joined before it was killed."""
    words = ["search", "tiny.py", "-q", "--storage", postgres.replace("+psycopg2", "")]
    command = [sys.executable, "-c", DRIVER, *words, "--trials", str(TRIALS)]
    found = SimpleNamespace(words=words, lost=[], url=postgres)
    first = subprocess.Popen(command)

    def kill_in_mid_trial():
        wait_for(lambda: running(postgres, found.run_id, 1), first)
        before = running(postgres, found.run_id, 0)
        # As soon as a trial begins, which sleeps at first: killed while it wrote to
        # MLflow, it would leave a run there, marked as interrupted.
        found.lost = wait_for(lambda: begun_after(before), first)
        first.kill()

    def begun_after(before):
        numbers = running(postgres, found.run_id, 0)
        return [number for number in numbers if number not in before]

    try:
        found.run_id = wait_for(started_search, first)
        wait_for(lambda: running(postgres, found.run_id, 0), first)
        killer = threading.Thread(target=kill_in_mid_trial)
        killer.start()
        found.code = main([*words, "--resume"])
        killer.join()
    finally:
        first.kill()
        first.wait()
    assert first.returncode == -signal.SIGKILL
    return found


def test_a_killed_drivers_trial_is_run_again_and_no_other(searched):
    assert searched.code == 0
    trials = trials_of(searched.url, searched.run_id)
    complete = [t for t in trials if t.state.name == "COMPLETE"]
    numbers = sorted(t.user_attrs["ktune.number"] for t in complete)
    assert numbers == list(range(TRIALS))
    assert "RUNNING" not in {t.state.name for t in trials}
    (lost,) = searched.lost
    attempts = [t for t in trials if t.user_attrs.get("ktune.number") == lost]
    assert [t.state.name for t in attempts] == ["FAIL", "COMPLETE"]
    assert [t.user_attrs["ktune.driver"] for t in attempts] == [0, 1]
    assert (
        attempts[0].user_attrs["ktune.values"]
        == (attempts[1].user_attrs["ktune.values"])
    )


def test_every_trial_stands_in_mlflow_once_below_one_search(searched):
    client, runs = records()
    (search,) = [r for r in runs if r.data.tags["ktune.kind"] == "search"]
    children = [r for r in runs if r.data.tags["ktune.kind"] == "trial"]
    assert search.info.run_id == searched.run_id
    assert search.info.status == "FINISHED"
    assert search.data.tags["ktune.ended_because"] == "all trials done"
    numbers = Counter(int(r.data.tags["ktune.trial"]) for r in children)
    assert numbers == Counter(range(TRIALS))
    assert {r.info.status for r in children} == {"FINISHED"}
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {searched.run_id}
    scores = {int(r.data.tags["ktune.trial"]): r.data.metrics for r in children}
    for trial in trials_of(searched.url, searched.run_id):
        if trial.state.name == "COMPLETE":
            recorded = scores[trial.user_attrs["ktune.number"]]["val_accuracy"]
            assert recorded == pytest.approx(trial.value)
    assert len(client.search_model_versions("name = 'tiny'")) == 1
    view = read_search_view(open_store(), load().view)
    assert set(view.space) == {"units", "rate"}


def test_the_password_of_the_database_is_recorded_nowhere(searched, project):
    _, runs = records()
    (search,) = [r for r in runs if r.data.tags["ktune.kind"] == "search"]
    assert search.data.tags["ktune.storage"].startswith("postgresql://ktune:***@127")
    files = {path for path in project.rglob("*") if path.is_file()}
    assert {"server.db", "search.json", "model.keras"} <= {path.name for path in files}
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_who_joins_too_late_or_wrongly_changes_nothing(searched, project, capsys):
    assert main([*searched.words, "--resume"]) == 0
    client, runs = records()
    assert len(runs) == 1 + TRIALS
    assert len(client.search_model_versions("name = 'tiny'")) == 1

    assert main(["search", "tiny.py", "-q", "--resume"]) == 2
    assert "add: --storage postgresql://ktune:***@127" in capsys.readouterr().err
    assert main([*searched.words, "--resume", "--storage", "sqlite:///other.db"]) == 2
    assert "does not contain this search" in capsys.readouterr().err
    (project / "tiny.py").write_text(FILE.replace('"units", 2, 64', '"units", 2, 65'))
    assert main([*searched.words, "--resume"]) == 2
    assert "parameter 'units' is" in capsys.readouterr().err
    (project / "tiny.py").write_text(FILE)
    assert client.get_run(searched.run_id).info.status == "FINISHED"


@pytest.mark.skipif(
    not os.environ.get("KTUNE_LONG_TESTS"), reason="KTUNE_LONG_TESTS is not set"
)
def test_a_finished_search_goes_on_with_workers_and_is_closed_again(searched):
    def best():
        return records()[0].get_run(searched.run_id).data.tags["ktune.best_run_id"]

    before = best()
    more = [*searched.words, "--resume", "--trials", str(TRIALS + 2), "--jobs", "2"]
    assert main(more) == 0
    client, runs = records()
    assert len(runs) == 1 + TRIALS + 2
    # A further version only if a further trial is better.
    n_best = len({before, best()})
    assert len(client.search_model_versions("name = 'tiny'")) == n_best
