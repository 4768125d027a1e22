"""Several drivers on one search, with a real database and real deaths."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import mlflow
import optuna
import pytest
from postgres import PASSWORD, running_postgres
from test_resume import FILE

from ktune.cli.main import main
from ktune.report.reading import read_search_view
from ktune.searchers import database
from ktune.session import load
from ktune.tracking.store import open_store, quiet_mlflow

GRACE = 4
DRIVER = f"""
import sys, time
from ktune.cli.main import main
from ktune.executors.serial import SerialExecutor
from ktune.searchers import database

database.HEARTBEAT, database.GRACE = 1, {GRACE}
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


@pytest.fixture
def project(tmp_path, monkeypatch, empty_store):
    """A folder with an experiment, and drivers that notice deaths soon."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_store, tmp_path / "mlruns" / "mlflow.db")
    (tmp_path / "tiny.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(database, "HEARTBEAT", 1)
    monkeypatch.setattr(database, "GRACE", GRACE)
    return tmp_path


def study_of(url, run_id):
    return optuna.load_study(study_name=f"tiny/{run_id}", storage=url)


def running(url, run_id, driver):
    """Return the numbers of the trials a driver is at."""
    try:
        study = study_of(url, run_id)
    except KeyError:  # it is only begun
        return []
    return [
        trial.user_attrs["ktune.number"]
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name == "RUNNING"
        and trial.user_attrs.get("ktune.driver") == driver
        and "ktune.number" in trial.user_attrs
    ]


def wait_for(condition, process):
    while not (found := condition()):
        assert process.poll() is None, "the first driver ended too soon"
        time.sleep(0.1)
    return found


def books(project):
    """Return MLflow's own client, and every run of the experiment."""
    with quiet_mlflow():
        client = mlflow.MlflowClient(f"sqlite:///{project}/mlruns/mlflow.db")
        experiment = client.get_experiment_by_name("tiny")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return client, list(runs)


def started_search(project):
    """Return the id of the search's run, once the first driver has begun it."""
    _, runs = books(project)
    return runs[0].info.run_id if runs else None


@pytest.mark.slow
def test_two_drivers_work_on_one_search_and_one_of_them_is_killed(project, postgres):
    storage = postgres.replace("+psycopg2", "")
    words = ["search", "tiny.py", "-q", "--storage", storage]
    command = [sys.executable, "-c", DRIVER, *words, "--trials", str(TRIALS)]
    first = subprocess.Popen(command)
    lost = []
    try:
        run_id = wait_for(lambda: started_search(project), first)
        wait_for(lambda: running(postgres, run_id, 0), first)

        def kill_in_mid_trial():
            wait_for(lambda: running(postgres, run_id, 1), first)
            lost.extend(wait_for(lambda: running(postgres, run_id, 0), first))
            first.kill()

        killer = threading.Thread(target=kill_in_mid_trial)
        killer.start()
        code = main([*words, "--resume"])
        killer.join()
    finally:
        first.kill()
        first.wait()
    assert code == 0
    assert first.returncode == -signal.SIGKILL

    study = study_of(postgres, run_id)
    trials = study.get_trials(deepcopy=False)
    by_state = Counter(t.state.name for t in trials)
    complete = [t for t in trials if t.state.name == "COMPLETE"]
    assert sorted(t.user_attrs["ktune.number"] for t in complete) == list(range(TRIALS))
    assert by_state["RUNNING"] == 0
    (number,) = lost
    attempts = [t for t in trials if t.user_attrs.get("ktune.number") == number]
    assert [t.state.name for t in attempts] == ["FAIL", "COMPLETE"]
    assert (
        attempts[0].user_attrs["ktune.values"] == attempts[1].user_attrs["ktune.values"]
    )
    assert [t.user_attrs["ktune.driver"] for t in attempts] == [0, 1]

    client, runs = books(project)
    (search,) = [r for r in runs if r.data.tags["ktune.kind"] == "search"]
    children = [r for r in runs if r.data.tags["ktune.kind"] == "trial"]
    assert search.info.status == "FINISHED"
    assert search.data.tags["ktune.ended_because"] == "all trials done"
    numbers = Counter(int(r.data.tags["ktune.trial"]) for r in children)
    assert numbers == Counter(range(TRIALS))
    assert {r.info.status for r in children} == {"FINISHED"}
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {search.info.run_id}
    scores = {int(r.data.tags["ktune.trial"]): r.data.metrics for r in children}
    for trial in complete:
        recorded = scores[trial.user_attrs["ktune.number"]]["val_accuracy"]
        assert recorded == pytest.approx(trial.value)
    assert len(client.search_model_versions("name = 'tiny'")) == 1
    assert search.data.tags["ktune.storage"].startswith("postgresql://ktune:***@127")
    assert set(read_search_view(open_store(), load().view).space) == {"units", "rate"}
    for path in (project / "mlruns").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


def test_a_search_goes_on_in_its_database_and_is_closed_once(project, capsys):
    storage = "sqlite:///studies.db"
    words = ["search", "tiny.py", "-q", "--json", "--storage", storage]
    assert main([*words, "--trials", "2"]) == 0
    begun = json.loads(capsys.readouterr().out)
    assert begun["model"]["version"] == 1
    assert main([*words, "--resume"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["run_id"] == begun["run_id"]
    assert again["model"]["version"] == 1
    assert again["status"] == "FINISHED"

    assert main(["search", "tiny.py", "-q", "--resume"]) == 2
    assert f"add: --storage {storage}" in capsys.readouterr().err
    assert main([*words, "--resume", "--storage", "sqlite:///other.db"]) == 2
    assert "does not hold this search" in capsys.readouterr().err
    wider = FILE.replace('"units", 2, 64', '"units", 2, 65')
    (project / "tiny.py").write_text(wider)
    assert main([*words, "--resume"]) == 2
    assert "'units' is" in capsys.readouterr().err
    client, _ = books(project)
    assert client.get_run(begun["run_id"]).info.status == "FINISHED"


def test_what_several_drivers_cannot_share_is_refused_before_anything_is_written(
    project, capsys
):
    words = ["search", "tiny.py", "-q", "--storage"]
    assert main([*words, "sqlite:///s.db", "--engine", "kerastuner"]) == 2
    assert "oracle lives in the memory of one driver" in capsys.readouterr().err
    assert main([*words, f"mssql://me:{PASSWORD}@host/db"]) == 2
    refused = capsys.readouterr().err
    assert "postgresql://user@host/name" in refused
    assert PASSWORD not in refused
    assert {path.name for path in project.iterdir()} <= {
        "tiny.py",
        "__pycache__",
        "mlruns",
    }
    assert books(project)[1] == []
